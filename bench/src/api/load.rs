//! A sender that has its batches ready, so that next to nothing of what is measured is its own work.

use crate::fleet::{Batching, Fleet, Plan, Senders};
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::{Agent, Server};
use bartizan_model::{Epoch, IN_FLIGHT, Kind, Lane, Seq};
use bartizan_pki::agent_client;
use bartizan_pki::files::HostFiles;
use bartizan_wire::{Ack, Client, ClientSettings, Encoder, Endpoint, Speaker};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Rows of a batch, and different batches.
const BATCH: usize = 5_000;
const DIFFERENT: usize = 40;
/// One row in so many has the mark that tails look for: one a second at 50,000.
const ONE_IN: usize = 50_000;
const MARK: u32 = 0xfeed_beef;
/// One batch in so many has, in one of its rows, another one: about one a second at full speed.
const ONE_BATCH_IN: u64 = 400;
const RARE: u32 = 0xdead_beef;

/// Batches of a busy host.
#[derive(Debug)]
pub(super) struct Batches {
    packed: Vec<Bytes>,
    rare: Bytes,
    filter: String,
    rare_filter: String,
}

impl Batches {
    pub(super) fn new() -> Result<Self> {
        let fleet = Fleet::new(Plan::of(20e6));
        let mut events = fleet.hour(0);
        ensure!(events.len() >= BATCH * DIFFERENT, "an hour has only {} events", events.len());
        events.truncate(BATCH * DIFFERENT);
        let now = bartizan_clock::now().0;
        for (at, event) in events.iter_mut().enumerate() {
            // all of one host, and of now
            (event.host, event.time) = (0, now + at as i64);
            event.mark = at.is_multiple_of(ONE_IN).then_some(MARK);
        }
        let mut senders = Senders::new(Batching { rows: BATCH, age: i64::MAX / 4 });
        let mut encoder = Encoder::default();
        let mut pack = |sent: &crate::fleet::Sent| Ok(Bytes::copy_from_slice(encoder.encode(&sent.wire())?));
        let packed = senders.cut(&events).iter().map(&mut pack).collect::<Result<Vec<_>>>()?;
        ensure!(packed.len() == DIFFERENT, "{} batches", packed.len());
        events.truncate(BATCH);
        events.iter_mut().enumerate().for_each(|(at, event)| event.mark = (at == 0).then_some(RARE));
        let rare = senders.cut(&events).iter().map(&mut pack).next().context("one more")??;
        Ok(Self { packed, rare, filter: format!("mark:{MARK}"), rare_filter: format!("mark:{RARE}") })
    }

    /// What finds the marked rows.
    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// What finds the one row of the batch that is rare.
    pub(super) fn rare_filter(&self) -> &str {
        &self.rare_filter
    }
}

/// What was sent, until all of it was committed.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) marked: u64,
    pub(super) seconds: f64,
}

impl Sent {
    pub(super) fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// A host that the server knows.
#[derive(Debug)]
pub(super) struct Sender {
    endpoint: String,
    dir: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Sender {
    pub(super) fn enrol(server: &Server, dir: &Path) -> Result<Self> {
        let agent = Agent::new(dir, "")?;
        agent.enrol(None, server.front(), &server.token(1)?, "busy")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { endpoint: server.agents().to_string(), dir: dir.to_owned(), runtime })
    }

    /// Sends at least so many rows, so many a second or as fast as they are taken; returns when all are committed.
    pub(super) fn send(&self, batches: &Batches, rows: u64, rate: Option<f64>) -> Result<Sent> {
        self.runtime.block_on(self.sending(batches, rows, rate))
    }

    async fn sending(&self, batches: &Batches, rows: u64, rate: Option<f64>) -> Result<Sent> {
        let identity =
            HostFiles::new(self.dir.join("identity")).load()?.context("the sender is not enrolled")?;
        let tls = agent_client(&identity.ca_pem, &identity.cert_pem, &identity.key_pem)?;
        let endpoint = Endpoint::parse(&self.endpoint, 0).map_err(anyhow::Error::msg)?;
        let client = Client::connect(&endpoint, &tls, ClientSettings::default()).await?;
        let speaker = Speaker { version: "bench".into(), ..Speaker::default() };
        let epoch = Epoch(bartizan_clock::now().0.cast_unsigned());
        let (sender, mut acks, mut done) = client.put(Lane::DISK[0], epoch, &speaker).await?;
        let count = rows.div_ceil(BATCH as u64);
        let begun = Instant::now();
        let mut sent = Seq::ZERO;
        while done.0 < count {
            let due = rate
                .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(sent.0 as f64 * BATCH as f64 / rate));
            let room = sent.0 < count && (sent.0 - done.0) < IN_FLIGHT;
            tokio::select! {
                () = tokio::time::sleep_until((begun + due).into()), if room => {
                    let packed = match rate.is_none() && (sent.0 + 1).is_multiple_of(ONE_BATCH_IN) {
                        true => &batches.rare,
                        false => &batches.packed[sent.0 as usize % DIFFERENT],
                    };
                    sent = sent.next();
                    let now = bartizan_clock::now();
                    sender.send(Kind::Events, sent, BATCH as u64, packed, now).await?;
                }
                ack = acks.next() => match ack?.context("the stream has ended")? {
                    Ack::Committed(seq) => done = seq,
                    Ack::Refused { reason, .. } => anyhow::bail!("refused: {reason}"),
                },
            }
        }
        let marked = (0..count).filter(|n| n.is_multiple_of((ONE_IN / BATCH) as u64)).count() as u64;
        Ok(Sent { rows: count * BATCH as u64, marked, seconds: begun.elapsed().as_secs_f64() })
    }
}
