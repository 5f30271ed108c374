//! What the collector lost, until it is written to the spool as a batch of losses.

use bartizan_decode::losses::Losses;
use bartizan_model::{Kind, Loss, Micros, Reason, Stage};
use std::sync::{Mutex, PoisonError};

/// The host of losses of which nobody knows whose they are.
pub(crate) const NOBODY: &str = "*";
/// Entries that are told apart at one time; then they are nobody's.
const ENTRIES: usize = 256;

/// Losses that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Losses>);

impl Ledger {
    /// Counts a loss of a host at the server.
    pub(crate) fn add(&self, host: &str, reason: Reason, kind: Kind, count: u64, detail: &str, now: Micros) {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (host, detail) = if losses.len() < ENTRIES { (host, detail) } else { (NOBODY, "") };
        let loss =
            Loss { from: now, to: now, stage: Stage::Server, reason, kind, count, detail: detail.to_owned() };
        losses.add_of(host, loss);
    }

    /// All of them; they are not in the ledger any more.
    pub(crate) fn take(&self) -> Losses {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&self, before: Losses) {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = std::mem::replace(&mut *losses, before);
        losses.append(since);
    }
}
