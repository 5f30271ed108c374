//! How old the oldest record of a lane is: a few moments remembered beside their numbers.

use bartizan_model::{Micros, Seq};
use std::collections::VecDeque;

/// Moments kept; when there are more, every second one is forgotten.
const KEPT: usize = 256;
/// Moments are at least this far apart.
const APART: i64 = 1_000_000;

/// When which number was appended, roughly.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    /// Rising in both.
    moments: VecDeque<(Seq, Micros)>,
    apart: i64,
}

impl Ages {
    /// A record was appended.
    pub(crate) fn note(&mut self, seq: Seq, now: Micros) {
        let since = self.moments.back().map_or(i64::MAX, |(_, at)| now.0.saturating_sub(at.0));
        // a clock that was set back begins anew
        if since < 0 {
            self.moments.clear();
        } else if since < self.apart.max(APART) {
            return;
        }
        self.moments.push_back((seq, now));
        if self.moments.len() > KEPT {
            let mut odd = false;
            self.moments.retain(|_| {
                odd = !odd;
                odd
            });
            self.apart = self.apart.max(APART) * 2;
        }
    }

    /// When the record with this number was appended, or somewhat before.
    pub(crate) fn of(&mut self, oldest: Seq) -> Option<Micros> {
        while self.moments.get(1).is_some_and(|(seq, _)| *seq <= oldest) {
            self.moments.pop_front();
        }
        if self.moments.len() < KEPT / 4 {
            self.apart = APART;
        }
        self.moments.front().map(|(_, at)| *at)
    }

    /// The same of any record, without forgetting those before it.
    pub(crate) fn around(&self, seq: Seq) -> Option<Micros> {
        let after = self.moments.partition_point(|(noted, _)| *noted <= seq);
        self.moments.get(after.saturating_sub(1)).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_never_younger_than_the_record_and_memory_is_bounded() {
        let mut ages = Ages::default();
        assert_eq!(ages.of(Seq(1)), None);
        for n in 1..=100_000_u64 {
            ages.note(Seq(n), Micros(n as i64 * 100_000));
        }
        assert!(ages.moments.len() <= KEPT);
        for oldest in [1, 500, 99_000, 100_000] {
            let age = ages.of(Seq(oldest)).unwrap();
            assert!(age.0 <= oldest as i64 * 100_000, "{oldest}: {age:?}");
            let later = ages.around(Seq(oldest + 500)).unwrap();
            assert!(age <= later && later.0 <= (oldest + 500) as i64 * 100_000, "{oldest}: {later:?}");
            assert_eq!(ages.of(Seq(oldest)), Some(age), "nothing was forgotten");
        }
        let last = ages.of(Seq(100_000)).unwrap().0;
        assert!(last > 9_000_000_000, "{last}");
    }
}
