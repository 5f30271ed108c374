//! Batches to bytes: an Arrow IPC stream with one batch, as it lies in the spool.

use crate::write::{WriteError, Writer};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, cast::AsArray, types::Int32Type,
};
use arrow_ipc::{
    CompressionType,
    writer::{IpcWriteOptions, StreamWriter},
};
use arrow_schema::{ArrowError, DataType, Schema};
use std::sync::Arc;

/// Most rows in one part of [`split`].
const MAX_ROWS: usize = 1 << 16;

/// How the buffers of a batch are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Smallest, and no slower for the columns of events.
    Zstd,
    /// Quickest.
    Lz4,
    /// Not at all.
    None,
}

/// A batch that arrow cannot write.
#[derive(Debug, thiserror::Error)]
#[error("cannot write a batch of {rows} rows")]
pub struct EncodeError {
    rows: usize,
    #[source]
    source: ArrowError,
}

/// Writes batches one after the other; what it needs for one is kept for the next.
#[derive(Default)]
pub struct Encoder {
    writer: Option<Writer>,
    out: Vec<u8>,
}

impl Encoder {
    /// A batch as an IPC stream packed with zstd. Columns without any value are left out.
    ///
    /// # Errors
    /// If arrow cannot write it; not for batches of the wire schema.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<&[u8], EncodeError> {
        let error = |source| EncodeError { rows: batch.num_rows(), source };
        self.out.clear();
        let batch = without_empty_columns(batch).map_err(error)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(Writer::new().map_err(|e| error(e.into()))?),
        };
        match writer.write(&batch, &mut self.out) {
            Ok(()) => {}
            Err(WriteError::Pack(e)) => return Err(error(e.into())),
            Err(WriteError::Foreign) => {
                self.out = write(&batch, Some(CompressionType::ZSTD)).map_err(error)?;
            }
        }
        Ok(&self.out)
    }
}

/// A batch as an IPC stream. Columns without any value are left out.
///
/// # Errors
/// If arrow cannot write it; not for batches of the wire schema.
pub fn encode(batch: &RecordBatch, compression: Compression) -> Result<Vec<u8>, EncodeError> {
    let compression = match compression {
        Compression::Zstd => {
            let mut encoder = Encoder::default();
            encoder.encode(batch)?;
            return Ok(encoder.out);
        }
        Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
        Compression::None => None,
    };
    without_empty_columns(batch)
        .and_then(|batch| write(&batch, compression))
        .map_err(|source| EncodeError { rows: batch.num_rows(), source })
}

/// With arrow's own writer.
fn write(batch: &RecordBatch, compression: Option<CompressionType>) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::default().try_with_compression(compression)?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options)?;
    writer.write(batch)?;
    writer.into_inner()
}

fn without_empty_columns(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let schema = batch.schema();
    let keep: Vec<usize> = (0..batch.num_columns())
        .filter(|i| !schema.field(*i).is_nullable() || batch.column(*i).logical_null_count() < rows)
        .collect();
    let fields: Vec<_> = keep.iter().map(|i| Arc::clone(&schema.fields()[*i])).collect();
    let columns = keep.iter().map(|i| Arc::clone(batch.column(*i))).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The batch in parts of at most `max_bytes` (uncompressed) and 65,536 rows, in order; only a single row
/// can be larger.
#[must_use]
pub fn split(batch: &RecordBatch, max_bytes: usize) -> Vec<RecordBatch> {
    let mut parts = Vec::new();
    if batch.num_rows() > 0 {
        split_into(batch.clone(), max_bytes, &mut parts);
    }
    parts
}

fn split_into(batch: RecordBatch, max_bytes: usize, parts: &mut Vec<RecordBatch>) {
    let rows = batch.num_rows();
    if rows <= 1 || (rows <= MAX_ROWS && size(&batch) <= max_bytes) {
        return parts.push(batch);
    }
    let half = rows / 2;
    split_into(compact(batch.slice(0, half)), max_bytes, parts);
    split_into(compact(batch.slice(half, rows - half)), max_bytes, parts);
}

fn size(batch: &RecordBatch) -> usize {
    // An array that does not know its size counts as too large, so that it is split further.
    batch
        .columns()
        .iter()
        .map(|c| c.to_data().get_slice_memory_size().unwrap_or(usize::MAX))
        .fold(0, usize::saturating_add)
}

/// The same rows with dictionaries of only the values that they use.
fn compact(batch: RecordBatch) -> RecordBatch {
    let columns =
        batch.columns().iter().map(|c| compact_column(c).unwrap_or_else(|| Arc::clone(c))).collect();
    RecordBatch::try_new(batch.schema(), columns).unwrap_or(batch)
}

fn compact_column(column: &ArrayRef) -> Option<ArrayRef> {
    match column.data_type() {
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {}
        _ => return None,
    }
    let dictionary = column.as_dictionary::<Int32Type>();
    let values = dictionary.values().as_string::<i32>();
    if values.len() <= 1 {
        return None;
    }
    let mut new_key: Vec<Option<i32>> = vec![None; values.len()];
    let mut used: Vec<&str> = Vec::new();
    let keys: Int32Array = dictionary
        .keys()
        .iter()
        .map(|key| {
            let at = usize::try_from(key?).ok()?;
            if values.is_null(at) {
                return None;
            }
            if new_key[at].is_none() {
                new_key[at] = i32::try_from(used.len()).ok();
                used.push(values.value(at));
            }
            new_key[at]
        })
        .collect();
    let dictionary = DictionaryArray::try_new(keys, Arc::new(StringArray::from_iter_values(used))).ok()?;
    Some(Arc::new(dictionary))
}
