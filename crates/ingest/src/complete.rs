//! A batch as the sender made it becomes rows of the table: types cast, missing columns null, the server's
//! columns filled.

use arrow_array::builder::StringViewBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow_cast::cast;
use arrow_schema::ArrowError;
use bartizan_model::{Action, BatchId, Kind, Micros};
use bartizan_schema::{Column, Origin, table_columns, table_schema};
use std::sync::Arc;

/// Why a batch could not be completed; it passed the wire's checks, so this is our own fault.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// A column could not be cast to the table's type.
    #[error("column `{column}` of a batch of {kind} cannot be cast")]
    Cast {
        /// Which.
        column: &'static str,
        /// Of which table.
        kind: Kind,
        /// What arrow says.
        source: ArrowError,
    },
    /// The completed columns do not make a batch of the table.
    #[error("the completed columns are not a batch of {kind}")]
    Schema {
        /// Of which table.
        kind: Kind,
        /// What arrow says.
        source: ArrowError,
    },
}

/// Whose rows a batch holds.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// All are this host's, which its certificate names.
    Host(&'a str),
    /// Each row says it in `host` and `sender`: the server collected them itself, or they were imported.
    Each,
}

/// What the server knows of a batch, apart from its rows.
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    /// Whose rows they are.
    pub host: Whose<'a>,
    /// The name of the batch.
    pub id: BatchId,
    /// When it came.
    pub received: Micros,
}

