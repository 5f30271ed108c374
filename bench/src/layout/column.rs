use super::rows::Rows;
use anyhow::Result;
use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How columns are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coding {
    pub(super) level: i32,
    pub(super) group: usize,
    pub(super) page: usize,
}

/// A column in one encoding.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) encoding: &'static str,
    /// For each row.
    pub(super) bytes: f64,
    pub(super) took: Duration,
}

/// A column in every encoding that suits its type.
pub(super) fn write(name: &str, values: &ArrayRef, coding: Coding) -> Result<Vec<Written>> {
    let others: &[(&str, Encoding)] = match values.data_type() {
        DataType::FixedSizeBinary(_) => {
            &[("plain", Encoding::PLAIN), ("prefixes", Encoding::DELTA_BYTE_ARRAY)]
        }
        DataType::Utf8View | DataType::Utf8 => &[],
        _ => &[
            ("plain", Encoding::PLAIN),
            ("deltas", Encoding::DELTA_BINARY_PACKED),
            ("split", Encoding::BYTE_STREAM_SPLIT),
        ],
    };
    let mut all = vec![one(name, values, coding, "dictionary", None)?];
    for (word, encoding) in others {
        all.push(one(name, values, coding, word, Some(*encoding))?);
    }
    Ok(all)
}

fn one(
    name: &str,
    values: &ArrayRef,
    coding: Coding,
    word: &'static str,
    encoding: Option<Encoding>,
) -> Result<Written> {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(coding.level)?))
        .set_max_row_group_row_count(Some(coding.group))
        .set_data_page_row_count_limit(coding.page)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_dictionary_enabled(encoding.is_none());
    if let Some(encoding) = encoding {
        properties = properties.set_encoding(encoding);
    }
    let field = Field::new(name, values.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(values)])?;
    let began = Instant::now();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))?;
    writer.write(&batch)?;
    let meta = writer.finish()?;
    let bytes: i64 =
        meta.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::compressed_size).sum();
    Ok(Written { encoding: word, bytes: bytes as f64 / values.len() as f64, took: began.elapsed() })
}

/// Both addresses as other types, in bytes of an event.
pub(super) fn addresses(
    rows: &Rows,
    order: &UInt32Array,
    coding: Coding,
) -> Result<Vec<(&'static str, f64)>> {
    let mut sums =
        vec![("16 bytes", 0.0), ("4 bytes for IPv4 and 16 for IPv6, two columns", 0.0), ("text", 0.0)];
    for name in ["src", "dst"] {
        let values = take(rows.column(name), order, None)?;
        let values = values.as_fixed_size_binary();
        let forms = [vec![Arc::new(values.clone()) as ArrayRef], pair(values)?, vec![text(values)]];
        for (sum, columns) in sums.iter_mut().zip(forms) {
            for column in columns {
                let written = write(name, &column, coding)?;
                sum.1 += written.iter().map(|w| w.bytes).fold(f64::INFINITY, f64::min);
            }
        }
    }
    Ok(sums)
}

fn v4(address: &[u8]) -> Option<i32> {
    let mapped = address.strip_prefix(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])?;
    Some(i32::from_be_bytes(mapped.try_into().ok()?))
}

fn pair(values: &FixedSizeBinaryArray) -> Result<Vec<ArrayRef>> {
    let short: Int32Array = values.iter().map(|a| v4(a?)).collect();
    let long = values.iter().map(|a| a.filter(|a| v4(a).is_none()));
    Ok(vec![Arc::new(short), Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(long, 16)?)])
}

fn text(values: &FixedSizeBinaryArray) -> ArrayRef {
    let print = |address: &[u8]| {
        let bytes: [u8; 16] = address.try_into().ok()?;
        Some(Ipv6Addr::from(bytes).to_canonical().to_string())
    };
    Arc::new(values.iter().map(|a| print(a?)).collect::<StringArray>())
}
