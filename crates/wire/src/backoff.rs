use rand::Rng;
use std::time::Duration;

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
        let most =
            self.base.saturating_mul(1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX)).min(self.cap);
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
