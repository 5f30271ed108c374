//! Answers that were given, for the same question about the same files.
//!
//! Files never change and their names are never used twice, so that an answer about files alone stays right for as long
//! as the same files make up the view: a commit, a compaction or a retention makes another view, and thereby another
//! key. Answers about rows that are still in memory are not kept, and neither are those that lack rows.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use object_store::path::Path;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::source::View;

/// A question in words that say all that its answer depends on, and the files of its view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    question: String,
    files: Vec<Path>,
}

/// An answer's batches.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

/// Those last used, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct Answers {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    answers: HashMap<Arc<Key>, Kept>,
    /// Keys by when they were last used.
    used: BTreeMap<u64, Arc<Key>>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    bytes: usize,
    used: u64,
}

impl Key {
    /// Nothing, if the answer cannot be kept.
    pub(crate) fn new(question: String, view: &View) -> Option<Self> {
        let mut files: Vec<_> = view.files.iter().map(|file| file.path.clone()).collect();
        files.sort_unstable();
        view.hot.is_empty().then_some(Self { question, files })
    }

    fn bytes(&self) -> usize {
        self.question.len()
            + self.files.iter().map(|path| path.as_ref().len() + size_of::<Path>()).sum::<usize>()
    }
}

impl Answers {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    pub(crate) fn find(&self, key: &Key) -> Option<Answer> {
        let held = &mut *self.held();
        held.clock += 1;
        let (key, _) = held.answers.get_key_value(key)?;
        let key = Arc::clone(key);
        let kept = held.answers.get_mut(&key)?;
        held.used.remove(&kept.used);
        kept.used = held.clock;
        held.used.insert(held.clock, key);
        Some(kept.answer.clone())
    }

    pub(crate) fn keep(&self, key: Key, answer: &Answer) {
        let batches: usize = answer.batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let bytes = batches + key.bytes();
        if bytes > self.limit {
            return;
        }
        let held = &mut *self.held();
        let key = Arc::new(key);
        held.forget(&key);
        while held.bytes + bytes > self.limit {
            let Some(oldest) = held.used.values().next().cloned() else { break };
            held.forget(&oldest);
        }
        held.clock += 1;
        held.used.insert(held.clock, Arc::clone(&key));
        held.bytes += bytes;
        held.answers.insert(key, Kept { answer: answer.clone(), bytes, used: held.clock });
    }

    /// The map is whole at every moment that can panic.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn forget(&mut self, key: &Key) {
        if let Some(kept) = self.answers.remove(key) {
            self.used.remove(&kept.used);
            self.bytes -= kept.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::Kind;
    use bartizan_schema::table_schema;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let schema = table_schema(Kind::Losses);
        let answer = Answer { batches: vec![RecordBatch::new_empty(Arc::clone(&schema))], schema };
        let key = |n: u8| Key { question: format!("q{n}"), files: Vec::new() };
        let one = answer.batches[0].get_array_memory_size() + key(1).bytes();
        let answers = Answers::new(one * 2);
        answers.keep(key(1), &answer);
        answers.keep(key(2), &answer);
        assert!(answers.find(&key(1)).is_some());
        answers.keep(key(3), &answer);
        assert_eq!([1, 2, 3].map(|n| answers.find(&key(n)).is_some()), [true, false, true]);
        answers.keep(key(3), &answer);
        assert!(answers.find(&key(1)).is_some() && answers.held().bytes == one * 2);
        Answers::new(1).keep(key(1), &answer);
    }
}
