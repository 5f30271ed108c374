//! Rows to a Parquet file.
//!
//! Rows are sorted by `time` inside a file. Columns of few different values are dictionaries; counters and
//! times are deltas; all is zstd. Pages carry an index, so that a reader skips inside a file as well.
//! Columns without any value, which are many, are not sorted and cost next to nothing.

use crate::delta::stats::{self, Bounds};
use crate::error::LakeError;
use crate::partition::times;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use bartizan_schema::{ColumnKind, Relation};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

const PAGE_ROWS: usize = 16_384;
/// Columns whose values seldom repeat in a file, or rise: differences are shorter than a dictionary.
const DELTA: &[&str] = &["time", "received", "from", "tcp_seq", "tcp_ack", "ip_id", "row"];
/// Columns of free bytes: their smallest and largest values say nothing.
const NO_BOUNDS: &[&str] = &["payload", "raw", "extra", "detail"];

/// What a file is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// To be written soon, and replaced soon.
    Fresh,
    /// Merged, by time.
    Merged,
    /// Merged and sorted, and kept.
    Sorted,
}

impl Form {
    /// Rows in a row group.
    pub(crate) const fn group_rows(self) -> usize {
        262_144
    }

    const fn zstd_level(self) -> i32 {
        match self {
            Self::Fresh => 1,
            Self::Merged => 3,
            Self::Sorted => 9,
        }
    }

    /// The columns that the rows are sorted by.
    const fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Self::Fresh | Self::Merged => &["time"],
            Self::Sorted => &["src", "dport", "time"],
        }
    }
}

/// A Parquet file in memory.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Bytes,
    pub(crate) bounds: Bounds,
    /// For the `add` action.
    pub(crate) stats: String,
}

/// Sorts and writes rows. `path` is for errors only. There is at least one row.
pub(crate) fn encode(relation: Relation, batches: &[RecordBatch], path: &Path) -> Result<Encoded, LakeError> {
    let sorted = sort(relation, batches)?;
    let (bytes, meta) =
        write(relation, &sorted).map_err(|source| LakeError::Parquet { path: path.clone(), source })?;
    let (bounds, stats) = stats::of_file(relation, &meta);
    Ok(Encoded { bytes: bytes.into(), bounds, stats })
}

fn write(relation: Relation, batches: &[RecordBatch]) -> Result<(Vec<u8>, ParquetMetaData), ParquetError> {
    let options = options(relation, Form::Fresh)?;
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut file, relation.schema(), options)?;
    for batch in batches {
        writer.write(batch)?;
    }
    let meta = writer.close()?;
    Ok((file, meta))
}

pub(crate) fn options(relation: Relation, form: Form) -> Result<ArrowWriterOptions, ParquetError> {
    // Without Arrow's own schema in the footer, every reader sees plain Parquet types.
    Ok(ArrowWriterOptions::new().with_properties(properties(relation, form)?).with_skip_arrow_metadata(true))
}

fn properties(relation: Relation, form: Form) -> Result<WriterProperties, ParquetError> {
    let sorted_by = form.sorted_by().iter().filter_map(|name| {
        let index = relation.columns().iter().position(|c| c.name == *name)?;
        let column_idx = i32::try_from(index).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: false })
    });
    let mut builder = WriterProperties::builder()
        .set_created_by(crate::ENGINE.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(form.zstd_level())?))
        .set_max_row_group_row_count(Some(form.group_rows()))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorted_by.collect()));
    for column in relation.columns() {
        let path = ColumnPath::from(column.name);
        if DELTA.contains(&column.name) {
            builder = builder
                .set_column_dictionary_enabled(path, false)
                .set_column_encoding(ColumnPath::from(column.name), Encoding::DELTA_BINARY_PACKED);
        } else if NO_BOUNDS.contains(&column.name) {
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
            if column.kind == ColumnKind::Bytes {
                builder = builder.set_column_dictionary_enabled(ColumnPath::from(column.name), false);
            }
        }
    }
    Ok(builder.build())
}

/// The rows in the order of `time`, equal times in the order in which they came.
fn sort(relation: Relation, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, LakeError> {
    let mut order: Vec<(i64, u32)> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        order.extend(
            times(batch, "time")?
                .values()
                .iter()
                .zip(u32::try_from(order.len()).unwrap_or(0)..)
                .map(|(t, i)| (*t, i)),
        );
    }
    if order.is_sorted() {
        return Ok(batches.to_vec());
    }
    // Mostly long rising runs, which this merges.
    order.sort();
    let rows = order.len();
    let order = UInt32Array::from_iter_values(order.into_iter().map(|(_, i)| i));
    let schema = relation.schema();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(index).as_ref()).collect();
        if parts.iter().all(|p| p.null_count() == p.len()) {
            return Ok(new_null_array(field.data_type(), rows));
        }
        take(&concat(&parts)?, &order, None)
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    Ok(vec![RecordBatch::try_new(Arc::clone(&schema), columns)?])
}