/// The rows of `batch`, whose columns are a subset of the wire schema of `kind`, as rows of the table.
///
/// # Errors
/// When a column cannot be cast or the result is not a batch of the table; neither can happen to a batch
/// that `bartizan-wire` let through.
pub fn complete(kind: Kind, batch: &RecordBatch, receipt: Receipt<'_>) -> Result<RecordBatch, CompleteError> {
    let columns = table_columns(kind)
        .iter()
        .map(|column| match column.origin {
            Origin::Sender => sent(kind, column, batch),
            Origin::Server => filled(kind, column, batch, receipt),
            Origin::Either => either(kind, column, batch),
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(table_schema(kind), columns).map_err(|source| CompleteError::Schema { kind, source })
}

fn sent(kind: Kind, column: &Column, batch: &RecordBatch) -> Result<ArrayRef, CompleteError> {
    let target = column.kind.arrow();
    match batch.column_by_name(column.name) {
        None => Ok(new_null_array(&target, batch.num_rows())),
        Some(array) if *array.data_type() == target => Ok(Arc::clone(array)),
        Some(array) => {
            cast(array, &target).map_err(|source| CompleteError::Cast { column: column.name, kind, source })
        }
    }
}

/// What the sender says, and what the server makes of the rows where it says nothing, or no word that is one.
fn either(kind: Kind, column: &Column, batch: &RecordBatch) -> Result<ArrayRef, CompleteError> {
    let theirs = sent(kind, column, batch)?;
    let ours = match column.name {
        "action" => actions(batch),
        // what a prefix says of them is not read yet
        "rule" | "chain" | "zones" => return Ok(theirs),
        other => unreachable!("column `{other}` has no rule here; the test of all tables covers it"),
    };
    let word = |text: &&str| Action::ALL.iter().any(|action| action.as_str() == *text);
    let rows = theirs.as_string_view().iter().zip(ours.iter());
    Ok(Arc::new(rows.map(|(theirs, ours)| theirs.filter(word).or(ours)).collect::<StringViewArray>()))
}

fn filled(
    kind: Kind,
    column: &Column,
    batch: &RecordBatch,
    receipt: Receipt<'_>,
) -> Result<ArrayRef, CompleteError> {
    let rows = batch.num_rows();
    Ok(match (column.name, receipt.host) {
        ("host" | "sender", Whose::Each) => return sent(kind, column, batch),
        ("host", Whose::Host(host)) => Arc::new(repeated(host, rows)),
        _ => server_side(column, rows, receipt),
    })
}

fn server_side(column: &Column, rows: usize, receipt: Receipt<'_>) -> ArrayRef {
    match column.name {
        "received" => {
            Arc::new(TimestampMicrosecondArray::from_value(receipt.received.0, rows).with_timezone("UTC"))
        }
        "stream" => Arc::new(repeated(&receipt.id.stream.to_string(), rows)),
        "seq" => Arc::new(Int64Array::from_value(i64::try_from(receipt.id.seq.0).unwrap_or(i64::MAX), rows)),
        "row" => Arc::new(Int32Array::from_iter_values(0..i32::try_from(rows).unwrap_or(i32::MAX))),
        _ => new_null_array(&column.kind.arrow(), rows),
    }
}

/// One text for every row, stored once.
fn repeated(text: &str, rows: usize) -> StringViewArray {
    let mut builder = StringViewBuilder::with_capacity(rows).with_deduplicate_strings();
    for _ in 0..rows {
        builder.append_value(text);
    }
    builder.finish()
}

/// The action of each row, found once per distinct prefix.
fn actions(batch: &RecordBatch) -> StringViewArray {
    let prefixes = batch.column_by_name("prefix").and_then(|a| a.as_dictionary_opt::<Int32Type>());
    let Some((dictionary, texts)) = prefixes.and_then(|d| Some((d, d.values().as_string_opt::<i32>()?)))
    else {
        return repeated(Action::Log.as_str(), batch.num_rows());
    };
    let by_key: Vec<Action> = (0..texts.len())
        .map(|i| if texts.is_null(i) { Action::Log } else { bartizan_ruleset::action_of(texts.value(i)) })
        .collect();
    let action =
        |key: Option<usize>| key.and_then(|k| by_key.get(k)).copied().unwrap_or(Action::Log).as_str();
    StringViewArray::from_iter_values(dictionary.keys_iter().map(action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::DictionaryArray;
    use arrow_schema::Schema;
    use bartizan_model::{Epoch, HostId, Lane, Seq, StreamId};
    use bartizan_schema::wire_schema;

    fn wire_batch(prefixes: &[&str]) -> RecordBatch {
        let rows = prefixes.len();
        let text = |v: &str| -> ArrayRef {
            Arc::new(std::iter::repeat_n(Some(v), rows).collect::<DictionaryArray<Int32Type>>())
        };
        let prefix: DictionaryArray<Int32Type> = prefixes.iter().copied().map(Some).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("time", Arc::new(TimestampMicrosecondArray::from_value(5, rows).with_timezone("UTC"))),
            ("source", text("nflog")),
            ("prefix", Arc::new(prefix)),
            ("family", text("ip")),
            ("packets", Arc::new(Int64Array::from_value(1, rows))),
        ];
        let all = wire_schema(Kind::Events);
        let fields: Vec<_> =
            columns.iter().map(|(n, _)| all.field_with_name(n).expect("wire column").clone()).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, a)| a).collect())
            .unwrap()
    }

    #[test]
    fn server_columns_are_filled_and_the_rest_is_null() {
        let id = BatchId {
            stream: StreamId { host: HostId::from_bytes([1; 16]), lane: Lane::DISK[0], epoch: Epoch(2) },
            seq: Seq(9),
        };
        let receipt = Receipt { host: Whose::Host("web-01"), id, received: Micros(7) };
        let rows = complete(Kind::Events, &wire_batch(&["IN drop: ", "x", "ssh ACCEPT "]), receipt).unwrap();
        assert_eq!(rows.schema(), table_schema(Kind::Events));
        let texts = |name: &str| -> Vec<String> {
            rows.column_by_name(name)
                .unwrap()
                .as_string_view()
                .iter()
                .map(|v| v.unwrap_or("-").into())
                .collect()
        };
        assert_eq!(texts("action"), ["drop", "log", "accept"]);
        assert_eq!(texts("host"), ["web-01"; 3]);
        assert_eq!(texts("rule"), ["-"; 3]);
        assert_eq!(texts("prefix"), ["IN drop: ", "x", "ssh ACCEPT "]);
        assert_eq!(rows.column_by_name("row").unwrap().as_primitive::<Int32Type>().values(), &[0, 1, 2]);
    }

    #[test]
    fn the_senders_action_goes_before_the_prefix_if_it_is_one() {
        let batch = wire_batch(&["IN drop: ", "x drop", "drop"]);
        let said: DictionaryArray<Int32Type> = [Some("accept"), None, Some("<b>")].into_iter().collect();
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(wire_schema(Kind::Events).field_with_name("action").unwrap().clone()));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(said));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let column = table_columns(Kind::Events).iter().find(|c| c.name == "action").unwrap();
        let action = either(Kind::Events, column, &batch).unwrap();
        let action: Vec<_> = action.as_string_view().iter().flatten().collect();
        assert_eq!(action, ["accept", "drop", "drop"]);
    }

    #[test]
    fn every_column_of_every_table_has_a_source() {
        for kind in Kind::ALL {
            let id = BatchId {
                stream: StreamId { host: HostId::from_bytes([1; 16]), lane: Lane::DISK[0], epoch: Epoch(2) },
                seq: Seq(9),
            };
            let schema = wire_schema(kind);
            let empty = RecordBatch::new_empty(schema);
            let rows =
                complete(kind, &empty, Receipt { host: Whose::Host("h"), id, received: Micros(7) }).unwrap();
            assert_eq!(rows.schema(), table_schema(kind));
        }
    }

    #[test]
    fn a_batch_without_prefixes_has_the_action_log() {
        let batch = wire_batch(&["drop"]);
        let keep: Vec<usize> =
            (0..batch.num_columns()).filter(|i| batch.schema().field(*i).name() != "prefix").collect();
        assert_eq!(actions(&batch.project(&keep).unwrap()).value(0), "log");
    }
}
