//! When to connect again.

use crate::ErrorKind;
use rand::Rng;
use std::time::Duration;

/// Pauses between connections: the range of the first, and of the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A connection that lasted this long was a good one: the pauses begin anew.
const STEADY: Duration = Duration::from_secs(10);
/// After a refusal of this host a person has to act; asking again soon helps nobody.
const DENIED_PAUSE: Duration = Duration::from_secs(30);
/// What a host may take of a server's time to come back: 250 hosts a second leave most of two cores to what they bring.
const OF_ONE_HOST: Duration = Duration::from_millis(4);

/// Over what time a fleet of so many hosts comes back to a server that was away: what a server tells its hosts, while all
/// is well, for the moment in which it cannot.
#[must_use]
pub fn spread_of(hosts: usize) -> Duration {
    OF_ONE_HOST.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX)).clamp(PAUSES.0, PAUSES.1)
}

/// The pauses of one sender, by how its connections end.
///
/// Where a whole server is lost, all of its hosts are at the same moment: each waits for any part of the time that the
/// server has asked for, the first pause included, and goes on to do so as long as the server is away (fault F36).
#[derive(Clone, Copy, Debug)]
pub struct Reconnect {
    backoff: Backoff,
    spread: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { backoff: Backoff::new(PAUSES.0, PAUSES.1), spread: Duration::ZERO }
    }
}

impl Reconnect {
    /// How long to wait after a connection, or an attempt, that ended with an error of this kind (`None`: with one of
    /// our own). `met` is for how long there was a connection, and the spread that the server has asked for.
    pub fn pause(
        &mut self,
        kind: Option<ErrorKind>,
        met: Option<(Duration, Option<Duration>)>,
        rng: &mut impl Rng,
    ) -> Duration {
        if let Some((lasted, spread)) = met {
            if lasted > STEADY {
                self.backoff.reset();
            }
            // An older server says nothing, and one that turns a host away says it not yet.
            self.spread = spread.unwrap_or(self.spread);
        }
        match kind {
            Some(ErrorKind::Denied | ErrorKind::OtherFleet) => DENIED_PAUSE,
            Some(ErrorKind::Unreachable | ErrorKind::Tls) => self.backoff.pause_within(self.spread, rng),
            // Of nobody else's concern.
            _ => self.backoff.pause(rng),
        }
    }

    /// The next pause is a first one: there is reason to hope.
    pub const fn reset(&mut self) {
        self.backoff.reset();
        self.spread = Duration::ZERO;
    }
}

/// Pauses between attempts: anything from nothing to `base` doubled with each attempt, up to `cap`.
///
/// Full jitter, the first pause included: ten thousand agents whose server restarts come back spread out,
/// and do not come back as one again later. (M. Brooker, Exponential Backoff And Jitter, 2015)
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// With the range of the first pause and of the longest.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// How long to wait before the next attempt.
    pub fn pause(&mut self, rng: &mut impl Rng) -> Duration {
        self.pause_within(Duration::ZERO, rng)
    }

    /// The same, out of a range that is at least so wide, up to the cap.
    pub fn pause_within(&mut self, least: Duration, rng: &mut impl Rng) -> Duration {
        let doubled = self.base.saturating_mul(1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX));
        let most = doubled.max(least).min(self.cap);
        self.attempt = (self.attempt + 1).min(31);
        Duration::from_micros(rng.random_range(0..=u64::try_from(most.as_micros()).unwrap_or(u64::MAX)))
    }

    /// After a success.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn pauses_fill_a_range_that_doubles_up_to_the_cap() {
        let mut rng = StdRng::seed_from_u64(1);
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        for attempt in 0..100_u32 {
            let most = base.saturating_mul(1 << attempt.min(20)).min(cap);
            let pauses: Vec<_> = (0..200)
                .map(|_| {
                    let mut backoff = Backoff { base, cap, attempt: attempt.min(31) };
                    backoff.pause(&mut rng)
                })
                .collect();
            assert!(pauses.iter().all(|p| *p <= most));
            assert!(pauses.iter().any(|p| *p < most / 10), "jitter is full, the first pause included");
            assert!(pauses.iter().any(|p| *p > most * 9 / 10));
        }
    }

    #[test]
    fn a_fleet_that_lost_its_server_comes_back_spread_out() {
        let mut rng = StdRng::seed_from_u64(3);
        let lost = Some(ErrorKind::Unreachable);
        let met = Some((Duration::from_secs(600), Some(spread_of(10_000))));
        // Attempts in bins of 100 ms; the server is away for three seconds.
        let mut bins = vec![0_u32; 1200];
        for _ in 0..10_000 {
            let mut reconnect = Reconnect::default();
            let mut at = reconnect.pause(lost, met, &mut rng);
            loop {
                bins[usize::try_from(at.as_millis() / 100).unwrap()] += 1;
                if at > Duration::from_secs(3) {
                    break;
                }
                at += reconnect.pause(lost, None, &mut rng);
            }
        }
        let last = bins.iter().rposition(|n| *n > 0).unwrap();
        assert!(last < 900, "all are back within 90 s: {last}");
        let mean = f64::from(bins.iter().sum::<u32>()) / (last + 1) as f64;
        let peak = f64::from(*bins.iter().max().unwrap());
        assert!(peak < 3.0 * mean, "{peak} {mean}");
    }

    #[test]
    fn who_is_alone_with_it_does_not_wait_for_a_fleet() {
        let mut rng = StdRng::seed_from_u64(4);
        let met = |spread| Some((Duration::from_secs(600), spread));
        let mut pauses = |kind, met| -> Duration {
            (0..100).map(|_| Reconnect::default().pause(kind, met, &mut rng)).max().unwrap()
        };
        let spread = Some(spread_of(10_000));
        assert!(pauses(Some(ErrorKind::Unreachable), met(spread)) > Duration::from_secs(20));
        assert!(pauses(Some(ErrorKind::Ended), met(spread)) <= PAUSES.0);
        assert!(pauses(Some(ErrorKind::Expired), met(spread)) <= PAUSES.0);
        assert!(pauses(None, met(spread)) <= PAUSES.0);
        assert!(pauses(Some(ErrorKind::Unreachable), met(None)) <= PAUSES.0, "an older server");
        assert_eq!(pauses(Some(ErrorKind::Denied), met(spread)), DENIED_PAUSE);
        assert_eq!((spread_of(0), spread_of(usize::MAX)), PAUSES);
    }

    #[test]
    fn never_overflows_and_starts_again() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            backoff.pause(&mut rng);
        }
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(60));
        for _ in 0..100 {
            backoff.pause(&mut rng);
        }
        backoff.reset();
        assert!(backoff.pause(&mut rng) <= Duration::from_millis(1));
    }
}
