//! The live feed: every new batch of events, to whoever listens, each listener with a bound.

use arrow_array::RecordBatch;
use std::sync::Arc;
use tokio::sync::broadcast;

/// One batch of new rows, in the table's schema.
#[derive(Clone, Debug)]
pub struct LiveBatch(pub Arc<RecordBatch>);

/// What a listener gets next.
#[derive(Debug)]
pub enum TailItem {
    /// New rows.
    Rows(LiveBatch),
    /// The listener was too slow: this many batches were passed over.
    Skipped(u64),
}

/// The sending side, one per server.
#[derive(Clone, Debug)]
pub struct Live(broadcast::Sender<LiveBatch>);

impl Live {
    /// A feed whose listeners may lag behind by `batches` before batches are passed over.
    #[must_use]
    pub fn new(batches: usize) -> Self {
        Self(broadcast::channel(batches.max(1)).0)
    }

    /// Show new rows to every listener; nobody listening is fine.
    pub(crate) fn show(&self, batch: &RecordBatch) {
        if self.0.receiver_count() > 0 {
            // the only error is that the last listener left in between
            drop(self.0.send(LiveBatch(Arc::new(batch.clone()))));
        }
    }

    /// Listen from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }
}

/// The listening side.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<LiveBatch>);

impl Subscription {
    /// The next item; `None` when the server shuts down.
    pub async fn next(&mut self) -> Option<TailItem> {
        match self.0.recv().await {
            Ok(batch) => Some(TailItem::Rows(batch)),
            Err(broadcast::error::RecvError::Lagged(n)) => Some(TailItem::Skipped(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
