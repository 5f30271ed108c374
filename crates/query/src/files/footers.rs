//! Footers and page indexes of files, those last used, up to a number of bytes.

use object_store::path::Path;
use parquet::file::metadata::ParquetMetaData;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A cache by the file's path.
#[derive(Debug)]
pub(crate) struct Footers {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    footers: HashMap<Path, Footer>,
    /// Paths by when they were last used.
    used: BTreeMap<u64, Path>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Footer {
    footer: Arc<ParquetMetaData>,
    bytes: usize,
    used: u64,
}

impl Footers {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    pub(crate) fn find(&self, path: &Path) -> Option<Arc<ParquetMetaData>> {
        let held = &mut *self.held();
        let footer = held.footers.get_mut(path)?;
        held.used.remove(&footer.used);
        held.clock += 1;
        footer.used = held.clock;
        held.used.insert(held.clock, path.clone());
        Some(Arc::clone(&footer.footer))
    }

    pub(crate) fn keep(&self, path: &Path, footer: &Arc<ParquetMetaData>) {
        let bytes = footer.memory_size();
        if bytes > self.limit {
            return;
        }
        let held = &mut *self.held();
        held.forget(path);
        while held.bytes + bytes > self.limit {
            let Some(oldest) = held.used.values().next().cloned() else { break };
            held.forget(&oldest);
        }
        held.clock += 1;
        held.used.insert(held.clock, path.clone());
        held.bytes += bytes;
        held.footers.insert(path.clone(), Footer { footer: Arc::clone(footer), bytes, used: held.clock });
    }

    pub(crate) fn forget(&self, path: &Path) {
        self.held().forget(path);
    }

    /// The map is whole at every moment that can panic.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn forget(&mut self, path: &Path) {
        if let Some(footer) = self.footers.remove(path) {
            self.used.remove(&footer.used);
            self.bytes -= footer.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

    fn footer() -> Arc<ParquetMetaData> {
        let mut file = Vec::new();
        let schema = bartizan_schema::table_schema(bartizan_model::Kind::Losses);
        ArrowWriter::try_new(&mut file, schema, None).unwrap().close().unwrap();
        let read = ArrowReaderMetadata::load(&Bytes::from(file), ArrowReaderOptions::new()).unwrap();
        Arc::clone(read.metadata())
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let footer = footer();
        let footers = Footers::new(footer.memory_size() * 2);
        let path = |n: u8| Path::from(format!("f{n}"));
        footers.keep(&path(1), &footer);
        footers.keep(&path(2), &footer);
        assert!(footers.find(&path(1)).is_some());
        footers.keep(&path(3), &footer);
        let there = [1, 2, 3].map(|n| footers.find(&path(n)).is_some());
        assert_eq!(there, [true, false, true]);
        footers.keep(&path(3), &footer);
        footers.forget(&path(1));
        footers.keep(&path(4), &footer);
        assert!(footers.find(&path(3)).is_some() && footers.find(&path(4)).is_some());
        assert!(footers.held().bytes <= footers.limit);
    }
}
