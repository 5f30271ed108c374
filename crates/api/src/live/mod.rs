//! Rows as they arrive, for whoever looks on.
//!
//! ```text
//! whoever takes rows in --> ring --> relay --> ring --> every sieve --> ring --> every subscriber with its filter
//!                                    on the threads of those who look on
//! ```
//! Publishing never waits, everybody behind it goes at a pace of his own, and who falls behind by more than a ring learns
//! exactly how much he did not get: each batch carries the number of rows published before it, and what a sieve hands on
//! its own two counts. Waking hundreds for each batch is work, too: whoever takes rows in wakes the relay alone, and a
//! subscriber is woken for what passes his filter. Those who look for the same share a [`sieve`].

mod sieve;

use crate::Onlookers;
use arrow_array::RecordBatch;
use bartizan_filter::Filter;
use bartizan_model::Micros;
use bartizan_query::Arrival;
use sieve::Sieves;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, Sender, WeakSender, error::RecvError};

pub use sieve::{LiveItem, Subscription};

/// Gives rows as they arrive.
pub trait Live: Send + Sync {
    /// Rows that pass a filter, from now on.
    fn subscribe(&self, filter: &Filter) -> Subscription;

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
#[derive(Clone, Copy)]
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
    sieves: Arc<Sieves>,
    published: Mutex<Published>,
    /// Every subscription has one, too.
    watching: Arc<()>,
    onlookers: tokio::runtime::Handle,
}

impl Feed {
    /// A feed that keeps the last `batches` batches (at least 1) for slow subscribers. Without subscribers it
    /// keeps nothing. What arrived up to `since` is known to whoever asks the store.
    #[must_use]
    pub fn new(batches: usize, since: Micros, onlookers: &Onlookers) -> Self {
        let batches = batches.max(1);
        let (inlet, outlet) = (Sender::new(batches), Sender::new(batches));
        let feed = Self {
            outlet: outlet.downgrade(),
            sieves: Arc::new(Sieves::new(batches)),
            published: Mutex::new(Published { rows: 0, last: since }),
            watching: Arc::default(),
            onlookers: onlookers.handle().clone(),
            inlet,
        };
        feed.onlookers.spawn(relay(feed.inlet.subscribe(), outlet));
        feed
    }

    /// How many look on.
    #[must_use]
    pub fn watchers(&self) -> usize {
        Arc::strong_count(&self.watching) - 1
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

    /// All rows from now on; nothing once the relay has ended.
    fn arrivals(&self) -> Option<Arrivals> {
        let published = self.published();
        let receiver = self.outlet.upgrade()?.subscribe();
        Some(Arrivals { receiver, expected: published.rows })
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("subscribers", &self.watchers()).finish_non_exhaustive()
    }
}

impl Live for Feed {
    fn subscribe(&self, filter: &Filter) -> Subscription {
        // Counted first: what is published from here on is handed on.
        let watching = Arc::clone(&self.watching);
        let (receiver, place, counted) = self.sieves.join(filter, &self.onlookers, || self.arrivals());
        // What a sieve hands on later of what was published before is in the store.
        let since = *self.published();
        Subscription::new(receiver, place, counted, since, watching)
    }

    fn position(&self) -> Micros {
        self.published().last
    }
}

/// Between two times that all sieves are woken: many batches come while a second passes, and nobody sees a hundredth of it.
const REST: Duration = Duration::from_millis(10);

/// Hands on what arrives, at once what comes after a rest. What it was too slow for shows in the numbers of the next batch,
/// as everywhere.
async fn relay(mut inlet: Receiver<Piece>, outlet: Sender<Piece>) {
    while let Some(piece) = next(&mut inlet).await {
        // An error means that nobody looks on.
        let _ = outlet.send(piece);
        if inlet.is_empty() {
            tokio::time::sleep(REST).await;
        }
    }
}

/// The next that is still there; `None` at the end. How many rows the lost ones held shows in its numbers.
async fn next<T: Clone>(receiver: &mut Receiver<T>) -> Option<T> {
    loop {
        match receiver.recv().await {
            Ok(one) => return Some(one),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

/// All rows from a moment on.
struct Arrivals {
    receiver: Receiver<Piece>,
    /// Rows published before those that are next, if none is missed.
    expected: u64,
}

impl Arrivals {
    /// The next batch, and how many rows went by before it. May be given up while it waits.
    async fn next(&mut self) -> Option<(Piece, u64)> {
        loop {
            let piece = next(&mut self.receiver).await?;
            // What was published before may be with the relay still.
            if let Some(missed) = piece.before.checked_sub(self.expected) {
                self.expected = piece.before.saturating_add(piece.rows.num_rows() as u64);
                return Some((piece, missed));
            }
        }
    }
}

#[cfg(test)]
mod tests;
