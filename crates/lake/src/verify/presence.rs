//! Which rows were seen: each name at most once, and no hole between two of a batch.
//!
//! A row's name is (stream, batch, position). Positions of one batch are bits, 64 to a word, so that a hundred million
//! rows of full batches cost about as many bits, and in the worst case (batches of one row) some forty bytes a row.

use crate::error::LakeError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use std::collections::{BTreeMap, HashMap};

/// The columns that make a row's name.
pub(super) const NAME: [&str; 3] = ["stream", "seq", "row"];

type Word = (u32, i64, u32);

#[derive(Debug, Default)]
pub(super) struct Presence {
    numbers: HashMap<String, u32>,
    streams: Vec<String>,
    words: hashbrown::HashMap<Word, u64, foldhash::fast::RandomState>,
    /// The highest batch of each stream.
    highest: Vec<i64>,
}

/// Rows of one batch that were seen before.
pub(super) type Again = BTreeMap<(String, i64), u64>;

/// What is missing between rows of one batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holes {
    pub rows: u64,
    pub first: (String, i64),
}

impl Presence {
    /// Takes the rows of a batch that has the columns of [`NAME`], and notes those that were there before.
    pub(super) fn see(&mut self, rows: &RecordBatch, again: &mut Again) -> Result<(), LakeError> {
        let wrong = |what: &str| LakeError::Rows { reason: format!("no {what} in the rows") };
        let column = |name: &str| rows.column_by_name(name).filter(|c| c.null_count() == 0);
        let streams = column("stream").and_then(|c| c.as_string_view_opt()).ok_or_else(|| wrong("stream"))?;
        let seqs =
            column("seq").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(|| wrong("seq"))?;
        let at = column("row").and_then(|c| c.as_primitive_opt::<Int32Type>()).ok_or_else(|| wrong("row"))?;
        let (mut known, mut number) = ("", None);
        let (mut word, mut bits): (Option<Word>, u64) = (None, 0);
        for row in 0..rows.num_rows() {
            let (stream, seq) = (streams.value(row), seqs.value(row));
            let stream = match number {
                Some(number) if known == stream => number,
                _ => self.number(stream),
            };
            (known, number) = (streams.value(row), Some(stream));
            let position = u32::try_from(at.value(row)).map_err(|_| wrong("position"))?;
            let (key, bit) = ((stream, seq, position / 64), 1 << (position % 64));
            if word != Some(key) {
                self.put(word, bits, again);
                (word, bits) = (Some(key), 0);
            }
            if bits & bit != 0 {
                self.again(key, 1, again);
            }
            bits |= bit;
        }
        self.put(word, bits, again);
        Ok(())
    }

    fn number(&mut self, stream: &str) -> u32 {
        if let Some(number) = self.numbers.get(stream) {
            return *number;
        }
        let number = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        self.numbers.insert(stream.to_owned(), number);
        self.streams.push(stream.to_owned());
        self.highest.push(i64::MIN);
        number
    }

    fn put(&mut self, word: Option<Word>, bits: u64, again: &mut Again) {
        let Some(word) = word else { return };
        let before = self.words.entry(word).or_default();
        let twice = *before & bits;
        *before |= bits;
        let highest = &mut self.highest[word.0 as usize];
        *highest = (*highest).max(word.1);
        if twice != 0 {
            self.again(word, u64::from(twice.count_ones()), again);
        }
    }

    fn again(&self, word: Word, rows: u64, again: &mut Again) {
        *again.entry((self.streams[word.0 as usize].clone(), word.1)).or_default() += rows;
    }

    /// Batches that have rows.
    pub(super) fn finish(self) -> Seen {
        let mut words: Vec<(Word, u64)> = self.words.into_iter().collect();
        words.sort_unstable();
        let (mut batches, mut holes): (u64, Option<Holes>) = (0, None);
        for batch in words.chunk_by(|(a, _), (b, _)| (a.0, a.1) == (b.0, b.1)) {
            batches += 1;
            let there: u64 = batch.iter().map(|(_, bits)| u64::from(bits.count_ones())).sum();
            let ((stream, seq, last), bits) = batch[batch.len() - 1];
            let all = u64::from(last) * 64 + u64::from(64 - bits.leading_zeros());
            if all > there {
                let first = || (self.streams[stream as usize].clone(), seq);
                holes.get_or_insert_with(|| Holes { rows: 0, first: first() }).rows += all - there;
            }
        }
        let highest = self.streams.into_iter().zip(self.highest).collect();
        Seen { batches, holes, highest }
    }
}

/// What the rows say together.
#[derive(Debug)]
pub(super) struct Seen {
    pub batches: u64,
    pub holes: Option<Holes>,
    /// The highest batch of each stream.
    pub highest: Vec<(String, i64)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, Int64Array, StringViewArray};
    use arrow_schema::{DataType, Field, Schema};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn rows(of: &[(u8, i64, i32)]) -> RecordBatch {
        let field = |name: &str, kind| Field::new(name, kind, false);
        let schema = Schema::new(vec![
            field("stream", DataType::Utf8View),
            field("seq", DataType::Int64),
            field("row", DataType::Int32),
        ]);
        let streams: Vec<String> = of.iter().map(|r| format!("stream {}", r.0)).collect();
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(StringViewArray::from(streams)),
                Arc::new(Int64Array::from_iter_values(of.iter().map(|r| r.1))),
                Arc::new(Int32Array::from_iter_values(of.iter().map(|r| r.2))),
            ],
        )
        .unwrap()
    }

    proptest! {
        #[test]
        fn says_what_a_set_of_names_says(
            files in proptest::collection::vec(
                proptest::collection::vec((0..3_u8, 1..4_i64, 0..200_i32), 0..60), 1..4)
        ) {
            let mut presence = Presence::default();
            let (mut set, mut twice) = (BTreeSet::new(), 0);
            for file in &files {
                let mut again = Again::new();
                presence.see(&rows(file), &mut again).unwrap();
                let repeated = file.iter().filter(|row| !set.insert(**row)).count() as u64;
                prop_assert_eq!(again.values().sum::<u64>(), repeated);
                twice += repeated;
            }
            let all: usize = files.iter().map(Vec::len).sum();
            prop_assert_eq!(set.len() as u64 + twice, all as u64);
            let seen = presence.finish();
            let mut batches: BTreeMap<(u8, i64), BTreeSet<i32>> = BTreeMap::new();
            for (stream, seq, row) in set {
                batches.entry((stream, seq)).or_default().insert(row);
            }
            prop_assert_eq!(seen.batches, batches.len() as u64);
            let holes: usize = batches.values().map(|b| *b.last().unwrap() as usize + 1 - b.len()).sum();
            prop_assert_eq!(seen.holes.map_or(0, |h| h.rows), holes as u64);
        }
    }
}
