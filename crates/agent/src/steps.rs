//! Steps of the clock: rows carry the clock's time and keep their order by number, so that a step harms nothing, but
//! people want to know.

use bartizan_model::Micros;
use std::time::Instant;

/// Less is slewing, or a busy machine.
const STEP: i64 = 1_000_000;

/// Compares the clock of the day with one that only goes on.
#[derive(Debug)]
pub(crate) struct Steps {
    wall: Micros,
    steady: Instant,
}

impl Steps {
    pub(crate) fn new(wall: Micros, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// By how many microseconds the clock was stepped since the last call, when that is a second or more. A machine
    /// that slept looks the same: its steady clock stood still.
    pub(crate) fn look(&mut self, wall: Micros, steady: Instant) -> Option<i64> {
        let passed = i64::try_from(steady.saturating_duration_since(self.steady).as_micros()).ok()?;
        let step = wall.0.saturating_sub(self.wall.0).saturating_sub(passed);
        (self.wall, self.steady) = (wall, steady);
        (step.saturating_abs() >= STEP).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn steps_are_seen_once_and_slewing_is_none() {
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        let mut steps = Steps::new(Micros(0), start);
        assert_eq!(steps.look(Micros(1_000_500), at(1)), None);
        let hour = 3_600_000_000;
        assert_eq!(steps.look(Micros(2_000_500 + hour), at(2)), Some(hour));
        assert_eq!(steps.look(Micros(3_000_500 + hour), at(3)), None);
        assert_eq!(steps.look(Micros(4_000_500), at(4)), Some(-hour));
        // ten years back, to before 1970
        assert!(steps.look(Micros(i64::MIN), at(5)).is_some_and(|step| step < 0));
    }
}
