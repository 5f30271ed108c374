//! The columns of a data file that rollups are made of.

use super::texts::Texts;
use crate::error::LakeError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use bartizan_model::Kind;
use bartizan_schema::{ColumnKind, table_columns};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use std::sync::Arc;

/// What is read of `events`.
const NEEDED: [&str; 12] = [
    "time",
    "host",
    "action",
    "rule",
    "prefix",
    "proto",
    "dport",
    "src",
    "src_country",
    "src_asn",
    "length",
    "packets",
];
/// Rows that are read at a time.
const BATCH_ROWS: usize = 65_536;

/// The texts of a file, by column.
#[derive(Debug, Default)]
pub(crate) struct Dictionaries {
    pub host: Texts,
    pub action: Texts,
    pub rule: Texts,
    pub prefix: Texts,
    pub country: Texts,
}

/// Some rows of a file.
#[derive(Debug)]
pub(crate) struct Rows {
    pub time: PrimitiveArray<TimestampMicrosecondType>,
    pub host: Vec<u32>,
    pub action: Vec<u32>,
    pub rule: Vec<u32>,
    pub prefix: Vec<u32>,
    pub country: Vec<u32>,
    pub proto: Int16Array,
    pub dport: Int32Array,
    pub src: FixedSizeBinaryArray,
    pub asn: Int64Array,
    pub length: Int32Array,
    pub packets: Int64Array,
}

/// Reads a file batch by batch.
pub(crate) struct Reader {
    inner: ParquetRecordBatchReader,
    path: Path,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes, path: Path) -> Result<Self, LakeError> {
        let inner = open(bytes).map_err(|source| LakeError::Parquet { path: path.clone(), source })?;
        Ok(Self { inner, path })
    }

    /// The next rows; nothing at the end.
    pub(crate) fn next(&mut self, texts: &mut Dictionaries) -> Result<Option<Rows>, LakeError> {
        let batch = self.inner.next().map(|batch| batch.and_then(|batch| rows(&batch, texts))).transpose();
        batch.map_err(|source| LakeError::Parquet { path: self.path.clone(), source: source.into() })
    }
}

fn open(bytes: Bytes) -> Result<ParquetRecordBatchReader, ParquetError> {
    let found = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?;
    // Texts stay the dictionaries that they are in the file.
    let fields = found.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if NEEDED.contains(&field.name().as_str()) => {
            Arc::new(Field::new(field.name(), dictionary(), field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options)?;
    let wanted = found.schema().fields().iter().enumerate();
    let wanted = wanted.filter(|(_, f)| NEEDED.contains(&f.name().as_str())).map(|(i, _)| i);
    let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
    builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()
}

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn rows(batch: &RecordBatch, texts: &mut Dictionaries) -> Result<Rows, ArrowError> {
    let column = |name: &str| -> Result<ArrayRef, ArrowError> {
        let kind = table_columns(Kind::Events).iter().find(|c| c.name == name).map(|c| c.kind);
        let wanted = match kind {
            Some(ColumnKind::Text) => dictionary(),
            kind => kind.map_or(DataType::Null, ColumnKind::arrow),
        };
        match batch.column_by_name(name) {
            // The file is older than the column.
            None => Ok(new_null_array(&wanted, batch.num_rows())),
            Some(found) if *found.data_type() == wanted => Ok(Arc::clone(found)),
            Some(found) => arrow_cast::cast(found, &wanted),
        }
    };
    Ok(Rows {
        time: column("time")?.as_primitive().clone(),
        host: texts.host.numbers(&column("host")?),
        action: texts.action.numbers(&column("action")?),
        rule: texts.rule.numbers(&column("rule")?),
        prefix: texts.prefix.numbers(&column("prefix")?),
        country: texts.country.numbers(&column("src_country")?),
        proto: column("proto")?.as_primitive::<Int16Type>().clone(),
        dport: column("dport")?.as_primitive::<Int32Type>().clone(),
        src: column("src")?.as_fixed_size_binary().clone(),
        asn: column("src_asn")?.as_primitive::<Int64Type>().clone(),
        length: column("length")?.as_primitive::<Int32Type>().clone(),
        packets: column("packets")?.as_primitive::<Int64Type>().clone(),
    })
}
