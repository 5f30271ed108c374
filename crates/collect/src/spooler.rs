//! The spooler: one thread that packs what desks hand over and makes it durable.
//!
//! All that waits is written before it is synced once, so that the number of syncs follows the disk and not the
//! number of messages. While the spool is full or its disk fails, it tries again and again, and nobody hands anything
//! over meanwhile: connections stop reading, and what comes as datagrams the kernel drops and counts.

use crate::ledger::{Ledger, NOBODY};
use crate::replay::Notes;
use crate::store::Store;
use arrow_array::RecordBatch;
use bartizan_model::{Kind, Reason, Seq};
use bartizan_spool::AppendError;
use bartizan_wire::{Encoder, split};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Bytes of a record, unpacked; a batch that is larger is split.
const RECORD_BYTES: usize = 16 << 20;
/// Losses are written this often.
const LOSSES_EVERY: Duration = Duration::from_millis(500);
/// Between two attempts to write to a spool that takes nothing.
const AGAIN: Duration = Duration::from_millis(100);
/// Parcels that are written before a sync.
const TOGETHER: usize = 32;

/// What a desk hands over: all rows up to a ticket.
pub(crate) struct Parcel {
    pub(crate) batches: Vec<(Kind, RecordBatch)>,
    pub(crate) ticket: u64,
    /// What the desk remembers of its senders' messages up to there, under its name.
    pub(crate) note: Option<(Arc<str>, Vec<u8>)>,
    /// Told the ticket when the rows are durable.
    pub(crate) durable: Arc<watch::Sender<u64>>,
}

/// The spooler's state.
pub(crate) struct Spooler {
    pub(crate) store: Arc<Store>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) parcels: mpsc::Receiver<Parcel>,
    /// Whether the spool takes nothing now, for whoever explains losses.
    pub(crate) stuck: Arc<AtomicBool>,
    /// No more attempts: what cannot be written is lost.
    pub(crate) stop: watch::Receiver<bool>,
    /// Nothing more comes.
    pub(crate) end: watch::Receiver<bool>,
    pub(crate) encoder: Encoder,
    /// What desks remember of messages that are durable, or are with the record that is written.
    pub(crate) notes: Notes,
    /// Tickets of rows that are not durable yet.
    pub(crate) waiting: VecDeque<(Seq, u64, Arc<watch::Sender<u64>>)>,
}

impl Spooler {
    /// Until every desk is gone and all is written.
    pub(crate) fn run(mut self, runtime: &Handle) {
        let mut losses_due = Instant::now() + LOSSES_EVERY;
        loop {
            let patience = losses_due.saturating_duration_since(Instant::now());
            let parcels = &mut self.parcels;
            let first = runtime.block_on(async { tokio::time::timeout(patience, parcels.recv()).await });
            let gone = matches!(first, Ok(None)) || first.is_err() && *self.end.borrow();
            let mut next = first.ok().flatten();
            for _ in 0..TOGETHER {
                let Some(parcel) = next else { break };
                self.write(parcel);
                next = self.parcels.try_recv().ok();
            }
            if let Some(parcel) = next {
                self.write(parcel);
            }
            if gone || losses_due <= Instant::now() {
                self.write_losses();
                losses_due = Instant::now() + LOSSES_EVERY;
            }
            self.sync();
            if gone {
                return;
            }
        }
    }

    fn write(&mut self, parcel: Parcel) {
        let mut last = Seq::ZERO;
        let parts = parcel
            .batches
            .iter()
            .flat_map(|(kind, batch)| split(batch, RECORD_BYTES).into_iter().map(|part| (*kind, part)));
        let mut parts = parts.peekable();
        let mut note = parcel.note;
        while let Some((kind, part)) = parts.next() {
            // with the last record all that is remembered is written
            if parts.peek().is_none()
                && let Some((desk, note)) = note.take()
            {
                self.notes.set(&desk, note);
            }
            last = self.keep(kind, &part).unwrap_or(last);
        }
        self.waiting.push_back((last, parcel.ticket, parcel.durable));
    }

    /// Writes rows, however long that takes; nothing if it cannot be done at all.
    fn keep(&mut self, kind: Kind, rows: &RecordBatch) -> Option<Seq> {
        let count = rows.num_rows() as u64;
        let note = self.notes.write();
        let payload = match self.encoder.encode(rows) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(%error, %kind, "rows cannot be packed");
                self.lose(Reason::Malformed, kind, count, "rows that could not be packed");
                return None;
            }
        };
        loop {
            let error = match self.store.lock().append(kind, rows, payload, &note, Instant::now()) {
                Ok(seq) => {
                    if self.stuck.swap(false, Ordering::Relaxed) {
                        tracing::info!("the collector's spool takes rows again");
                    }
                    return Some(seq);
                }
                Err(error) => error,
            };
            let reason = match &error {
                AppendError::Full { .. } | AppendError::Exhausted => Reason::SpoolFull,
                AppendError::Disk(_) => Reason::DiskError,
                AppendError::TooLarge { .. } => Reason::TooLong,
            };
            if reason == Reason::TooLong || *self.stop.borrow() {
                tracing::error!(%error, %kind, rows = count, "rows are lost");
                self.lose(reason, kind, count, "rows that the collector's spool did not take");
                return None;
            }
            if !self.stuck.swap(true, Ordering::Relaxed) {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "the collector's spool takes no rows; senders wait");
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn lose(&self, reason: Reason, kind: Kind, count: u64, detail: &str) {
        self.ledger.add(NOBODY, reason, kind, count, detail, bartizan_clock::now());
    }

    fn write_losses(&mut self) {
        let losses = self.ledger.take();
        if losses.is_empty() {
            return;
        }
        let batch = losses.batch();
        let written = match self.encoder.encode(&batch) {
            Ok(payload) => {
                let note = self.notes.write();
                self.store.lock().append(Kind::Losses, &batch, payload, &note, Instant::now()).is_ok()
            }
            Err(_) => false,
        };
        if !written {
            self.ledger.put_back(losses);
        }
    }

    /// Makes all durable, and tells whoever waits for it.
    fn sync(&mut self) {
        let durable = {
            let mut state = self.store.lock();
            if let Err(error) = state.spool.sync(Instant::now())
                && !self.stuck.swap(true, Ordering::Relaxed)
            {
                tracing::error!(%error, cause = %error.source, "the collector's spool is not durable");
            }
            state.spool.durable()
        };
        self.store.tell();
        while self.waiting.front().is_some_and(|(seq, ..)| *seq <= durable) {
            let Some((_, ticket, to)) = self.waiting.pop_front() else { break };
            to.send_modify(|known| *known = ticket.max(*known));
        }
    }
}
