//! Sets of pairs of codes, in memory that many threads fill at once.
//!
//! Pairs lie in parts by their first code, so that all pairs of a group are in one part, and a part fits a processor's
//! cache while it is sorted. A part is sorted and freed of repetitions each time that it has doubled. Memory is taken
//! from the question's share before it is used; what does not fit ends the question.

use super::codes::{Code, NULL, space};
use crate::QueryError;
use datafusion::execution::memory_pool::MemoryReservation;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts by group.
pub(crate) const PARTS: usize = 128;
/// Kinds of pairs by the spaces of their codes: the group in one of three, the value in one of two.
pub(crate) const SPACES: usize = 6;
/// Pairs that a thread gathers before it gives them away.
const GATHERED: usize = 256;
/// Pairs of a part that are not worth sorting yet.
const FEW: usize = 16_384;
/// Pairs that a thread remembers having given.
const RECENT: usize = 8192;

/// A part: the codes of group and value without their spaces, as one number.
#[derive(Default)]
struct Part {
    pairs: Vec<u64>,
    tidy_at: usize,
    taken: usize,
}

/// A set of pairs (group, value). No value is no pair.
pub(crate) struct Pairs {
    parts: Vec<Mutex<Part>>,
    memory: MemoryReservation,
}

/// What one thread adds.
pub(crate) struct Gatherer<'a> {
    pairs: &'a Pairs,
    gathered: Vec<Vec<u64>>,
    recent: Vec<(Code, Code)>,
    last: (Code, Code),
}

fn mix(code: u64) -> u64 {
    code.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where a group's pairs are.
pub(crate) fn part_of(group: Code) -> usize {
    (mix(group) >> 57) as usize
}

fn place(group: Code, value: Code) -> usize {
    (space(group) * 2 + space(value)) as usize * PARTS + part_of(group)
}

impl Pairs {
    pub(crate) fn new(memory: MemoryReservation) -> Self {
        Self { parts: (0..PARTS * SPACES).map(|_| Mutex::default()).collect(), memory }
    }

    pub(crate) fn gatherer(&self) -> Gatherer<'_> {
        Gatherer {
            pairs: self,
            gathered: vec![Vec::new(); PARTS * SPACES],
            recent: vec![(Code::MAX, Code::MAX); RECENT],
            last: (Code::MAX, Code::MAX),
        }
    }

    fn take(&self, place: usize, pairs: &mut Vec<u64>) -> Result<(), QueryError> {
        let mut part = self.part(place);
        part.pairs.append(pairs);
        if part.pairs.len() > part.tidy_at.max(FEW) {
            tidy(&mut part.pairs);
            part.tidy_at = part.pairs.len() * 2;
        }
        let bytes = part.pairs.capacity() * size_of::<u64>();
        if bytes > part.taken {
            self.memory.try_grow(bytes - part.taken)?;
            part.taken = bytes;
        }
        Ok(())
    }

    fn part(&self, place: usize) -> MutexGuard<'_, Part> {
        self.parts[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups of a part, ascending, and how many values each has.
    pub(crate) fn counts(&self, part: usize) -> Vec<(Code, u64)> {
        let mut counts: Vec<(Code, u64)> = Vec::new();
        for spaces in 0..SPACES {
            let mut part = self.part(spaces * PARTS + part);
            tidy(&mut part.pairs);
            let group_space = (spaces as u64 / 2) << 32;
            let from = counts.len();
            for pair in &part.pairs {
                let group = group_space | pair >> 32;
                match counts[from..].last_mut() {
                    Some((last, n)) if *last == group => *n += 1,
                    _ => counts.push((group, 1)),
                }
            }
        }
        // The same group may have values of both spaces.
        counts.sort_unstable();
        counts.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 += next.1;
            }
            same
        });
        counts
    }
}

fn tidy(pairs: &mut Vec<u64>) {
    pairs.sort_unstable();
    pairs.dedup();
}

