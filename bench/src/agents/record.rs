//! What the simulated agents saw, for all of them together.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bins in which attempts are counted.
const BIN: Duration = Duration::from_millis(100);

/// Moments of attempts and of streams, and how many are open.
#[derive(Debug, Default)]
pub(super) struct Record {
    attempts: Moments,
    opened: Moments,
    open: AtomicUsize,
    committed: AtomicU64,
}

/// A stream that is open, for as long as this lives.
pub(super) struct Open<'a>(&'a Record);

impl Record {
    /// Somebody begins to connect.
    pub(super) fn attempt(&self) {
        self.attempts.note();
    }

    /// Somebody may send.
    pub(super) fn open(&self) -> Open<'_> {
        self.opened.note();
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    /// So many streams are open.
    pub(super) fn streams(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The server has so many rows more.
    pub(super) fn commit(&self, rows: u64) {
        self.committed.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows that the server said it has.
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Attempts, and streams that were opened, since the last time that somebody asked.
    pub(super) fn take(&self) -> (Vec<Instant>, Vec<Instant>) {
        (self.attempts.take(), self.opened.take())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Moments(Mutex<Vec<Instant>>);

impl Moments {
    fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    fn take(&self) -> Vec<Instant> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The fullest bin over the mean of all from the first moment to the last.
pub(super) fn peak_over_mean(moments: &[Instant]) -> f64 {
    let (Some(first), Some(last)) = (moments.iter().min(), moments.iter().max()) else { return f64::NAN };
    let bin = |at: &Instant| (at.duration_since(*first).as_nanos() / BIN.as_nanos()) as usize;
    let mut bins = vec![0_u32; bin(last) + 1];
    for at in moments {
        bins[bin(at)] += 1;
    }
    let peak = bins.iter().max().copied().unwrap_or_default();
    f64::from(peak) * bins.len() as f64 / moments.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_a_tenth_of_a_second() {
        let now = Instant::now();
        let at = |millis: u64| now + Duration::from_millis(millis);
        // Bins of 3, 0, 0 and 1.
        assert!((peak_over_mean(&[at(99), at(0), at(310), at(50)]) - 3.0).abs() < 1e-9);
        assert!((peak_over_mean(&[at(5)]) - 1.0).abs() < 1e-9);
        assert!(peak_over_mean(&[]).is_nan());
    }
}
