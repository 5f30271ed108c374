//! Rows as the bytes of a file, piece by piece, so that an answer of any length costs the memory of a piece.
//!
//! A file is whole only after [`Encoder::finish`]: Parquet has its table of contents at the end, an Arrow stream its
//! mark. Of an answer that broke off, readers of both say so.

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of one row group of a Parquet file: what is held in memory while it is made.
const GROUP_ROWS: usize = 65_536;

/// The form of a file of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// Rows that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// As Arrow.
    #[error("the rows cannot be written as Arrow")]
    Arrow(#[from] ArrowError),
    /// As Parquet.
    #[error("the rows cannot be written as Parquet")]
    Parquet(#[from] ParquetError),
}

/// Makes a file of rows.
pub struct Encoder {
    writer: Writer,
    written: Written,
}

enum Writer {
    Arrow(Box<StreamWriter<Written>>),
    Parquet(Box<ArrowWriter<Written>>),
}

/// What was written and not taken yet.
#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Encoder {
    /// Begins a file of rows with these columns.
    ///
    /// # Errors
    /// If the format has no form for a column.
    pub fn new(format: FileFormat, schema: &SchemaRef) -> Result<Self, ExportError> {
        let written = Written::default();
        let writer = match format {
            FileFormat::Arrow => {
                let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
                let writer = StreamWriter::try_new_with_options(written.clone(), schema, options)?;
                Writer::Arrow(Box::new(writer))
            }
            FileFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .build();
                let writer = ArrowWriter::try_new(written.clone(), Arc::clone(schema), Some(properties))?;
                Writer::Parquet(Box::new(writer))
            }
        };
        Ok(Self { writer, written })
    }

    /// Adds rows; gives the bytes that are ready, often none.
    ///
    /// # Errors
    /// If the rows do not have the columns of the file.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, ExportError> {
        match &mut self.writer {
            Writer::Arrow(writer) => writer.write(rows)?,
            Writer::Parquet(writer) => writer.write(rows)?,
        }
        Ok(self.written.take())
    }

    /// The last bytes.
    ///
    /// # Errors
    /// If the rest cannot be written.
    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        match self.writer {
            Writer::Arrow(mut writer) => writer.finish()?,
            Writer::Parquet(writer) => drop(writer.close()?),
        }
        Ok(self.written.take())
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format =
            if matches!(self.writer, Writer::Arrow(_)) { FileFormat::Arrow } else { FileFormat::Parquet };
        f.debug_struct("Encoder").field("format", &format).finish_non_exhaustive()
    }
}
