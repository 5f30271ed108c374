//! Small batches, made column by column.

use arrow_array::types::Int32Type;
use arrow_array::{
    Array as _, ArrayRef, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch,
    TimestampMicrosecondArray,
};
use arrow_schema::Schema;
use bartizan_model::{Kind, Micros};
use bartizan_schema::wire_schema;
use std::sync::Arc;

/// A batch of a kind's wire columns; those for which there is nothing are left out.
pub(crate) fn batch(kind: Kind, column: impl Fn(&str) -> Option<ArrayRef>) -> RecordBatch {
    let (fields, columns): (Vec<_>, Vec<_>) = wire_schema(kind)
        .fields()
        .iter()
        .filter_map(|field| Some((Arc::clone(field), column(field.name())?)))
        .filter(|(field, column)| !field.is_nullable() || column.null_count() < column.len())
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .expect("every column has the type of the schema and one value for each row")
}

pub(crate) fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<DictionaryArray<Int32Type>>())
}

pub(crate) fn times(values: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
    let values: TimestampMicrosecondArray = values.map(|t| t.map(|t| t.0)).collect();
    Arc::new(values.with_timezone("UTC"))
}

pub(crate) fn i64s(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

pub(crate) fn i32s(values: impl Iterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.collect::<Int32Array>())
}

pub(crate) fn i16s(values: impl Iterator<Item = Option<i16>>) -> ArrayRef {
    Arc::new(values.collect::<Int16Array>())
}
