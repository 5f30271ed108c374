//! The newest rows, as many as are kept.

use serde_json::{Map, Value};
use std::collections::VecDeque;

/// Most rows that are kept.
pub(super) const MOST: usize = 50_000;
/// Most bytes of rows that are kept, whatever they hold.
const MOST_BYTES: usize = 64 << 20;

/// Rows by number: the first ever has 0, and the oldest are gone.
#[derive(Debug, Default)]
pub(super) struct Ring {
    rows: VecDeque<Box<str>>,
    bytes: usize,
    /// The number of the oldest row.
    first: u64,
}

impl Ring {
    pub(super) fn push(&mut self, line: Box<str>) {
        self.bytes += line.len();
        self.rows.push_back(line);
        while self.rows.len() > MOST || self.bytes > MOST_BYTES {
            let Some(gone) = self.rows.pop_front() else { return };
            self.bytes -= gone.len();
            self.first += 1;
        }
    }

    /// Forgets the rows, but not their numbers.
    pub(super) fn clear(&mut self) {
        self.first = self.end();
        self.rows.clear();
        self.bytes = 0;
    }

    /// The number of the oldest row.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next row will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row, read anew each time: only those on the screen are.
    pub(super) fn row(&self, number: u64) -> Option<Map<String, Value>> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        serde_json::from_str(self.rows.get(at)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_newest_and_their_numbers() {
        let mut ring = Ring::default();
        for n in 0..MOST + 10 {
            ring.push(format!("{{\"n\":{n}}}").into());
        }
        assert_eq!((ring.first(), ring.end()), (10, MOST as u64 + 10));
        assert_eq!(ring.row(10).unwrap()["n"], 10);
        assert!(ring.row(9).is_none() && ring.row(ring.end()).is_none());
        ring.clear();
        assert!(ring.is_empty() && ring.end() == MOST as u64 + 10);
    }

    #[test]
    fn long_rows_do_not_take_more_memory() {
        let mut ring = Ring::default();
        for _ in 0..100 {
            ring.push("x".repeat(1 << 20).into());
        }
        assert!(ring.bytes <= MOST_BYTES && ring.first() == 36);
    }
}
