//! Lines that another file has as well.
//!
//! `kern.log`, `syslog` and `ufw.log` of one host hold the same lines. A line is known by its bytes, its host where
//! that was given, and how many equal ones stand before it under the same stamp: of a line that one file has twice
//! and another three times, three are imported. A line that is again in its own file later on is not another file's,
//! and imported. What was imported of a file in an earlier run is looked at before
//! anything new is read, so that the answer is the same in every run.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

/// Lines that are remembered; 20 to 40 bytes each.
const MAX: usize = 3_000_000;
/// Bytes at the front of a line that hold its stamp.
const STAMP: usize = 15;

/// Whether a line can be a firewall's; others are not remembered.
pub(crate) fn looks(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"IN=").is_some() || memchr::memmem::find(line, b"PROTO=").is_some()
}

/// The firewall lines that were read, of all files.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each with the file that had it first, by the day of their stamp, so that the oldest can be forgotten.
    days: BTreeMap<i64, HashMap<u64, u32>>,
    files: u32,
    lines: usize,
    hasher: RandomState,
    forgotten: u64,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lines that were forgotten because there were too many: whether others are equal to them was not seen.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Adds a line of a file; false if another file had it.
    fn add(&mut self, file: u32, day: i64, line: u64) -> bool {
        match self.days.entry(day).or_default().entry(line) {
            Entry::Occupied(first) => return *first.get() == file,
            Entry::Vacant(free) => _ = free.insert(file),
        }
        self.lines += 1;
        if self.lines > MAX
            && let Some((_, oldest)) = self.days.pop_first()
        {
            self.lines -= oldest.len();
            self.forgotten += oldest.len() as u64;
        }
        true
    }
}

/// The lines of one file on their way to [`Seen`].
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The file's number, once it has one.
    file: Option<u32>,
    /// How often each line was there under this stamp, and under the one before: lines are a little out of order.
    counts: [([u8; STAMP], HashMap<u64, u64>); 2],
}

impl Lines {
    /// Forgets what stood before, not which file it is.
    pub(crate) fn restart(&mut self) {
        *self = Self { file: self.file, ..Self::default() };
    }

    /// Takes a line; whether no other file has it.
    pub(crate) fn is_new(&mut self, seen: &mut Seen, host: &str, day: i64, line: &[u8]) -> bool {
        if let Some(stamp) = line.first_chunk::<STAMP>()
            && *stamp != self.counts[0].0
        {
            self.counts.swap(0, 1);
            if self.counts[0].0 != *stamp {
                self.counts[0].0 = *stamp;
                self.counts[0].1.clear();
            }
        }
        let hash = seen.hasher.hash_one((host, line.trim_ascii_end()));
        let count = self.counts[0].1.entry(hash).or_default();
        *count += 1;
        let number = *count;
        let file = *self.file.get_or_insert_with(|| {
            seen.files += 1;
            seen.files
        });
        seen.add(file, day, seen.hasher.hash_one((hash, number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"Jan  8 03:37:09 gw kernel: IN=eth0 OUT= SRC=1.2.3.4 A\n";
    const B: &[u8] = b"Jan  8 03:37:10 gw kernel: IN=eth0 OUT= SRC=1.2.3.4 B\n";

    fn new(seen: &mut Seen, lines: &[&[u8]]) -> usize {
        let mut file = Lines::default();
        lines.iter().filter(|line| file.is_new(seen, "", 1, line)).count()
    }

    #[test]
    fn of_equal_lines_the_file_with_most_counts() {
        let mut seen = Seen::new();
        assert_eq!(new(&mut seen, &[A, A, B]), 3);
        assert_eq!(new(&mut seen, &[A, B]), 0);
        assert_eq!(new(&mut seen, &[A, A, A, B, A]), 2);
        assert_eq!(new(&mut seen, &[A.trim_ascii_end()]), 0);
    }

    #[test]
    fn a_file_is_not_another_file_to_itself() {
        let mut seen = Seen::new();
        let c = [b"Feb", &A[3..]].concat();
        // the same line again, long after
        assert_eq!(new(&mut seen, &[A, B, &c, A, B]), 5);
        assert_eq!(new(&mut seen, &[A, B, &c, A, B]), 0);
    }

    #[test]
    fn lines_of_two_hosts_are_two() {
        let mut seen = Seen::new();
        assert!(Lines::default().is_new(&mut seen, "a", 1, A));
        assert!(Lines::default().is_new(&mut seen, "b", 1, A));
        assert!(!Lines::default().is_new(&mut seen, "b", 1, A));
    }
}
