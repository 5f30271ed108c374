//! Rows taken apart: those of one file that stay, and those that go.
//!
//! The rows keep their order, so that a file which was sorted gives two that are. One batch of rows is unpacked at a
//! time; memory holds the file and the new ones as they are packed.

use crate::delta::stats;
use crate::encode::{Encoded, Form, options};
use crate::error::LakeError;
use crate::files::{DataFile, tag};
use crate::table::{Table, conform};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, Schema};
use arrow_select::filter::filter_record_batch;
use bartizan_model::Micros;
use bartizan_schema::Relation;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use std::fmt;
use std::sync::Arc;

/// Rows that are unpacked at once.
const BATCH: usize = 16_384;

/// Says which rows it means.
pub trait Rows: fmt::Debug + Send + Sync {
    /// The columns that it looks at.
    fn columns(&self) -> Vec<&'static str>;

    /// Which rows of a batch it means; the batch has at least its columns, as far as the table has them. No value is
    /// null.
    fn pick(&self, rows: &RecordBatch) -> BooleanArray;
}

/// What is made of a file.
#[derive(Debug)]
pub(crate) struct Halves {
    pub(crate) stays: Option<DataFile>,
    pub(crate) goes: Option<DataFile>,
}

impl Table {
    /// How many rows of a file are meant. A file is read only in the columns that matter.
    pub(crate) async fn count_rows(&self, file: &DataFile, of: &Arc<dyn Rows>) -> Result<u64, LakeError> {
        let (bytes, path, of) = (self.shared.whole(file).await?, file.path().clone(), Arc::clone(of));
        let relation = self.relation();
        let work = move || {
            let count = || -> Result<u64, ParquetError> {
                let mut count = 0;
                for batch in reader(relation, bytes, Some(&of.columns()))? {
                    count += of.pick(&batch?).true_count() as u64;
                }
                Ok(count)
            };
            count().map_err(|source| LakeError::Parquet { path, source })
        };
        tokio::task::spawn_blocking(work).await.map_err(LakeError::Stopped)?
    }

    /// Takes the meant rows of a file apart, into files that nothing names yet. Without `keep_both`, those that go are
    /// written nowhere.
    pub(crate) async fn split(
        &self,
        file: &DataFile,
        goes: &Arc<dyn Rows>,
        keep_both: bool,
        now: Micros,
    ) -> Result<Halves, LakeError> {
        self.shared.check_space()?;
        let (bytes, path, of) = (self.shared.whole(file).await?, file.path().clone(), Arc::clone(goes));
        let (relation, sorted) = (self.relation(), file.tag(tag::SORTED).is_some());
        let work = move || {
            let (mut stay, mut go) = (Half::new(relation, sorted)?, Half::new(relation, sorted)?);
            for batch in reader(relation, bytes, None)? {
                let batch = batch?;
                let mask = of.pick(&batch);
                let not = BooleanArray::new(!mask.values(), None);
                stay.write(&batch, &not)?;
                if keep_both {
                    go.write(&batch, &mask)?;
                }
            }
            Ok((stay.finish(relation)?, go.finish(relation)?))
        };
        let work = move || work().map_err(|source: ParquetError| LakeError::Parquet { path, source });
        let (stays, goes) = tokio::task::spawn_blocking(work).await.map_err(LakeError::Stopped)??;
        let day = file.day().ok_or_else(|| LakeError::Rows { reason: "a file of no day".to_owned() })?;
        let mut halves = Halves { stays: None, goes: None };
        for (encoded, half) in [(stays, &mut halves.stays), (goes, &mut halves.goes)] {
            let Some(encoded) = encoded else { continue };
            *half = Some(self.put_half(file, day, encoded, now).await?);
        }
        Ok(halves)
    }

    async fn put_half(
        &self,
        of: &DataFile,
        day: i64,
        encoded: Encoded,
        now: Micros,
    ) -> Result<DataFile, LakeError> {
        let path = crate::write::new_path(&self.shared.folder, day)
            .ok_or_else(|| LakeError::Rows { reason: format!("day {day} is outside the calendar") })?;
        let made = match self.shared.put_file(path.clone(), day, encoded, now).await {
            Ok(made) => made,
            Err(error) => {
                self.shared.discard(&[path]).await;
                return Err(error);
            }
        };
        Ok(made.with_tags_of(of))
    }
}

/// A file that is being written.
struct Half(ArrowWriter<Vec<u8>>, u64);

impl Half {
    fn new(relation: Relation, sorted: bool) -> Result<Self, ParquetError> {
        let options = options(relation, if sorted { Form::Sorted } else { Form::Merged })?;
        Ok(Self(ArrowWriter::try_new_with_options(Vec::new(), relation.schema(), options)?, 0))
    }

    fn write(&mut self, batch: &RecordBatch, mask: &BooleanArray) -> Result<(), ParquetError> {
        let rows = filter_record_batch(batch, mask)?;
        self.1 += rows.num_rows() as u64;
        self.0.write(&rows)
    }

    /// Nothing if it has no rows.
    fn finish(mut self, relation: Relation) -> Result<Option<Encoded>, ParquetError> {
        if self.1 == 0 {
            return Ok(None);
        }
        let meta = self.0.finish()?;
        let (bounds, stats) = stats::of_file(relation, &meta);
        let bytes = std::mem::take(self.0.inner_mut());
        Ok(Some(Encoded { bytes: bytes.into(), bounds, stats }))
    }
}

/// All columns of a file, or some, in the table's types.
pub(crate) fn reader(
    relation: Relation,
    bytes: Bytes,
    columns: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, ParquetError>> + use<>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mut schema = relation.schema();
    let builder = match columns {
        None => builder,
        Some(columns) => {
            // one column at least, or the rows are not even counted
            let is_wanted = |name: &str| name == "time" || columns.contains(&name);
            let fields: Vec<_> = schema.fields().iter().filter(|f| is_wanted(f.name())).cloned().collect();
            let names: Vec<_> = fields.iter().map(|f| f.name().clone()).collect();
            schema = Arc::new(Schema::new(fields));
            let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().map(String::as_str));
            builder.with_projection(mask)
        }
    };
    let reader = builder.with_batch_size(BATCH).build()?;
    Ok(reader.map(move |batch: Result<RecordBatch, ArrowError>| Ok(conform(&schema, &batch?)?)))
}
