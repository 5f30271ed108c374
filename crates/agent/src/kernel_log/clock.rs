//! The kernel's log has its own clock, which drifts away from all others.

use bartizan_model::Micros;
use std::time::{Duration, Instant};

/// How long a measured difference is believed.
const BELIEVED: Duration = Duration::from_secs(120);

/// Tells the wall clock's time of a message.
///
/// A message that is read while somebody waits for it was logged just now: the smallest difference seen lately
/// between the monotonic clock and its stamp is that of the clocks.
#[derive(Debug)]
pub(super) struct LogClock {
    now: Option<i64>,
    before: Option<i64>,
    since: Instant,
}

impl LogClock {
    pub(super) fn new(now: Instant) -> Self {
        Self { now: None, before: None, since: now }
    }

    /// A message was read as soon as it was there: its stamp, and the monotonic clock.
    pub(super) fn fresh(&mut self, stamp: i64, monotonic: i64, now: Instant) {
        if now.duration_since(self.since) >= BELIEVED {
            (self.before, self.now, self.since) = (self.now.take(), None, now);
        }
        let lag = monotonic - stamp;
        self.now = Some(self.now.map_or(lag, |known| known.min(lag)));
    }

    /// How long ago a message was logged.
    pub(super) fn age(&self, stamp: i64, monotonic: i64) -> Duration {
        let lag = match (self.now, self.before) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(0),
        };
        Duration::from_micros(u64::try_from(monotonic - stamp - lag).unwrap_or(0))
    }
}

/// The time of what was that long ago.
pub(super) fn ago(now: Micros, age: Duration) -> Micros {
    Micros(now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_measured_and_old_measures_are_forgotten() {
        let start = Instant::now();
        let mut clock = LogClock::new(start);
        assert_eq!(clock.age(1_000_000, 3_000_000), Duration::from_secs(2));
        // the log's clock is 5 s behind; this message waited 3 ms
        clock.fresh(10_000_000, 15_003_000, start);
        clock.fresh(11_000_000, 16_000_000, start);
        assert_eq!(clock.age(11_500_000, 16_600_000), Duration::from_millis(100));
        assert_eq!(clock.age(20_000_000, 16_000_000), Duration::ZERO);
        // later it is 6 s behind
        for n in 1..=2 {
            clock.fresh(11_000_000, 17_000_000, start + BELIEVED * n);
        }
        assert_eq!(clock.age(11_000_000, 17_000_000), Duration::ZERO);
        assert_eq!(ago(Micros(5_000_000), Duration::from_secs(2)), Micros(3_000_000));
    }
}
