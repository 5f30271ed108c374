//! A simulated agent: the client, the pauses and the protocol of the real one, without a kernel and a spool.
//!
//! Its batches exist by the clock, whether there is a server or not, as those in a spool do: a greeting from the
//! beginning, and from the start of the load on one in every period. What was not acknowledged is sent again.

use super::record::Record;
use super::roll::Identity;
use anyhow::Result;
use bartizan_model::{Epoch, IN_FLIGHT, Kind, Lane, Seq};
use bartizan_pki::agent_client;
use bartizan_wire::{Ack, Client, ClientSettings, Endpoint, Reconnect, Speaker, WireError};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A batch of so many rows, in different forms.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) rows: u64,
    pub(super) forms: Arc<[Bytes]>,
}

/// From when to when hosts have something to say beside their greeting.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) begun: Option<Instant>,
    pub(super) ended: Option<Instant>,
}

/// One host.
pub(super) struct Host {
    pub(super) number: usize,
    pub(super) identity: Identity,
    pub(super) ca_pem: Arc<str>,
    pub(super) endpoint: Endpoint,
    pub(super) record: Arc<Record>,
    /// Its first batch.
    pub(super) greeting: Packed,
    /// All others, one in each period.
    pub(super) batch: Packed,
    pub(super) period: Duration,
    /// Where in the period.
    pub(super) offset: Duration,
    /// Up to which number the server has its batches.
    pub(super) done: AtomicU64,
}

impl Host {
    /// When a batch exists; never, if the load ends before.
    fn moment(&self, seq: Seq, load: Load) -> Option<Instant> {
        let Some(periods) = seq.0.checked_sub(2) else { return Some(Instant::now()) };
        let at = load.begun? + self.offset + self.period.mul_f64(periods as f64);
        load.ended.is_none_or(|end| at < end).then_some(at)
    }

    /// The last batch that exists at a moment.
    fn last(&self, load: Load, now: Instant) -> u64 {
        let now = load.ended.map_or(now, |end| end.min(now));
        let since = load.begun.and_then(|begun| now.checked_duration_since(begun + self.offset));
        since.map_or(1, |since| 2 + (since.as_nanos() / self.period.as_nanos()) as u64)
    }

    /// Rows of the batches up to one.
    fn rows(&self, last: u64) -> u64 {
        let greeting = if last > 0 { self.greeting.rows } else { 0 };
        greeting + last.saturating_sub(1) * self.batch.rows
    }

    /// Rows that exist at a moment, and of them those that the server does not have yet.
    pub(super) fn made_and_waiting(&self, load: Load, now: Instant) -> (u64, u64) {
        let made = self.rows(self.last(load, now));
        (made, made.saturating_sub(self.rows(self.done.load(Ordering::Relaxed))))
    }

    /// Comes some time after the others, and stays for ever.
    pub(super) async fn run(self: Arc<Self>, wait: Duration, load: watch::Receiver<Load>) {
        tokio::time::sleep(wait).await;
        let mut reconnect = Reconnect::default();
        loop {
            let mut met = None;
            self.record.attempt();
            let Err(error) = self.session(&mut met, load.clone()).await;
            let met = met.map(|(since, client): (Instant, Client)| (since.elapsed(), client.spread()));
            let kind = error.downcast_ref::<WireError>().map(WireError::kind);
            let pause = reconnect.pause(kind, met, &mut rand::rng());
            tokio::time::sleep(pause).await;
        }
    }

    /// One connection with its stream, until it is lost.
    async fn session(
        &self,
        met: &mut Option<(Instant, Client)>,
        mut load: watch::Receiver<Load>,
    ) -> Result<std::convert::Infallible> {
        // As the agent does each time.
        let tls = agent_client(&self.ca_pem, &self.identity.cert_pem, &self.identity.key_pem)?;
        let client = Client::connect(&self.endpoint, &tls, ClientSettings::default()).await?;
        drop(tls);
        *met = Some((Instant::now(), client.clone()));
        let speaker = Speaker {
            version: "bench".into(),
            instance: format!("instance-{}", self.number),
            boot: format!("boot-{}", self.number),
        };
        let (sender, mut acks, committed) = client.put(Lane::DISK[0], Epoch(1), &speaker).await?;
        let _open = self.record.open();
        self.acknowledge(committed);
        // The server may know less than it said before: of tables that this stream has nothing for it knows nothing.
        let mut sent = Seq(self.done.load(Ordering::Relaxed));
        loop {
            let moment = self.moment(sent.next(), *load.borrow_and_update());
            let room = sent.0 - self.done.load(Ordering::Relaxed) < IN_FLIGHT;
            let due = async {
                tokio::time::sleep_until(moment?.into()).await;
                Some(())
            };
            tokio::select! {
                Some(()) = due, if room => {
                    sent = sent.next();
                    let batch = if sent.0 == 1 { &self.greeting } else { &self.batch };
                    let ipc = &batch.forms[sent.0 as usize % batch.forms.len()];
                    sender.send(Kind::Events, sent, batch.rows, ipc, bartizan_clock::now()).await?;
                }
                ack = acks.next() => match ack? {
                    Some(Ack::Committed(seq)) => self.acknowledge(seq),
                    Some(Ack::Refused { reason, .. }) => return Err(WireError::Retry(reason).into()),
                    None => return Err(WireError::Retry("the stream has ended".into()).into()),
                },
                Ok(()) = load.changed() => {}
            }
        }
    }

    fn acknowledge(&self, seq: Seq) {
        let before = self.done.fetch_max(seq.0, Ordering::Relaxed);
        self.record.commit(self.rows(seq.0).saturating_sub(self.rows(before)));
    }
}
