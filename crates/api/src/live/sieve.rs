//! What passes a filter, found once for all who look for it.
//!
//! A sieve is a task that looks at every batch, and wakes its subscribers for those alone of which something passes. Ten
//! screens with one filter cost what one does. It ends when nobody looks for its filter any more.

use super::{Arrivals, Piece, Published, next};
use arrow_array::RecordBatch;
use bartizan_filter::{Filter, Matcher};
use bartizan_model::Micros;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::broadcast::{Receiver, Sender, WeakSender};

/// The next rows of a subscription.
#[derive(Clone, Debug)]
pub struct LiveItem {
    /// Rows in the schema of `events`; one batch for all who look on, because a copy of it counts every column.
    pub rows: Arc<RecordBatch>,
    /// Those of them that pass the filter, in order; there may be none behind rows that were missed.
    pub passed: Arc<[usize]>,
    /// Rows published before these and after the item before at which nobody looked.
    pub missed: u64,
    /// Rows that passed in that time, and that this subscriber was too slow to get.
    pub skipped: u64,
    /// When these arrived: later than all that were published before.
    pub received: Micros,
}

/// What a sieve hands on.
#[derive(Clone)]
pub(super) struct Found {
    rows: Arc<RecordBatch>,
    passed: Arc<[usize]>,
    /// Rows published before these.
    before: u64,
    /// Up to these rows, without them.
    counted: Counted,
    received: Micros,
}

/// Rows since a sieve began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    missed: u64,
    passed: u64,
}

/// How far a sieve is. Whoever hands something on or joins holds it.
#[derive(Debug, Default)]
pub(super) struct Place {
    counted: Counted,
    received: Option<Micros>,
}

/// A sieve that somebody looks into.
struct Sieve {
    outlet: WeakSender<Found>,
    place: Arc<Mutex<Place>>,
}

/// All sieves of a feed.
pub(super) struct Sieves {
    /// Items that a subscriber may lag behind.
    ring: usize,
    running: Mutex<HashMap<Filter, Sieve>>,
}

impl Sieves {
    pub(super) fn new(ring: usize) -> Self {
        Self { ring, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Filter, Sieve>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.running().len()
    }

    /// Looks into the sieve of a filter, which begins with `arrivals` if there is none. What it hands on is ended at once
    /// if nothing arrives any more.
    pub(super) fn join(
        self: &Arc<Self>,
        filter: &Filter,
        threads: &Handle,
        arrivals: impl FnOnce() -> Option<Arrivals>,
    ) -> (Receiver<Found>, Arc<Mutex<Place>>, Counted) {
        let mut running = self.running();
        if let Some(Sieve { outlet, place }) = running.get(filter)
            && let Some(outlet) = outlet.upgrade()
        {
            // Both in one moment, so that what is received is what is counted from there on.
            let now = locked(place);
            return (outlet.subscribe(), Arc::clone(place), now.counted);
        }
        let (outlet, receiver) = tokio::sync::broadcast::channel(self.ring);
        let place = Arc::<Mutex<Place>>::default();
        if let Some(arrivals) = arrivals() {
            running.insert(filter.clone(), Sieve { outlet: outlet.downgrade(), place: Arc::clone(&place) });
            let work = Arc::clone(self).sift(filter.clone(), arrivals, outlet, Arc::clone(&place));
            threads.spawn(work);
        }
        (receiver, place, Counted::default())
    }

    async fn sift(
        self: Arc<Self>,
        filter: Filter,
        mut arrivals: Arrivals,
        outlet: Sender<Found>,
        place: Arc<Mutex<Place>>,
    ) {
        let matcher = Matcher::new(&filter);
        loop {
            tokio::select! {
                () = outlet.closed() => {
                    let mut running = self.running();
                    // Nobody joins meanwhile.
                    if outlet.receiver_count() == 0 {
                        running.remove(&filter);
                        return;
                    }
                }
                arrived = arrivals.next() => {
                    let Some((piece, missed)) = arrived else { break };
                    let passed = matcher.matches(&piece.rows).values().set_indices().collect();
                    locked(&place).hand_on(piece, missed, passed, &outlet);
                }
            }
        }
        self.running().remove(&filter);
    }
}

impl Place {
    fn hand_on(&mut self, piece: Piece, missed: u64, passed: Arc<[usize]>, outlet: &Sender<Found>) {
        let Piece { rows, before, received } = piece;
        self.counted.missed += missed;
        self.received = Some(received);
        let passing = passed.len() as u64;
        if missed > 0 || passing > 0 {
            // An error means that nobody looks: the sieve is about to end.
            let _ = outlet.send(Found { rows, passed, before, counted: self.counted, received });
        }
        self.counted.passed += passing;
    }
}

/// Rows that pass a filter, from the moment of subscribing on. Ends when the feed does.
pub struct Subscription {
    receiver: Receiver<Found>,
    place: Arc<Mutex<Place>>,
    /// What the sieve had counted up to here.
    counted: Counted,
    /// Rows published up to here, as far as is known.
    expected: u64,
    since: Micros,
    _watching: Arc<()>,
}

impl Subscription {
    pub(super) const fn new(
        receiver: Receiver<Found>,
        place: Arc<Mutex<Place>>,
        counted: Counted,
        since: Published,
        watching: Arc<()>,
    ) -> Self {
        let Published { rows, last } = since;
        Self { receiver, place, counted, expected: rows, since: last, _watching: watching }
    }

    /// When the last rows before this subscription arrived.
    #[must_use]
    pub const fn since(&self) -> Micros {
        self.since
    }

    /// The next rows; `None` when the feed has ended. May be given up while it waits.
    pub async fn next(&mut self) -> Option<LiveItem> {
        loop {
            let Found { rows, passed, before, counted, received } = next(&mut self.receiver).await?;
            let was = self.counted;
            self.counted = Counted { passed: counted.passed + passed.len() as u64, ..counted };
            // A sieve may come later to what was published before.
            if let Some(gone) = before.checked_sub(self.expected) {
                // The first gap may have begun before this subscription.
                let missed = (counted.missed - was.missed).min(gone);
                self.expected = before.saturating_add(rows.num_rows() as u64);
                let skipped = counted.passed - was.passed;
                return Some(LiveItem { rows, passed, missed, skipped, received });
            }
        }
    }

    /// Up to when everything that arrived has been looked at, unless there is something that waits for `next`.
    #[must_use]
    pub fn seen(&self) -> Option<Micros> {
        let place = locked(&self.place);
        place.received.filter(|_| self.receiver.is_empty())
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

fn locked(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
