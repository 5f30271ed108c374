//! Rows to a Parquet file.
//!
//! Rows of a commit are sorted by `time`. Columns of few different values are dictionaries; counters and
//! times are deltas; all is zstd. Pages carry an index, so that a reader skips inside a file as well.
//! Columns without any value, which are many, are not sorted and cost next to nothing.
//!
//! Sorted files are kept for long: what each column is there, and why, is measured in `docs/adr/0005-layout.md`.

use crate::delta::stats::{self, Bounds};
use crate::error::LakeError;
use crate::partition::times;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use bartizan_model::Kind;
use bartizan_schema::{Column, ColumnKind, Relation};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, SortingColumn};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

const PAGE_ROWS: usize = 16_384;
/// Columns whose values seldom repeat in a file, or rise: differences are shorter than a dictionary.
const DELTA: &[&str] = &["time", "received", "from", "tcp_seq", "tcp_ack", "ip_id", "row"];
/// In sorted files: numbers that seldom repeat. Byte stream split would be up to a tenth shorter, and readers that are
/// in use do not know it for integers.
const NUMBERS: &[&str] = &["ttl", "row", "ip_id", "tcp_seq", "tcp_ack", "tcp_window"];
/// In sorted files: each value is mostly that of the row before, which zstd sees best in plain bytes.
const PLAIN: &[&str] = &["src"];
/// Of events: columns whose pages have bounds, because questions are about ranges of them. In the others a page holds
/// every value of a fleet, and the text of the bounds would cost more than it could save.
const PAGE_BOUNDS: &[&str] = &["time", "received", "src", "dst", "proto", "dport", "host"];
/// Different values that the dictionary of a column of numbers may hold, in bytes.
const DICTIONARY: usize = 1 << 20;
/// Of the bloom filters: how often one says yes for nothing.
const FALSE_YES: f64 = 0.02;

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
        match self {
            Self::Fresh | Self::Merged => 262_144,
            Self::Sorted => 1_048_576,
        }
    }

    const fn zstd_level(self) -> i32 {
        match self {
            Self::Fresh => 1,
            Self::Merged => 3,
            Self::Sorted => 6,
        }
    }

    const fn version(self) -> WriterVersion {
        match self {
            Self::Fresh => WriterVersion::PARQUET_1_0,
            Self::Merged | Self::Sorted => WriterVersion::PARQUET_2_0,
        }
    }

    /// The columns that the rows are sorted by.
    const fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Self::Fresh | Self::Merged => &["time"],
            Self::Sorted => &["src", "host", "dport", "time"],
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
        .set_writer_version(form.version())
        .set_max_row_group_row_count(Some(form.group_rows()))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorted_by.collect()));
    let is_events = relation == Relation::Rows(Kind::Events);
    for column in relation.columns() {
        if is_events && !PAGE_BOUNDS.contains(&column.name) {
            builder = builder
                .set_column_statistics_enabled(ColumnPath::from(column.name), EnabledStatistics::Chunk);
        }
        builder = match form {
            Form::Sorted => sorted_column(builder, column),
            Form::Fresh | Form::Merged => column_by_time(builder, column),
        };
    }
    if is_events {
        builder = match form {
            Form::Fresh => builder,
            Form::Merged => bloom(builder, "src", form),
            Form::Sorted => bloom(builder, "dst", form),
        };
    }
    Ok(builder.build())
}

fn column_by_time(builder: WriterPropertiesBuilder, column: &Column) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(column.name);
    if DELTA.contains(&column.name) {
        return builder
            .set_column_dictionary_enabled(path(), false)
            .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
    }
    free_bytes(builder, column)
}

fn sorted_column(builder: WriterPropertiesBuilder, column: &Column) -> WriterPropertiesBuilder {
    let (name, path) = (column.name, || ColumnPath::from(column.name));
    let encoded = |builder: WriterPropertiesBuilder, encoding| {
        builder.set_column_dictionary_enabled(path(), false).set_column_encoding(path(), encoding)
    };
    match name {
        "time" | "from" => encoded(builder, Encoding::DELTA_BINARY_PACKED),
        // A dictionary where batches are large, deltas where there are too many of them.
        "received" => builder
            .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_page_size_limit(path(), DICTIONARY),
        _ if NUMBERS.contains(&name) => encoded(builder, Encoding::DELTA_BINARY_PACKED),
        _ if PLAIN.contains(&name) => encoded(builder, Encoding::PLAIN),
        _ => free_bytes(builder, column),
    }
}

fn free_bytes(builder: WriterPropertiesBuilder, column: &Column) -> WriterPropertiesBuilder {
    if !NO_BOUNDS.contains(&column.name) {
        return builder;
    }
    let path = || ColumnPath::from(column.name);
    let builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::None);
    if column.kind == ColumnKind::Bytes {
        builder.set_column_dictionary_enabled(path(), false)
    } else {
        builder
    }
}

fn bloom(builder: WriterPropertiesBuilder, column: &'static str, form: Form) -> WriterPropertiesBuilder {
    builder
        .set_column_bloom_filter_enabled(ColumnPath::from(column), true)
        .set_column_bloom_filter_fpp(ColumnPath::from(column), FALSE_YES)
        .set_column_bloom_filter_max_ndv(ColumnPath::from(column), form.group_rows() as u64)
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
    let mut nothing: Vec<ArrayRef> = Vec::new();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(index).as_ref()).collect();
        if parts.iter().all(|p| p.null_count() == p.len()) {
            // One of each type serves all columns without values.
            if let Some(same) = nothing.iter().find(|array| array.data_type() == field.data_type()) {
                return Ok(Arc::clone(same));
            }
            nothing.push(new_null_array(field.data_type(), rows));
            return Ok(Arc::clone(&nothing[nothing.len() - 1]));
        }
        take(&concat(&parts)?, &order, None)
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    Ok(vec![RecordBatch::try_new(Arc::clone(&schema), columns)?])
}
