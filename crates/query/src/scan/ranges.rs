//! Sets of rows of a row group, as ranges.

use parquet::arrow::arrow_reader::RowSelection;
use std::ops::Range;

/// Ascending, none empty, no two of them touching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<usize>>);

impl Ranges {
    pub(crate) fn all(rows: usize) -> Self {
        let mut all = Self::default();
        all.push(0..rows);
        all
    }

    /// Adds rows that are not before those added last.
    pub(crate) fn push(&mut self, rows: Range<usize>) {
        match self.0.last_mut() {
            _ if rows.is_empty() => {}
            Some(last) if rows.start <= last.end => last.end = last.end.max(rows.end),
            _ => self.0.push(rows),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rows(&self) -> usize {
        self.0.iter().map(ExactSizeIterator::len).sum()
    }

    /// Each row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(Clone::clone)
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Self::default();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            both.push(x.start.max(y.start)..x.end.min(y.end));
            if x.end < y.end {
                a.next()
            } else {
                b.next()
            };
        }
        both
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        let mut parts: Vec<_> = self.0.iter().chain(&other.0).cloned().collect();
        parts.sort_unstable_by_key(|r| r.start);
        let mut either = Self::default();
        parts.into_iter().for_each(|part| either.push(part));
        either
    }

    /// Takes the last rows, up to `n` of them.
    pub(crate) fn split_last(&mut self, n: usize) -> Self {
        let mut taken = Vec::new();
        let mut left = n;
        while left > 0
            && let Some(last) = self.0.pop()
        {
            if last.len() > left {
                let cut = last.end - left;
                self.0.push(last.start..cut);
                taken.push(cut..last.end);
                break;
            }
            left -= last.len();
            taken.push(last);
        }
        taken.reverse();
        Self(taken)
    }

    /// Takes the first rows, up to `n` of them.
    pub(crate) fn split_first(&mut self, n: usize) -> Self {
        let rest = self.rows().saturating_sub(n);
        let rest = self.split_last(rest);
        std::mem::replace(self, rest)
    }

    pub(crate) fn selection(&self, rows: usize) -> RowSelection {
        RowSelection::from_consecutive_ranges(self.0.iter().cloned(), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(rows: &[bool]) -> Ranges {
        let mut ranges = Ranges::default();
        for (row, _) in rows.iter().enumerate().filter(|(_, is)| **is) {
            ranges.push(row..row + 1);
        }
        ranges
    }

    fn bits(ranges: &Ranges) -> Vec<usize> {
        assert!(ranges.0.iter().all(|r| !r.is_empty()) && ranges.0.windows(2).all(|w| w[0].end < w[1].start));
        ranges.iter().collect()
    }

    proptest! {
        #[test]
        fn ranges_are_sets(pairs in prop::collection::vec(any::<(bool, bool)>(), 0..40), n in 0_usize..45) {
            let (a, b): (Vec<bool>, Vec<bool>) = pairs.iter().copied().unzip();
            let (x, y) = (of(&a), of(&b));
            let rows = |test: fn(bool, bool) -> bool| -> Vec<usize> {
                (0..pairs.len()).filter(|i| test(a[*i], b[*i])).collect()
            };
            prop_assert_eq!(bits(&x.and(&y)), rows(|a, b| a && b));
            prop_assert_eq!(bits(&x.or(&y)), rows(|a, b| a || b));
            let all = bits(&x);
            prop_assert_eq!(x.rows(), all.len());
            let (mut front, mut back) = (x.clone(), x);
            let (first, last) = (front.split_first(n), back.split_last(n));
            let n = n.min(all.len());
            prop_assert_eq!(bits(&first), &all[..n]);
            prop_assert_eq!(bits(&front), &all[n..]);
            prop_assert_eq!(bits(&last), &all[all.len() - n..]);
            prop_assert_eq!(bits(&back), &all[..all.len() - n]);
        }
    }
}
