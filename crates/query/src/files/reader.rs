//! Bytes of a file, for one question.

use super::{Damage, Files, Footer};
use crate::question::{Fault, Question};
use crate::source::DataFile;
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::Result as DfResult;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

/// How much of a file's end is read at first: enough for footer and page index of a usual file.
const FOOTER_BYTES: usize = 64 << 10;

/// Opens files for one question.
#[derive(Debug)]
pub(crate) struct Readers {
    pub(crate) files: Arc<Files>,
    pub(crate) question: Arc<Question>,
}

impl Readers {
    /// What DataFusion is told of a file. Its checksum goes along, so that a file which cannot be decoded is
    /// told apart from a fault of ours.
    pub(crate) fn described(file: &DataFile) -> ObjectMeta {
        ObjectMeta {
            location: file.path.clone(),
            last_modified: Default::default(),
            size: file.size,
            e_tag: file.crc32c.map(|crc| format!("{crc:08x}")),
            version: None,
        }
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DfResult<Box<dyn AsyncFileReader + Send>> {
        let described = file.object_meta;
        let crc32c = described.e_tag.as_deref().and_then(|tag| u32::from_str_radix(tag, 16).ok());
        let metrics = ParquetFileMetrics::new(partition, described.location.as_ref(), metrics);
        let mut reader = FileReader::new(self, &described.location, described.size, crc32c);
        reader.metrics = Some(metrics);
        Ok(Box::new(reader))
    }
}

/// One file, for one question.
pub(crate) struct FileReader {
    files: Arc<Files>,
    question: Arc<Question>,
    path: Path,
    size: u64,
    metrics: Option<ParquetFileMetrics>,
}

impl FileReader {
    pub(crate) fn new(readers: &Readers, path: &Path, size: u64, crc32c: Option<u32>) -> Self {
        readers.question.opens(path, size, crc32c);
        Self {
            files: Arc::clone(&readers.files),
            question: Arc::clone(&readers.question),
            path: path.clone(),
            size,
            metrics: None,
        }
    }

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ParquetError> {
        let bytes = ranges.iter().map(|r| r.end.saturating_sub(r.start)).sum();
        if let Some(metrics) = &self.metrics {
            metrics.bytes_scanned.add(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if !self.question.charge(bytes) {
            return Err(ParquetError::General("the question's limit of bytes".to_owned()));
        }
        match self.files.store.get_ranges(&self.path, ranges).await {
            Ok(parts) => Ok(parts),
            Err(error) => {
                if let Some(damage) = judge(&self.files, &self.path, self.size, &error).await {
                    self.out_of_use(damage);
                }
                Err(ParquetError::External(Box::new(error)))
            }
        }
    }

    pub(crate) async fn footer(&mut self) -> Result<Arc<Footer>, ParquetError> {
        if let Some(footer) = self.files.footers.find(&self.path) {
            return Ok(footer);
        }
        let size = self.size;
        let reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_prefetch_hint(Some(FOOTER_BYTES));
        match reader.load_and_finish(&mut *self, size).await {
            Ok(footer) => {
                let footer = Footer::new(footer);
                self.files.footers.keep(&self.path, &footer);
                Ok(footer)
            }
            Err(error) => {
                // Bytes that came and are no footer.
                if !matches!(error, ParquetError::External(_)) && !self.question.has_fault() {
                    self.out_of_use(Damage::Unreadable(error.to_string()));
                }
                Err(error)
            }
        }
    }

    fn out_of_use(&self, damage: Damage) {
        self.files.footers.forget(&self.path);
        self.files.quarantine.add(&self.path, damage);
        self.question.fails(Fault::File);
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { Ok(self.read(std::slice::from_ref(&range)).await?.swap_remove(0)) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.read(&ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move { Ok(Arc::clone(&self.footer().await?.parquet)) }.boxed()
    }
}

/// What is wrong with a file of which bytes could not be had; nothing, if that was the store's fault.
async fn judge(files: &Files, path: &Path, written: u64, error: &object_store::Error) -> Option<Damage> {
    if let object_store::Error::NotFound { .. } = error {
        return Some(Damage::Missing);
    }
    match files.store.head(path).await {
        Ok(found) => (found.size != written).then_some(Damage::Size { written, found: found.size }),
        Err(object_store::Error::NotFound { .. }) => Some(Damage::Missing),
        Err(_) => None,
    }
}

/// What is wrong with a file whose bytes could be read and not be decoded, by its size and checksum. Reads all of
/// it, piece by piece.
pub(crate) async fn examine(files: &Files, path: &Path, written: u64, crc32c: Option<u32>) -> Option<Damage> {
    let found = match files.store.get(path).await {
        Err(error) => return judge(files, path, written, &error).await,
        Ok(found) => found,
    };
    if found.meta.size != written {
        return Some(Damage::Size { written, found: found.meta.size });
    }
    let wanted = crc32c?;
    let sum = found.into_stream().try_fold(0, async |sum, part| Ok(crc32c::crc32c_append(sum, &part)));
    (sum.await.ok()? != wanted).then_some(Damage::Checksum)
}
