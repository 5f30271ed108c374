//! Everything that is asked for one answer: who asks, what was read for it, and whether it is still wanted.

use crate::Sight;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;

tokio::task_local! {
    static INQUIRY: Arc<Inquiry>;
}

/// What one answer costs, however many questions it is made of; and the way to give it up.
#[derive(Debug, Default)]
pub struct Inquiry {
    who: u64,
    sight: Sight,
    rows: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
    lacks: AtomicBool,
    cancelled: watch::Sender<bool>,
}

/// What was read for an answer so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Rows that were looked at, in files and in memory.
    pub rows: u64,
    /// Bytes read from files.
    pub bytes: u64,
    /// Files of which something was read.
    pub files: u64,
    /// Whether files could not be read, and their rows are missing.
    pub lacks: bool,
}

impl Inquiry {
    /// An inquiry of the asker `who`, who sees this.
    #[must_use]
    pub fn of(who: u64, sight: Sight) -> Self {
        Self { who, sight, ..Self::default() }
    }

    /// What is in sight of who asks.
    #[must_use]
    pub const fn sight(&self) -> &Sight {
        &self.sight
    }

    /// Who asks; 0 is the server itself.
    #[must_use]
    pub const fn who(&self) -> u64 {
        self.who
    }

    /// What was read so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
            lacks: self.lacks.load(Ordering::Relaxed),
        }
    }

    /// Ends all work on it, now and later: its answers end with [`QueryError::Cancelled`](crate::QueryError::Cancelled).
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        // The sender lives as long as `self`.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }

    pub(crate) fn reads(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn charge(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn opens(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lacks(&self) {
        self.lacks.store(true, Ordering::Relaxed);
    }

    /// The one that is asked in now; a new one of the server's own outside of any.
    pub fn current() -> Arc<Self> {
        INQUIRY.try_with(Arc::clone).unwrap_or_default()
    }
}

/// Questions inside `asking` belong to this inquiry.
pub async fn asked_for<F: Future>(inquiry: Arc<Inquiry>, asking: F) -> F::Output {
    INQUIRY.scope(inquiry, asking).await
}

/// Questions inside `asking` are those of the asker `who`, who sees `sight`: askers get their turns in a ring, however many questions
/// one of them has waiting. A question outside of any is asked by 0, the server itself.
pub async fn asked_by<F: Future>(who: u64, sight: Sight, asking: F) -> F::Output {
    asked_for(Arc::new(Inquiry::of(who, sight)), asking).await
}
