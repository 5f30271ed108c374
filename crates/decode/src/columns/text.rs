use super::values::Values;
use super::{Column, Presence};
use crate::netlink::until_nul;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use std::collections::HashMap;
use std::sync::Arc;

/// Slots of the table in front of the hash map; a power of two.
const SLOTS: usize = 64;
/// Stands in an unused slot; what names a text is a smaller number.
const NO_NUMBER: u64 = u64::MAX;

/// The values of a dictionary column, in the order in which they first came.
#[derive(Debug, Default)]
struct Dictionary {
    text: String,
    /// The end of each value in `text`.
    ends: Vec<i32>,
}

impl Dictionary {
    /// Adds what `write` writes; its number.
    fn add(&mut self, write: impl FnOnce(&mut String)) -> i32 {
        write(&mut self.text);
        let number = count(self.ends.len());
        self.ends.push(count(self.text.len()));
        number
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 4
    }

    fn finish(&mut self) -> ArrayRef {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.append(&mut self.ends);
        let text = Buffer::from_vec(std::mem::take(&mut self.text).into_bytes());
        Arc::new(StringArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), text, None))
    }
}

/// A length as Arrow counts: a builder's row limit and the longest value keep it far below 2^31.
fn count(n: usize) -> i32 {
    i32::try_from(n).expect("the row limit times the longest value is under 2^31")
}

fn array(keys: &mut Values<i32>, values: ArrayRef, presence: &Presence<'_>) -> ArrayRef {
    let (keys, nulls) = keys.take(presence);
    let keys = PrimitiveArray::<Int32Type>::new(ScalarBuffer::new(keys, 0, presence.rows()), nulls);
    Arc::new(DictionaryArray::new(keys, values))
}

/// A column of texts that are known by a number, and written only when the number is new in the batch.
///
/// In front of the map, which resists chosen keys and is slow, stands a table of one slot per hash.
#[derive(Debug)]
pub(super) struct Named {
    keys: Values<i32>,
    dictionary: Dictionary,
    slots: [(u64, i32); SLOTS],
    map: HashMap<u64, i32>,
}

impl Default for Named {
    fn default() -> Self {
        Self {
            keys: Values::default(),
            dictionary: Dictionary::default(),
            slots: [(NO_NUMBER, 0); SLOTS],
            map: HashMap::new(),
        }
    }
}

impl Named {
    /// Writes the text of a number under 2^63 into a row.
    #[inline]
    pub(super) fn put(&mut self, row: usize, number: u64, write: impl FnOnce(&mut String)) {
        let slot = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SLOTS;
        let (known, key) = self.slots[slot];
        let key = if known == number { key } else { self.look_up(slot, number, write) };
        self.keys.put(row, key);
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, slot: usize, number: u64, write: impl FnOnce(&mut String)) -> i32 {
        let dictionary = &mut self.dictionary;
        let key = *self.map.entry(number).or_insert_with(|| dictionary.add(write));
        self.slots[slot] = (number, key);
        key
    }

    /// Forgets which number has which text, so that the next row of each number is written anew.
    pub(super) fn forget_names(&mut self) {
        self.slots = [(NO_NUMBER, 0); SLOTS];
        self.map.clear();
    }
}

/// The same text in every row.
pub(super) fn repeated(text: &str, rows: usize) -> ArrayRef {
    let keys = PrimitiveArray::<Int32Type>::from_value(0, rows);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text]))))
}

impl Column for Named {
    fn row_bytes(&self) -> usize {
        size_of::<i32>()
    }
    fn other_bytes(&self) -> usize {
        self.dictionary.bytes()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        self.forget_names();
        array(&mut self.keys, self.dictionary.finish(), presence)
    }
}

/// A column of texts that come as bytes; what is not UTF-8 in them is replaced.
#[derive(Debug)]
pub(super) struct Text {
    keys: Values<i32>,
    dictionary: Dictionary,
    /// The bytes of each value as they came.
    raw: Vec<Box<[u8]>>,
    slots: [i32; SLOTS],
    map: HashMap<Box<[u8]>, i32>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            keys: Values::default(),
            dictionary: Dictionary::default(),
            raw: Vec::new(),
            slots: [-1; SLOTS],
            map: HashMap::new(),
        }
    }
}

impl Text {
    /// Writes the bytes before the first NUL, or all, into a row.
    #[inline]
    pub(super) fn put(&mut self, row: usize, bytes: &[u8]) {
        let slot = slot_of(bytes);
        let key = self.slots[slot];
        let same = usize::try_from(key).is_ok_and(|i| self.raw.get(i).is_some_and(|raw| **raw == *bytes));
        let key = if same { key } else { self.look_up(slot, bytes) };
        self.keys.put(row, key);
    }

    #[cold]
    #[inline(never)]
    fn look_up(&mut self, slot: usize, bytes: &[u8]) -> i32 {
        let key = match self.map.get(bytes) {
            Some(key) => *key,
            None => {
                let key =
                    self.dictionary.add(|text| text.push_str(&String::from_utf8_lossy(until_nul(bytes))));
                self.raw.push(bytes.into());
                self.map.insert(bytes.into(), key);
                key
            }
        };
        self.slots[slot] = key;
        key
    }
}

/// A cheap hash of a text's length and ends; rules differ there.
#[inline]
fn slot_of(bytes: &[u8]) -> usize {
    let head = bytes.first_chunk::<8>().map_or(0, |b| u64::from_ne_bytes(*b));
    let tail = bytes.last_chunk::<4>().map_or(0, |b| u32::from_ne_bytes(*b));
    let mixed =
        (head ^ u64::from(tail).rotate_left(17) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 58) as usize % SLOTS
}

impl Column for Text {
    fn row_bytes(&self) -> usize {
        size_of::<i32>()
    }
    fn other_bytes(&self) -> usize {
        self.dictionary.bytes()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        self.slots = [-1; SLOTS];
        self.map.clear();
        self.raw.clear();
        array(&mut self.keys, self.dictionary.finish(), presence)
    }
}
