//! A clock by which things may be deleted.
//!
//! The wall clock may be set wrong at any moment, and what retention deletes does not come back. So its steps ahead
//! are believed only when they have stood for a day; until then time goes on as it did before the step. A step back
//! deletes nothing early and is believed at once.

use bartizan_model::Micros;
use std::time::{Duration, Instant};

/// How far the wall clock may get ahead of time without being doubted: slewing, and small corrections.
const SLACK: i64 = 10 * 60 * 1_000_000;
/// How far it may be ahead of the last time that is known of before this process: a night without the server.
const ABSENCE: i64 = Micros::DAY;
/// How long a step must stand.
const STANDS: Duration = Duration::from_secs(24 * 3600);

/// Time as it is believed.
#[derive(Debug)]
pub(crate) struct Steady {
    believed: Micros,
    at: Instant,
    /// Since when the wall clock is ahead, and by how much.
    doubt: Option<(Instant, i64)>,
    /// How far the next look may be ahead.
    slack: i64,
}

impl Steady {
    /// Begins with what was last believed, if anything was.
    pub(crate) fn new(last: Option<Micros>, wall: Micros, at: Instant) -> Self {
        match last {
            Some(last) => Self { believed: last, at, doubt: None, slack: ABSENCE },
            None => Self { believed: wall, at, doubt: None, slack: SLACK },
        }
    }

    /// The time by which things may be deleted.
    pub(crate) fn now(&mut self, wall: Micros, at: Instant) -> Micros {
        let passed = i64::try_from(at.saturating_duration_since(self.at).as_micros()).unwrap_or(i64::MAX);
        let expected = Micros(self.believed.0.saturating_add(passed));
        let ahead = wall.0.saturating_sub(expected.0);
        let stood = match self.doubt {
            // the same step, not another one
            Some((since, by)) if by.abs_diff(ahead) <= SLACK.unsigned_abs() => {
                at.saturating_duration_since(since) >= STANDS
            }
            _ => false,
        };
        if ahead <= self.slack || stood {
            *self = Self { believed: wall, at, doubt: None, slack: SLACK };
            return wall;
        }
        if self.doubt.is_none_or(|(_, by)| by.abs_diff(ahead) > SLACK.unsigned_abs()) {
            tracing::warn!(
                hours = ahead / 3_600_000_000,
                "the clock is ahead; nothing is deleted by it for a day"
            );
            self.doubt = Some((at, ahead));
        }
        expected
    }

    /// By how many microseconds the wall clock is ahead of what is believed, while it is doubted.
    pub(crate) fn doubt(&self) -> Option<i64> {
        self.doubt.map(|(_, by)| by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const T: i64 = 1_795_000_000_000_000;

    /// The clock at so many hours since the beginning, with the wall clock off by so many.
    fn look(steady: &mut Steady, start: Instant, hours: u64, off: i64) -> i64 {
        let at = start + Duration::from_secs(hours * 3600);
        let wall = Micros(T + i64::try_from(hours).unwrap() * HOUR + off * HOUR);
        (steady.now(wall, at).0 - T) / HOUR
    }

    #[test]
    fn a_step_ahead_counts_when_it_has_stood_for_a_day() {
        let start = Instant::now();
        let mut steady = Steady::new(None, Micros(T), start);
        assert_eq!(look(&mut steady, start, 1, 0), 1);
        // A day ahead, at once: time goes on as before.
        assert_eq!(look(&mut steady, start, 2, 24), 2);
        assert_eq!(steady.doubt(), Some(24 * HOUR));
        assert_eq!(look(&mut steady, start, 20, 24), 20);
        // Another step begins another day.
        assert_eq!(look(&mut steady, start, 25, 87_600), 25);
        assert_eq!(look(&mut steady, start, 48, 87_600), 48);
        assert_eq!(look(&mut steady, start, 49, 87_600), 49 + 87_600);
        assert_eq!(steady.doubt(), None);
    }

    #[test]
    fn a_step_that_is_taken_back_never_counted() {
        let start = Instant::now();
        let mut steady = Steady::new(None, Micros(T), start);
        assert_eq!(look(&mut steady, start, 2, 24), 2);
        assert_eq!(look(&mut steady, start, 3, 0), 3);
        assert_eq!(steady.doubt(), None);
        assert_eq!(look(&mut steady, start, 30, 24), 30, "the day begins anew");
        assert_eq!(look(&mut steady, start, 31, -24), 7, "back is believed");
        assert_eq!(look(&mut steady, start, 32, -24), 8);
    }

    #[test]
    fn after_a_start_the_last_time_counts() {
        let start = Instant::now();
        let mut steady = Steady::new(Some(Micros(T - 10 * HOUR)), Micros(T), start);
        assert_eq!(look(&mut steady, start, 0, 0), 0, "a night without the server");
        let mut steady = Steady::new(Some(Micros(T)), Micros(T + 30 * 24 * HOUR), start);
        assert_eq!(look(&mut steady, start, 0, 720), 0, "a month without it, or a wrong clock");
        assert_eq!(look(&mut steady, start, 24, 720), 744);
    }
}
