//! Rows as they arrive, for whoever looks on.
//!
//! ```text
//! whoever takes rows in --> ring --> relay --> ring --> every subscriber
//!                                    on the threads of those who look on
//! ```
//! Publishing never waits, every subscriber reads at its own pace, and one that falls behind by more than the ring
//! learns exactly how many rows it missed, because each batch carries the number of rows published before it. Waking
//! hundreds of subscribers for each batch is work, too: whoever takes rows in wakes the relay alone.

use arrow_array::RecordBatch;
use bartizan_model::Micros;
use bartizan_query::Arrival;
use futures::stream::BoxStream;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::{Receiver, Sender, WeakSender, error::RecvError};

use crate::Onlookers;

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
    /// To the relay.
    inlet: Sender<Piece>,
    /// The relay's, so that it ends with the relay, and that with the inlet.
    outlet: WeakSender<Piece>,
    published: Mutex<Published>,
}

impl Feed {
    /// A feed that keeps the last `batches` batches (at least 1) for slow subscribers. Without subscribers it
    /// keeps nothing. What arrived up to `since` is known to whoever asks the store.
    #[must_use]
    pub fn new(batches: usize, since: Micros, onlookers: &Onlookers) -> Self {
        let published = Mutex::new(Published { rows: 0, last: since });
        let (inlet, outlet) = (Sender::new(batches.max(1)), Sender::new(batches.max(1)));
        let feed = Self { outlet: outlet.downgrade(), published, inlet };
        onlookers.spawn(relay(feed.inlet.subscribe(), outlet));
        feed
    }

    /// How many look on.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.outlet.upgrade().map_or(0, |outlet| outlet.receiver_count())
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
        if self.watchers() > 0 {
            // An error means that the relay ended with its threads: nobody can look on.
            let _ = self.inlet.send(Piece { rows: Arc::new(rows), before, received });
        }
    }
}

/// Hands on what arrives. What it was too slow for shows in the numbers of the next batch, as everywhere.
async fn relay(mut inlet: Receiver<Piece>, outlet: Sender<Piece>) {
    while let Some(piece) = next(&mut inlet).await {
        // An error means that nobody looks on.
        let _ = outlet.send(piece);
    }
}

/// The next batch that is still there; `None` at the end. How many rows the lost ones held shows in its number.
async fn next(receiver: &mut Receiver<Piece>) -> Option<Piece> {
    loop {
        match receiver.recv().await {
            Ok(piece) => return Some(piece),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("subscribers", &self.watchers()).finish_non_exhaustive()
    }
}

impl Live for Feed {
    fn subscribe(&self) -> Subscription {
        let published = self.published();
        let (expected, since) = (published.rows, published.last);
        let Some(receiver) = self.outlet.upgrade().map(|outlet| outlet.subscribe()) else {
            return Subscription { items: Box::pin(futures::stream::empty()), since };
        };
        drop(published);
        let items =
            Box::pin(futures::stream::unfold((receiver, expected), async |(mut receiver, expected)| {
                loop {
                    let Piece { rows, before, received } = next(&mut receiver).await?;
                    // What was published before the subscription may be with the relay still.
                    if before >= expected {
                        let after = before.saturating_add(rows.num_rows() as u64);
                        let item = LiveItem { rows, missed: before - expected, received };
                        return Some((item, (receiver, after)));
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
        let onlookers = Onlookers::new(1).unwrap();
        let feed = Feed::new(2, Micros(0), &onlookers);
        feed.publish(rows(50));
        let slow = feed.subscribe().items;
        for n in [1, 2, 4, 8, 16] {
            feed.publish(rows(n));
        }
        drop(feed);
        let got: Vec<_> = slow.map(|i| (i.rows.num_rows() as u64, i.missed)).collect().await;
        // How many the relay had handed on before they were too many is its own affair.
        assert_eq!(got.last().map(|(rows, _)| *rows), Some(16));
        assert_eq!(got.iter().map(|(rows, missed)| rows + missed).sum::<u64>(), 31, "{got:?}");
    }

    #[tokio::test]
    async fn what_was_published_before_is_not_shown_and_nobody_is_kept_waiting() {
        let onlookers = Onlookers::new(1).unwrap();
        let feed = Feed::new(100, Micros(0), &onlookers);
        let mut first = feed.subscribe().items;
        for n in 1..=60 {
            feed.publish(rows(n));
        }
        // The relay may be anywhere in them.
        let second = feed.subscribe().items;
        assert_eq!(feed.watchers(), 2);
        feed.publish(rows(61));
        assert_eq!(first.next().await.map(|i| (i.rows.num_rows(), i.missed)), Some((1, 0)));
        drop(feed);
        let rest: Vec<_> = first.map(|i| (i.rows.num_rows(), i.missed)).collect().await;
        assert_eq!(rest, (2..=61).map(|n| (n, 0)).collect::<Vec<_>>());
        let later: Vec<_> = second.map(|i| (i.rows.num_rows(), i.missed)).collect().await;
        assert_eq!(later, [(61, 0)]);
    }
}
