//! From the spool into the lake: one thread that gives every record to ingest, in order, and lets the spool forget
//! what is committed.
//!
//! A record's name is (the collector, the spool's life, its number), so that what comes again after a crash changes
//! nothing. In the place of records that are gone, or that ingest refuses, their loss is told under their name.

use crate::ledger::NOBODY;
use crate::store::{Found, Store};
use arrow_array::RecordBatch;
use bartizan_decode::losses::Losses;
use bartizan_ingest::Ingest;
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Loss, Micros, Reason, Seq, Stage, StreamId};
use bartizan_spool::{Hole, Item, Record, Weights};
use bartizan_wire::{Limits, decode_collected, messages};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How often it looks for commits while nothing comes.
const LOOK: Duration = Duration::from_millis(100);

/// The deliverer's state.
pub(crate) struct Deliverer {
    pub(crate) store: Arc<Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) collector: HostId,
    pub(crate) stop: watch::Receiver<bool>,
    /// What was given to ingest and is not known to be committed.
    pub(crate) waiting: VecDeque<(Epoch, Seq, Kind)>,
}

impl Deliverer {
    /// Until `stop`.
    pub(crate) fn run(mut self, runtime: &Handle) {
        let mut after = self.store.lock().spool.acknowledged();
        while !*self.stop.borrow() {
            match self.store.next(after, LOOK) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    after = found.item.last();
                    runtime.block_on(self.deliver(found));
                }
                Err(error) => {
                    tracing::error!(%error, cause = %error.source, "the collector's spool cannot be read");
                    std::thread::sleep(LOOK);
                }
            }
            self.settle();
        }
    }

    async fn deliver(&mut self, found: Found) {
        let now = bartizan_clock::now();
        let (epoch, seq) = (found.item.epoch(), found.item.last());
        let (kind, rows) = match found.item {
            Item::Record(record) => match rows(&record, found.rows) {
                Ok(rows) => (record.kind, rows),
                Err(error) => {
                    tracing::error!(seq = seq.0, error, "a record of the collector's spool cannot be read");
                    let count = Weights::of(record.weight).of_kind(record.kind);
                    (Kind::Losses, lost(&[(record.kind, count)], Reason::SpoolDamaged, error, now))
                }
            },
            Item::Hole(hole) => (Kind::Losses, of_hole(hole, now)),
        };
        let count = rows.num_rows() as u64;
        let kind = match self.give(epoch, seq, kind, &rows).await {
            Some(Ok(())) => kind,
            Some(Err(refusal)) => {
                tracing::error!(seq = seq.0, %kind, rows = count, %refusal, "a batch was refused for good");
                let loss = lost(&[(kind, count)], Reason::Refused, refusal, now);
                drop(self.give(epoch, seq, Kind::Losses, &loss).await);
                Kind::Losses
            }
            // stopped: it comes again with the next start
            None => return,
        };
        self.waiting.push_back((epoch, seq, kind));
    }

    async fn give(
        &mut self,
        epoch: Epoch,
        seq: Seq,
        kind: Kind,
        rows: &RecordBatch,
    ) -> Option<Result<(), String>> {
        let id = BatchId { stream: self.stream(epoch), seq };
        tokio::select! {
            given = self.ingest.collect(id, kind, Some(rows)) => Some(given.map_err(|e| e.to_string())),
            _ = self.stop.wait_for(|stop| *stop) => None,
        }
    }

    const fn stream(&self, epoch: Epoch) -> StreamId {
        StreamId { host: self.collector, lane: Lane::DISK[0], epoch }
    }

    /// Lets the spool forget what is committed.
    fn settle(&mut self) {
        let mut done = None;
        while let Some((epoch, seq, kind)) = self.waiting.front()
            && self.ingest.settled(&self.stream(*epoch), &[*kind]) >= *seq
        {
            done = Some((*epoch, *seq));
            self.waiting.pop_front();
        }
        if let Some((epoch, seq)) = done {
            self.store.lock().spool.acknowledge(epoch, seq);
        }
    }
}

/// The rows of a record, from memory or unpacked.
fn rows(record: &Record, recent: Option<RecordBatch>) -> Result<RecordBatch, String> {
    if let Some(rows) = recent {
        return Ok(rows);
    }
    let payload = Bytes::copy_from_slice(&record.payload);
    let messages = messages(&payload).map_err(|e| e.to_string())?;
    // they were made here: nothing that fits into a record is too large
    let limits =
        Limits { message_bytes: 64 << 20, batch_bytes: 64 << 20, ratio: usize::MAX, ..Limits::default() };
    decode_collected(record.kind, &messages, &limits).map_err(|e| e.to_string())
}

fn of_hole(hole: Hole, now: Micros) -> RecordBatch {
    let Weights { events, others } = Weights::of(hole.weight);
    lost(&[(Kind::Events, events), (Kind::Flows, others)], hole.reason(), hole.to_string(), now)
}

fn lost(counts: &[(Kind, u64)], reason: Reason, detail: String, now: Micros) -> RecordBatch {
    let mut losses = Losses::default();
    for (kind, count) in counts {
        let (kind, count, detail) = (*kind, *count, detail.clone());
        let loss = Loss { from: now, to: now, stage: Stage::Server, reason, kind, count, detail };
        losses.add_of(NOBODY, loss);
    }
    losses.batch()
}
