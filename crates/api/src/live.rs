//! Rows as they arrive, for whoever looks on.
//!
//! A [`Feed`] is a ring of batches: publishing never waits, every subscriber reads at its own pace, and one
//! that falls behind by more than the ring learns exactly how many rows it missed, because each batch carries
//! the number of rows published before it.

use arrow_array::RecordBatch;
use bartizan_model::Micros;
use bartizan_query::Arrival;
use futures::stream::BoxStream;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::{self, error::RecvError};

/// The next rows of a subscription.
#[derive(Clone, Debug)]
pub struct LiveItem {
    /// Rows in the schema of `events`; one batch for all who look on, because a copy of it counts every column.
    pub rows: Arc<RecordBatch>,
    /// Rows published before these and after the item before, which this subscriber was too slow to get.
    pub missed: u64,
    /// When these arrived: later than all that were published before.
    pub received: Micros,
}

/// Rows from the moment of subscribing on. Ends when the feed does.
pub struct Subscription {
    /// The rows.
    pub items: BoxStream<'static, LiveItem>,
    /// When the last rows before these arrived.
    pub since: Micros,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// Gives rows as they arrive.
pub trait Live: Send + Sync {
    /// Rows from now on.
    fn subscribe(&self) -> Subscription;

    /// When the newest rows arrived.
    fn position(&self) -> Micros;
}

#[derive(Clone)]
struct Piece {
    rows: Arc<RecordBatch>,
    /// Rows published before this piece.
    before: u64,
    received: Micros,
}

/// What was published.
struct Published {
    rows: u64,
    last: Micros,
}

/// A bounded feed with any number of subscribers.
pub struct Feed {
    sender: broadcast::Sender<Piece>,
    published: Mutex<Published>,
}

impl Feed {
    /// A feed that keeps the last `batches` batches (at least 1) for slow subscribers. Without subscribers it
    /// keeps nothing. What arrived up to `since` is known to whoever asks the store.
    #[must_use]
    pub fn new(batches: usize, since: Micros) -> Self {
        let published = Mutex::new(Published { rows: 0, last: since });
        Self { sender: broadcast::Sender::new(batches.max(1)), published }
    }

    /// How many look on.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.sender.receiver_count()
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives rows to every subscriber. Never waits. Batches come in the order of their arrival, which no two share.
    pub fn publish(&self, rows: RecordBatch) {
        if rows.num_rows() == 0 {
            return;
        }
        // Count and send under one lock: the numbers must rise in the order of the ring.
        let mut published = self.published();
        let received = Arrival::of(&rows, 0).map_or(published.last, Arrival::received);
        let before = published.rows;
        *published = Published { rows: before.saturating_add(rows.num_rows() as u64), last: received };
        // An error means that nobody looks on.
        let _ = self.sender.send(Piece { rows: Arc::new(rows), before, received });
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("subscribers", &self.sender.receiver_count()).finish_non_exhaustive()
    }
}

impl Live for Feed {
    fn subscribe(&self) -> Subscription {
        let published = self.published();
        let (state, since) = ((self.sender.subscribe(), published.rows), published.last);
        drop(published);
        let items = Box::pin(futures::stream::unfold(state, async |(mut receiver, expected)| {
            loop {
                match receiver.recv().await {
                    Ok(Piece { rows, before, received }) => {
                        let after = before.saturating_add(rows.num_rows() as u64);
                        let missed = before.saturating_sub(expected);
                        let item = LiveItem { rows, missed, received };
                        return Some((item, (receiver, after)));
                    }
                    // How many rows the lost batches held shows in the next batch's number.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }));
        Subscription { items, since }
    }

    fn position(&self) -> Micros {
        self.published().last
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
        let feed = Feed::new(2, Micros(0));
        feed.publish(rows(50));
        let mut slow = feed.subscribe().items;
        for n in [1, 2, 4, 8, 16] {
            feed.publish(rows(n));
        }
        drop(feed);
        let got: Vec<_> = slow.by_ref().map(|i| (i.rows.num_rows(), i.missed)).collect().await;
        assert_eq!(got, [(8, 7), (16, 0)]);
    }
}
