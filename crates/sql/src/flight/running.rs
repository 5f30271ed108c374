//! The answers that are being given, by who asked and the name of the run, so that they can be cancelled; and how many
//! there may be.

use super::Begun;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Answers that are given at one time.
const MAX_RUNNING: usize = 256;
/// Of these to one asker.
const MAX_OF_ONE: usize = 64;

type Name = (u64, [u8; 16]);

/// Clones share the list.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<List>>);

#[derive(Default)]
struct List {
    runs: HashMap<Name, (u64, Arc<dyn Begun>)>,
    entered: u64,
}

/// An answer that is being given; it leaves the list when it is dropped.
pub(super) struct Entry {
    all: Running,
    name: Name,
    number: u64,
}

impl Running {
    /// Adds a run; nothing if there are too many. A ticket that is used again while it runs takes the place of the run
    /// before, which is cancelled thereby.
    pub(super) fn enter(&self, asker: u64, name: [u8; 16], run: Arc<dyn Begun>) -> Option<Entry> {
        let mut list = self.list();
        if let Some((_, before)) = list.runs.remove(&(asker, name)) {
            before.cancel();
        }
        let of_one = list.runs.keys().filter(|(who, _)| *who == asker).count();
        if list.runs.len() >= MAX_RUNNING || of_one >= MAX_OF_ONE {
            return None;
        }
        list.entered += 1;
        let number = list.entered;
        list.runs.insert((asker, name), (number, run));
        Some(Entry { all: self.clone(), name: (asker, name), number })
    }

    /// Whether there was such a run of this asker, and it is told to end.
    pub(super) fn cancel(&self, asker: u64, name: [u8; 16]) -> bool {
        let run = self.list().runs.remove(&(asker, name));
        run.is_some_and(|(_, run)| {
            run.cancel();
            true
        })
    }

    /// The map is whole at every moment that can panic.
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut list = self.all.list();
        // Another run may have taken its place.
        if list.runs.get(&self.name).is_some_and(|(number, _)| *number == self.number) {
            list.runs.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_query::Inquiry;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    struct Run(Arc<Inquiry>, AtomicBool);

    impl Begun for Run {
        fn inquiry(&self) -> &Arc<Inquiry> {
            &self.0
        }
        fn cancel(&self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn run() -> (Arc<Run>, Arc<dyn Begun>) {
        let run = Arc::<Run>::default();
        (Arc::clone(&run), run)
    }

    #[test]
    fn runs_are_cancelled_by_who_asked() {
        let running = Running::default();
        let was = |run: &Run| run.1.load(Ordering::Relaxed);
        let (one, begun) = run();
        let entry = running.enter(1, [7; 16], begun);
        assert!(entry.is_some() && !running.cancel(2, [7; 16]) && !running.cancel(1, [8; 16]) && !was(&one));
        assert!(running.cancel(1, [7; 16]) && was(&one) && !running.cancel(1, [7; 16]));
        drop(entry);
        let (first, begun) = run();
        let before = running.enter(1, [7; 16], begun);
        let (second, begun) = run();
        let after = running.enter(1, [7; 16], begun);
        assert!(was(&first) && !was(&second), "the place of a run is taken by the next one");
        drop(before);
        assert_eq!(running.list().runs.len(), 1);
        drop(after);
        assert!(running.list().runs.is_empty());
    }

    #[test]
    fn there_are_not_too_many() {
        let running = Running::default();
        let enter = |asker: u64, n: usize| {
            let mut name = [0; 16];
            name[..8].copy_from_slice(&(n as u64).to_le_bytes());
            running.enter(asker, name, run().1)
        };
        let mut of_one: Vec<_> = (0..MAX_OF_ONE).map(|n| enter(1, n).unwrap()).collect();
        assert!(enter(1, MAX_OF_ONE).is_none() && enter(2, 0).is_some());
        of_one.pop();
        assert!(enter(1, MAX_OF_ONE).is_some());
        let _others: Vec<_> = (of_one.len()..MAX_RUNNING).map(|n| enter(n as u64 + 2, n).unwrap()).collect();
        assert!(enter(9, MAX_OF_ONE).is_none());
    }
}
