use super::{Column, Presence};
use arrow_array::{ArrayRef, BinaryArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use std::collections::HashMap;
use std::sync::Arc;

/// A column of bytes that few rows have.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    values: Vec<u8>,
    /// The rows that have a value, and where it ends.
    ends: Vec<(usize, i32)>,
}

impl Bytes {
    /// Writes a row; false when the column can hold no more bytes, which a batch of the usual size is far from.
    pub(super) fn put(&mut self, row: usize, bytes: &[u8]) -> bool {
        let Ok(end) = i32::try_from(self.values.len() + bytes.len()) else { return false };
        self.values.extend_from_slice(bytes);
        self.ends.push((row, end));
        true
    }
}

impl Column for Bytes {
    fn row_bytes(&self) -> usize {
        size_of::<i32>()
    }
    fn other_bytes(&self) -> usize {
        self.values.len()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        let mut offsets = Vec::with_capacity(presence.rows() + 1);
        let mut last = 0;
        for (row, end) in self.ends.drain(..) {
            offsets.resize(row + 1, last);
            last = end;
        }
        offsets.resize(presence.rows() + 1, last);
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(offsets, values, presence.nulls()))
    }
}

/// Prefixes that are remembered with their answer; rulesets have far fewer.
const MAX_KNOWN: usize = 1024;

/// Of which packets the payload is kept, and how much of it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) bytes: usize,
    globs: Vec<Box<[u8]>>,
    known: HashMap<Box<[u8]>, bool>,
}

impl Wanted {
    pub(super) fn new(bytes: usize, prefixes: &[&str]) -> Self {
        let globs = prefixes.iter().map(|glob| glob.as_bytes().into()).collect();
        Self { bytes, globs, known: HashMap::new() }
    }

    /// Whether packets with this prefix are wanted.
    pub(super) fn takes(&mut self, prefix: &[u8]) -> bool {
        if let Some(known) = self.known.get(prefix) {
            return *known;
        }
        let wanted = self.globs.iter().any(|glob| matches(glob, prefix));
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(prefix.into(), wanted);
        wanted
    }
}

/// Whether a text is what a glob describes: `*` is any bytes, `?` one.
///
/// Goes back to the last `*` alone, so that it takes at most the product of the two lengths.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g + 1, t));
                g += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (g, t) = (g + 1, t + 1),
            _ => match star {
                Some((after, from)) => {
                    (g, t) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, yes) in [
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("in-*", "in-drop ", true),
            ("in-*", "xin-", false),
            ("*drop*", "in drop: ", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?rop", "drop", true),
            ("?rop", "rop", false),
        ] {
            assert_eq!(matches(glob.as_bytes(), text.as_bytes()), yes, "{glob} {text}");
        }
    }

    #[test]
    fn an_answer_is_remembered_and_the_memory_has_an_end() {
        let mut wanted = Wanted::new(10, &["a*"]);
        for n in 0..3 * MAX_KNOWN {
            assert!(wanted.takes(format!("a{n}").as_bytes()));
            assert!(!wanted.takes(format!("b{n}").as_bytes()));
        }
        assert!(wanted.known.len() <= MAX_KNOWN);
    }
}
