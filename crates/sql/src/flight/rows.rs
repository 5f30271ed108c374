//! Rows and columns as Flight SQL carries them: types that every client knows, text is `Utf8` and never a view.
//!
//! What a question is said to give and what it gives have the same columns, because both are made here.

use super::Rows;
use super::status::status;
use crate::functions::ADDRESS;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{IpcMessage, SchemaAsIpc};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use bartizan_query::{QueryError, RowStream};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use tonic::Status;

/// The columns of an answer. Each may be null, because plans know of some columns too late that they are not.
pub(super) fn columns(schema: &Schema) -> SchemaRef {
    let column = |field: &FieldRef| Field::new(field.name(), known(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(column).collect::<Vec<_>>()))
}

/// The parameters of a question: addresses are given as texts.
pub(super) fn parameters(schema: &Schema) -> SchemaRef {
    let kind = |kind: &DataType| if *kind == ADDRESS { DataType::Utf8 } else { known(kind) };
    let column = |field: &FieldRef| Field::new(field.name(), kind(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(column).collect::<Vec<_>>()))
}

fn known(kind: &DataType) -> DataType {
    let inside = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(known(field.data_type())));
    match kind {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => known(values),
        DataType::RunEndEncoded(_, values) => known(values.data_type()),
        DataType::List(field) | DataType::ListView(field) => DataType::List(inside(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(inside(field)),
        DataType::FixedSizeList(field, n) => DataType::FixedSizeList(inside(field), *n),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::Map(field, sorted) => DataType::Map(inside(field), *sorted),
        other => other.clone(),
    }
}

/// An answer, as long as somebody reads it. `held` is dropped with it.
pub(super) fn answer(rows: RowStream, held: impl Send + 'static) -> Rows {
    let columns = columns(&rows.schema());
    let shown = Arc::clone(&columns);
    let rows = rows.map(move |batch| {
        let _ = &held;
        let shown = with_columns(&batch.map_err(status)?, &shown);
        shown.map_err(|error| status(QueryError::Engine(Box::new(error.into()))))
    });
    encoded(columns, rows.map_err(|status| FlightError::Tonic(Box::new(status))))
}

fn with_columns(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let array = |(array, field): (&ArrayRef, &FieldRef)| arrow_cast::cast(array.as_ref(), field.data_type());
    let arrays = batch.columns().iter().zip(columns.fields()).map(array).collect::<Result<_, _>>()?;
    // An answer may have no columns and still have rows.
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(columns), arrays, &options)
}

/// An answer that is there already.
pub(super) fn one(rows: RecordBatch) -> Rows {
    encoded(rows.schema(), futures::stream::iter([Ok(rows)]))
}

fn encoded(
    schema: SchemaRef,
    rows: impl futures::Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> Rows {
    FlightDataEncoderBuilder::new().with_schema(schema).build(rows).map_err(Status::from).boxed()
}

/// A schema as messages hold it.
pub(super) fn ipc(schema: &Schema) -> Result<bytes::Bytes, Status> {
    let message: Result<IpcMessage, _> = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into();
    message.map(|IpcMessage(bytes)| bytes).map_err(|_| Status::internal("the columns cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::{StringArray, StringViewArray};

    #[test]
    fn what_is_said_of_columns_is_what_comes() {
        let list = |kind| DataType::List(Arc::new(Field::new("item", kind, true)));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        for (given, shown) in [
            (DataType::Utf8View, DataType::Utf8),
            (list(DataType::Utf8View), list(DataType::Utf8)),
            (dictionary, DataType::Utf8),
            (DataType::Int16, DataType::Int16),
        ] {
            let array = arrow_array::new_null_array(&given, 3);
            let batch = RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap();
            let columns = columns(&batch.schema());
            assert_eq!(columns.field(0).data_type(), &shown);
            assert_eq!(with_columns(&batch, &columns).unwrap().schema(), columns);
        }
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let batch = RecordBatch::try_from_iter([("a", text)]).unwrap();
        let shown = with_columns(&batch, &columns(&batch.schema())).unwrap();
        assert_eq!(shown.column(0).as_string::<i32>(), &StringArray::from(vec![Some("a"), None]));
        let address = Schema::new(vec![Field::new("$1", ADDRESS, true)]);
        assert_eq!(parameters(&address).field(0).data_type(), &DataType::Utf8);
    }
}