impl Gatherer<'_> {
    pub(crate) fn add(&mut self, group: Code, value: Code) -> Result<(), QueryError> {
        let pair = (group, value);
        if space(value) == NULL || pair == self.last {
            return Ok(());
        }
        self.last = pair;
        let recent = &mut self.recent[(mix(group ^ value.rotate_left(17)) >> 51) as usize];
        if *recent == pair {
            return Ok(());
        }
        *recent = pair;
        let place = place(group, value);
        let gathered = &mut self.gathered[place];
        gathered.push(group << 32 | value & u64::from(u32::MAX));
        if gathered.len() >= GATHERED { self.pairs.take(place, gathered) } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<(), QueryError> {
        for (place, gathered) in self.gathered.iter_mut().enumerate().filter(|(_, g)| !g.is_empty()) {
            self.pairs.take(place, gathered)?;
        }
        Ok(())
    }
}

/// How many rows each group has.
pub(crate) struct Sums {
    parts: Vec<Mutex<SumPart>>,
    memory: MemoryReservation,
}

#[derive(Default)]
struct SumPart {
    sums: Vec<(Code, u64)>,
    tidy_at: usize,
    taken: usize,
}

/// Groups that a thread counts before it gives the counts away.
const COUNTED: usize = 4096;

/// What one thread counts.
pub(crate) struct Counter<'a> {
    sums: &'a Sums,
    counted: Vec<(Code, u64)>,
    gathered: Vec<Vec<(Code, u64)>>,
}

impl Sums {
    pub(crate) fn new(memory: MemoryReservation) -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), memory }
    }

    pub(crate) fn counter(&self) -> Counter<'_> {
        Counter { sums: self, counted: vec![(Code::MAX, 0); COUNTED], gathered: vec![Vec::new(); PARTS] }
    }

    fn take(&self, place: usize, sums: &mut Vec<(Code, u64)>) -> Result<(), QueryError> {
        let mut part = self.parts[place].lock().unwrap_or_else(PoisonError::into_inner);
        part.sums.append(sums);
        if part.sums.len() > part.tidy_at.max(FEW) {
            add_up(&mut part.sums);
            part.tidy_at = part.sums.len() * 2;
        }
        let bytes = part.sums.capacity() * size_of::<(Code, u64)>();
        if bytes > part.taken {
            self.memory.try_grow(bytes - part.taken)?;
            part.taken = bytes;
        }
        Ok(())
    }

    /// The groups of a part, ascending, and their rows.
    pub(crate) fn rows(&self, part: usize) -> Vec<(Code, u64)> {
        let mut part = self.parts[part].lock().unwrap_or_else(PoisonError::into_inner);
        add_up(&mut part.sums);
        std::mem::take(&mut part.sums)
    }
}

fn add_up(sums: &mut Vec<(Code, u64)>) {
    sums.sort_unstable_by_key(|(group, _)| *group);
    sums.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 += next.1;
        }
        same
    });
}

impl Counter<'_> {
    pub(crate) fn add(&mut self, group: Code, rows: u64) -> Result<(), QueryError> {
        let counted = &mut self.counted[(mix(group) >> 52) as usize];
        if counted.0 == group {
            counted.1 += rows;
            return Ok(());
        }
        let before = std::mem::replace(counted, (group, rows));
        if before.1 > 0 { self.give(before) } else { Ok(()) }
    }

    fn give(&mut self, sum: (Code, u64)) -> Result<(), QueryError> {
        let place = part_of(sum.0);
        let gathered = &mut self.gathered[place];
        gathered.push(sum);
        if gathered.len() >= GATHERED { self.sums.take(place, gathered) } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<(), QueryError> {
        for sum in std::mem::take(&mut self.counted) {
            if sum.1 > 0 {
                self.give(sum)?;
            }
        }
        for place in 0..PARTS {
            let mut gathered = std::mem::take(&mut self.gathered[place]);
            if !gathered.is_empty() {
                self.sums.take(place, &mut gathered)?;
            }
        }
        Ok(())
    }
}
