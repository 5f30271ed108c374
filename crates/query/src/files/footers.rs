//! Footers and page indexes of files, those last used, up to a number of bytes.

use arrow_schema::{DataType, Schema};
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// In which form texts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    /// As the table has them.
    Views,
    /// As the file has them, so that each value is looked at once.
    Dictionaries,
}

/// What the end of a file says.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) parquet: Arc<ParquetMetaData>,
    views: OnceLock<ArrowReaderMetadata>,
    dictionaries: OnceLock<ArrowReaderMetadata>,
}

impl Footer {
    pub(crate) fn new(parquet: ParquetMetaData) -> Arc<Self> {
        Arc::new(Self { parquet: Arc::new(parquet), views: OnceLock::new(), dictionaries: OnceLock::new() })
    }

    /// The file's columns in Arrow's types.
    pub(crate) fn arrow(&self, texts: Texts) -> Result<ArrowReaderMetadata, ParquetError> {
        let (made, text) = match texts {
            Texts::Views => (&self.views, DataType::Utf8View),
            Texts::Dictionaries => (
                &self.dictionaries,
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            ),
        };
        if let Some(made) = made.get() {
            return Ok(made.clone());
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::try_new(Arc::clone(&self.parquet), options.clone())?;
        let fields = plain.schema().fields().iter().map(|field| match field.data_type() {
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(text.clone())),
            _ => Arc::clone(field),
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let new = ArrowReaderMetadata::try_new(Arc::clone(&self.parquet), options.with_schema(schema))?;
        Ok(made.get_or_init(|| new).clone())
    }
}

/// Bloom filters of columns that were asked for, up to a number of bytes; when there are more, all are forgotten.
#[derive(Debug)]
pub(crate) struct Blooms {
    limit: usize,
    held: Mutex<HeldBlooms>,
}

/// By file, row group and column; and their bytes.
type HeldBlooms = (HashMap<(Path, usize, usize), Arc<Sbbf>>, usize);

/// Bytes of a block of a bloom filter.
const BLOCK: usize = 32;

impl Blooms {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    pub(crate) fn find(&self, path: &Path, group: usize, leaf: usize) -> Option<Arc<Sbbf>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.get(&(path.clone(), group, leaf)).cloned()
    }

    pub(crate) fn keep(&self, path: &Path, group: usize, leaf: usize, bloom: &Arc<Sbbf>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (blooms, bytes) = &mut *held;
        *bytes += bloom.num_blocks() * BLOCK;
        if *bytes > self.limit {
            blooms.clear();
            *bytes = bloom.num_blocks() * BLOCK;
        }
        blooms.insert((path.clone(), group, leaf), Arc::clone(bloom));
    }
}

/// A cache by the file's path.
#[derive(Debug)]
pub(crate) struct Footers {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    footers: HashMap<Path, Kept>,
    /// Paths by when they were last used.
    used: BTreeMap<u64, Path>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    footer: Arc<Footer>,
    bytes: usize,
    used: u64,
}

impl Footers {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    pub(crate) fn find(&self, path: &Path) -> Option<Arc<Footer>> {
        let held = &mut *self.held();
        let footer = held.footers.get_mut(path)?;
        held.used.remove(&footer.used);
        held.clock += 1;
        footer.used = held.clock;
        held.used.insert(held.clock, path.clone());
        Some(Arc::clone(&footer.footer))
    }

    pub(crate) fn keep(&self, path: &Path, footer: &Arc<Footer>) {
        let bytes = footer.parquet.memory_size();
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
        held.footers.insert(path.clone(), Kept { footer: Arc::clone(footer), bytes, used: held.clock });
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

    fn footer() -> Arc<Footer> {
        let mut file = Vec::new();
        let schema = bartizan_schema::table_schema(bartizan_model::Kind::Losses);
        ArrowWriter::try_new(&mut file, schema, None).unwrap().close().unwrap();
        let read = ArrowReaderMetadata::load(&Bytes::from(file), ArrowReaderOptions::new()).unwrap();
        Footer::new(ParquetMetaData::clone(read.metadata()))
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let footer = footer();
        let footers = Footers::new(footer.parquet.memory_size() * 2);
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
