//! Rows as they arrive, for whoever looks on.
//!
//! A [`Feed`] is a ring of batches: publishing never waits, every subscriber reads at its own pace, and one
//! that falls behind by more than the ring learns exactly how many rows it missed, because each batch carries
//! the number of rows published before it.

use arrow_array::RecordBatch;
use futures::stream::BoxStream;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use tokio::sync::broadcast::{self, error::RecvError};

/// The next rows of a subscription.
#[derive(Clone, Debug)]
pub struct LiveItem {
    /// Rows in the schema of `events`.
    pub rows: RecordBatch,
    /// Rows published before these and after the item before, which this subscriber was too slow to get.
    pub missed: u64,
}

/// Rows from the moment of subscribing on. Ends when the feed does.
pub struct Subscription(pub BoxStream<'static, LiveItem>);

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// Gives rows as they arrive.
pub trait Live: Send + Sync {
    /// Rows from now on.
    fn subscribe(&self) -> Subscription;
}

#[derive(Clone)]
struct Piece {
    rows: RecordBatch,
    /// Rows published before this piece.
    before: u64,
}

/// A bounded feed with any number of subscribers.
pub struct Feed {
    sender: broadcast::Sender<Piece>,
    published: Mutex<u64>,
}

impl Feed {
    /// A feed that keeps the last `batches` batches (at least 1) for slow subscribers. Without subscribers it
    /// keeps nothing.
    #[must_use]
    pub fn new(batches: usize) -> Self {
        Self { sender: broadcast::Sender::new(batches.max(1)), published: Mutex::new(0) }
    }

    /// Gives rows to every subscriber. Never waits.
    pub fn publish(&self, rows: RecordBatch) {
        if rows.num_rows() == 0 {
            return;
        }
        // Count and send under one lock: the numbers must rise in the order of the ring.
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *published;
        *published = before.saturating_add(rows.num_rows() as u64);
        // An error means that nobody looks on.
        let _ = self.sender.send(Piece { rows, before });
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("subscribers", &self.sender.receiver_count()).finish_non_exhaustive()
    }
}

impl Live for Feed {
    fn subscribe(&self) -> Subscription {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let state = (self.sender.subscribe(), *published);
        drop(published);
        Subscription(Box::pin(futures::stream::unfold(state, async |(mut receiver, expected)| {
            loop {
                match receiver.recv().await {
                    Ok(Piece { rows, before }) => {
                        let after = before.saturating_add(rows.num_rows() as u64);
                        let item = LiveItem { rows, missed: before.saturating_sub(expected) };
                        return Some((item, (receiver, after)));
                    }
                    // How many rows the lost batches held shows in the next batch's number.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int32Array;
    use arrow_schema::{DataType, Field, Schema};
    use futures::StreamExt;
    use std::sync::Arc;

    fn rows(n: i32) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int32, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int32Array::from_iter_values(0..n))]).unwrap()
    }

    #[tokio::test]
    async fn what_a_slow_subscriber_missed_is_counted_in_rows() {
        let feed = Feed::new(2);
        feed.publish(rows(50));
        let mut slow = feed.subscribe().0;
        for n in [1, 2, 4, 8, 16] {
            feed.publish(rows(n));
        }
        drop(feed);
        let got: Vec<_> = slow.by_ref().map(|i| (i.rows.num_rows(), i.missed)).collect().await;
        assert_eq!(got, [(8, 7), (16, 0)]);
    }
}
