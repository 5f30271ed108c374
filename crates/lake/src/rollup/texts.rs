use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, StringArray};
use hashbrown::HashMap;

/// The number of an absent text.
pub(crate) const ABSENT: u32 = 0;
/// A value of a dictionary that no row has used yet.
const UNKNOWN: u32 = u32::MAX;

/// The texts of one column of a file, each with a number from 1 on.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    index: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    texts: Vec<Box<str>>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.index.get(text) {
            return *number;
        }
        self.texts.push(text.into());
        let number = u32::try_from(self.texts.len()).unwrap_or(UNKNOWN - 1);
        self.index.insert(text.into(), number);
        number
    }

    /// The numbers of a dictionary's rows.
    pub(crate) fn numbers(&mut self, array: &ArrayRef) -> Vec<u32> {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values().as_string::<i32>();
        let mut known = vec![UNKNOWN; values.len()];
        let keys = dictionary.keys();
        let number = |row: usize| {
            if keys.is_null(row) {
                return ABSENT;
            }
            let value = usize::try_from(keys.value(row)).unwrap_or(usize::MAX);
            if known[value] == UNKNOWN {
                known[value] = if values.is_null(value) { ABSENT } else { self.number(values.value(value)) };
            }
            known[value]
        };
        (0..keys.len()).map(number).collect()
    }

    /// For each number its place in the order of the texts; absent first.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_unstable_by(|a, b| self.texts[*a].cmp(&self.texts[*b]));
        let mut ranks = vec![0; self.texts.len() + 1];
        for (rank, text) in (1..).zip(order) {
            ranks[text + 1] = rank;
        }
        ranks
    }

    /// The texts as the values of a dictionary, whose keys are the numbers less one.
    pub(crate) fn values(&self) -> StringArray {
        StringArray::from_iter_values(self.texts.iter().map(AsRef::as_ref))
    }
}
