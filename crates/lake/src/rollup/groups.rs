use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::hash::Hash;

/// What the events of a group sum up to. Sums wrap around, as those of a question over the rows do, so that both
/// give the same number whatever a sender claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub rows: i64,
    pub packets: i64,
    pub bytes: i64,
}

impl Sums {
    pub(crate) fn add(&mut self, packets: i64, bytes: i64) {
        self.rows = self.rows.wrapping_add(1);
        self.packets = self.packets.wrapping_add(packets);
        self.bytes = self.bytes.wrapping_add(bytes);
    }
}

/// A value for each key, in the order in which the keys came first.
#[derive(Debug)]
pub(crate) struct Groups<K, V> {
    index: HashMap<K, u32, foldhash::fast::RandomState>,
    pub groups: Vec<(K, V)>,
    /// The place of the last key: rows of one group often follow each other.
    last: u32,
}

impl<K, V> Default for Groups<K, V> {
    fn default() -> Self {
        Self { index: HashMap::default(), groups: Vec::new(), last: 0 }
    }
}

impl<K: Copy + Eq + Hash, V> Groups<K, V> {
    /// The value of a key, made from the number of groups before it if it is new.
    pub(crate) fn of(&mut self, key: K, new: impl FnOnce(usize) -> V) -> &mut V {
        let known = self.groups.get(self.last as usize).is_some_and(|(last, _)| *last == key);
        if !known {
            // A file has fewer rows than a u32 counts: `Table::append` and compaction see to it.
            let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
            self.last = match self.index.entry(key) {
                Entry::Occupied(found) => *found.get(),
                Entry::Vacant(place) => {
                    place.insert(next);
                    self.groups.push((key, new(self.groups.len())));
                    next
                }
            };
        }
        &mut self.groups[self.last as usize].1
    }
}
