use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use std::collections::HashMap;
use std::sync::Arc;

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose<'a> {
    /// The host, never empty.
    pub host: &'a str,
    /// Who delivered it, where that is told apart; empty for nobody.
    pub sender: &'a str,
}

/// A column of names: few different ones, mostly the same as in the row before.
#[derive(Debug, Default)]
pub(crate) struct Names {
    keys: Vec<Option<i32>>,
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, i32>,
    some: bool,
}

impl Names {
    /// Adds a row; the empty name is none.
    pub(crate) fn push(&mut self, name: &str) {
        if name.is_empty() {
            self.keys.push(None);
            return;
        }
        self.some = true;
        if let Some(Some(last)) = self.keys.last().copied()
            && usize::try_from(last).is_ok_and(|i| *self.names[i] == *name)
        {
            self.keys.push(Some(last));
            return;
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = i32::try_from(self.names.len()).expect("a batch has less than 2^31 rows");
                self.names.push(name.into());
                self.numbers.insert(name.into(), number);
                number
            }
        };
        self.keys.push(Some(number));
    }

    /// The column, if any row has a name; empty afterwards.
    pub(crate) fn finish(&mut self) -> Option<ArrayRef> {
        let keys = Int32Array::from(std::mem::take(&mut self.keys));
        let names = StringArray::from_iter_values(self.names.drain(..));
        self.numbers.clear();
        let array =
            DictionaryArray::<Int32Type>::try_new(keys, Arc::new(names)).expect("keys are of the names");
        std::mem::take(&mut self.some).then(|| Arc::new(array) as ArrayRef)
    }
}
