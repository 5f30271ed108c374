//! A batch as the sender made it becomes rows of the table: types cast, missing columns null, the server's
//! columns filled.

use arrow_array::builder::make_view;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow_buffer::Buffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, Field, Schema};
use bartizan_enrich::Places;
use bartizan_model::{Action, BatchId, Kind, Micros};
use bartizan_prefix::{Dialects, Meaning};
use bartizan_schema::{Column, ColumnKind, Origin, table_columns, table_schema};
use std::sync::{Arc, LazyLock};

/// Rows of the arrays without values that all batches share; one with more rows has arrays of its own.
const SHARED_ROWS: usize = 8192;

/// An array without values of each type, to be cut to length. Most columns of most batches are one.
static NOTHING: LazyLock<[ArrayRef; ColumnKind::ALL.len()]> =
    LazyLock::new(|| ColumnKind::ALL.map(|kind| new_null_array(&kind.arrow(), SHARED_ROWS)));

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
    /// Countries and autonomous systems as they are known then.
    pub places: &'a Places,
}

/// The rows of `batch`, whose columns are a subset of the wire schema of `kind`, as rows of the table.
///
/// # Errors
/// When a column cannot be cast or the result is not a batch of the table; neither can happen to a batch
/// that `bartizan-wire` let through.
pub fn complete(
    kind: Kind,
    batch: &RecordBatch,
    receipt: Receipt<'_>,
    dialects: &Dialects,
) -> Result<RecordBatch, CompleteError> {
    let told = Told::new(batch, dialects);
    let whereabouts = Whereabouts::new(batch, receipt.places);
    let columns = table_columns(kind)
        .iter()
        .map(|column| match column.origin {
            Origin::Sender => sent(kind, column, batch),
            Origin::Server => filled(kind, column, batch, receipt, &whereabouts),
            Origin::Either => either(kind, column, batch, &told),
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(table_schema(kind), columns).map_err(|source| CompleteError::Schema { kind, source })
}

/// What the rows say and what their prefixes say, in the table's types: [`complete`] without what only a server knows.
/// Columns of which nothing is known are left out.
///
/// # Errors
/// When a column cannot be cast.
pub fn told(kind: Kind, batch: &RecordBatch, dialects: &Dialects) -> Result<RecordBatch, CompleteError> {
    let told = Told::new(batch, dialects);
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for column in table_columns(kind) {
        let array = match column.origin {
            Origin::Either => either(kind, column, batch, &told)?,
            Origin::Sender | Origin::Server if batch.column_by_name(column.name).is_some() => {
                sent(kind, column, batch)?
            }
            Origin::Sender | Origin::Server => continue,
        };
        fields.push(Field::new(column.name, column.kind.arrow(), true));
        columns.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|source| CompleteError::Schema { kind, source })
}

fn sent(kind: Kind, column: &Column, batch: &RecordBatch) -> Result<ArrayRef, CompleteError> {
    let target = column.kind.arrow();
    match batch.column_by_name(column.name) {
        None => Ok(nothing(column.kind, batch.num_rows())),
        Some(array) if *array.data_type() == target => Ok(Arc::clone(array)),
        Some(array) => {
            cast(array, &target).map_err(|source| CompleteError::Cast { column: column.name, kind, source })
        }
    }
}

/// What the sender says, and what the prefix says of the rows where it says nothing, or no word that is one.
fn either(
    kind: Kind,
    column: &Column,
    batch: &RecordBatch,
    told: &Told<'_>,
) -> Result<ArrayRef, CompleteError> {
    let theirs = sent(kind, column, batch)?;
    let rows = theirs.as_string_view().iter().enumerate();
    let of = |row| told.of(row);
    let column: StringViewArray = match column.name {
        "action" => {
            let word = |text: &&str| Action::ALL.iter().any(|action| action.as_str() == *text);
            let ours = |row| Some(of(row).map_or(Action::Log, |m| m.action).as_str());
            rows.map(|(row, theirs)| theirs.filter(word).or_else(|| ours(row))).collect()
        }
        "rule" if told.has(|m| m.rule.is_some()) => {
            rows.map(|(row, theirs)| theirs.or_else(|| of(row)?.rule.as_deref())).collect()
        }
        "chain" if told.has(|m| m.chain.is_some()) => {
            rows.map(|(row, theirs)| theirs.or_else(|| of(row)?.chain.as_deref())).collect()
        }
        "zones" if told.has(|m| m.zones.is_some()) => {
            rows.map(|(row, theirs)| theirs.or_else(|| of(row)?.zones.as_deref())).collect()
        }
        "rule" | "chain" | "zones" => return Ok(theirs),
        other => unreachable!("column `{other}` has no rule here; the test of all tables covers it"),
    };
    Ok(Arc::new(column))
}

fn filled(
    kind: Kind,
    column: &Column,
    batch: &RecordBatch,
    receipt: Receipt<'_>,
    whereabouts: &Whereabouts,
) -> Result<ArrayRef, CompleteError> {
    let rows = batch.num_rows();
    if let Some(known) = whereabouts.column(column.name) {
        return Ok(known);
    }
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
        _ => nothing(column.kind, rows),
    }
}

/// One text for every row, stored once.
fn repeated(text: &str, rows: usize) -> StringViewArray {
    let view = make_view(text.as_bytes(), 0, 0);
    StringViewArray::new(vec![view; rows].into(), vec![Buffer::from(text.as_bytes())], None)
}

/// No value in any row.
fn nothing(kind: ColumnKind, rows: usize) -> ArrayRef {
    if rows <= SHARED_ROWS {
        return NOTHING[kind as usize].slice(0, rows);
    }
    new_null_array(&kind.arrow(), rows)
}

/// Country and autonomous system of both addresses of each row.
struct Whereabouts([(&'static str, ArrayRef); 4]);

impl Whereabouts {
    fn new(batch: &RecordBatch, places: &Places) -> Self {
        let of = |name: &str| -> (ArrayRef, ArrayRef) {
            match batch.column_by_name(name).and_then(|addrs| addrs.as_fixed_size_binary_opt()) {
                Some(addrs) => {
                    let (countries, systems) = places.columns(addrs);
                    (Arc::new(countries), Arc::new(systems))
                }
                None => {
                    (nothing(ColumnKind::Text, batch.num_rows()), nothing(ColumnKind::I64, batch.num_rows()))
                }
            }
        };
        let ((src_country, src_asn), (dst_country, dst_asn)) = (of("src"), of("dst"));
        Self([
            ("src_country", src_country),
            ("src_asn", src_asn),
            ("dst_country", dst_country),
            ("dst_asn", dst_asn),
        ])
    }

    fn column(&self, name: &str) -> Option<ArrayRef> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, column)| Arc::clone(column))
    }
}

/// What the prefixes of a batch say, each distinct one read once.
struct Told<'a> {
    keys: Option<&'a Int32Array>,
    meanings: Vec<Option<Meaning>>,
}

impl<'a> Told<'a> {
    fn new(batch: &'a RecordBatch, dialects: &Dialects) -> Self {
        let prefixes = batch.column_by_name("prefix").and_then(|a| a.as_dictionary_opt::<Int32Type>());
        let Some((dictionary, texts)) = prefixes.and_then(|d| Some((d, d.values().as_string_opt::<i32>()?)))
        else {
            return Self { keys: None, meanings: Vec::new() };
        };
        let meanings = texts.iter().map(|text| text.map(|prefix| dialects.read(prefix))).collect();
        Self { keys: Some(dictionary.keys()), meanings }
    }

    fn of(&self, row: usize) -> Option<&Meaning> {
        let keys = self.keys.filter(|keys| keys.is_valid(row))?;
        self.meanings.get(usize::try_from(keys.value(row)).ok()?)?.as_ref()
    }

    fn has(&self, what: impl Fn(&Meaning) -> bool) -> bool {
        self.meanings.iter().flatten().any(what)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use arrow_array::DictionaryArray;
    use bartizan_model::{Epoch, HostId, Lane, Seq, StreamId};
    use bartizan_schema::wire_schema;

    /// Events with these prefixes and what every event has.
    pub(crate) fn wire_batch(prefixes: &[&str]) -> RecordBatch {
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
        let receipt =
            Receipt { host: Whose::Host("web-01"), id, received: Micros(7), places: &Places::default() };
        let rows = complete(
            Kind::Events,
            &wire_batch(&["IN drop: ", "x", "ssh ACCEPT "]),
            receipt,
            &Dialects::built_in(),
        )
        .unwrap();
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
        let dialects = Dialects::built_in();
        let action = either(Kind::Events, column, &batch, &Told::new(&batch, &dialects)).unwrap();
        let action: Vec<_> = action.as_string_view().iter().flatten().collect();
        assert_eq!(action, ["accept", "drop", "drop"]);
    }

    #[test]
    fn addresses_get_the_country_and_system_that_are_known_at_receipt() {
        let list = "192.0.2.0\t192.0.2.255\t64500\tNL\tx\n2001:db8::\t2001:db8::f\t0\tDE\tx\n";
        let database = bartizan_enrich::Database::read(list.as_bytes(), Micros(0)).unwrap();
        let places = Places::new(vec![Arc::new(database)]);
        let batch = wire_batch(&["a", "b", "c"]);
        let addr = |text: Option<&str>| text.map(|t| bartizan_model::addr_from_ip(t.parse().unwrap()));
        let column = |texts: [Option<&str>; 3]| -> ArrayRef {
            let addrs = texts.into_iter().map(addr);
            Arc::new(arrow_array::FixedSizeBinaryArray::try_from_sparse_iter_with_size(addrs, 16).unwrap())
        };
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        for (name, addrs) in [
            ("src", [Some("192.0.2.7"), None, Some("10.0.0.1")]),
            ("dst", [Some("10.0.0.1"), Some("192.0.2.9"), Some("2001:db8::1")]),
        ] {
            fields.push(Arc::new(wire_schema(Kind::Events).field_with_name(name).unwrap().clone()));
            columns.push(column(addrs));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let id = BatchId {
            stream: StreamId { host: HostId::from_bytes([1; 16]), lane: Lane::DISK[0], epoch: Epoch(2) },
            seq: Seq(9),
        };
        let receipt = Receipt { host: Whose::Host("h"), id, received: Micros(7), places: &places };
        let rows = complete(Kind::Events, &batch, receipt, &Dialects::built_in()).unwrap();
        let texts = |name: &str| -> Vec<String> {
            let column = rows.column_by_name(name).unwrap().as_string_view();
            column.iter().map(|v| v.unwrap_or("-").into()).collect()
        };
        let numbers = |name: &str| -> Vec<i64> {
            let column = rows.column_by_name(name).unwrap().as_primitive::<arrow_array::types::Int64Type>();
            column.iter().map(|v| v.unwrap_or(0)).collect()
        };
        assert_eq!(
            (texts("src_country"), texts("dst_country")),
            (vec!["NL".to_owned(), "-".into(), "-".into()], vec!["-".to_owned(), "NL".into(), "DE".into()])
        );
        assert_eq!((numbers("src_asn"), numbers("dst_asn")), (vec![64500, 0, 0], vec![0, 64500, 0]));
    }

    #[test]
    fn what_is_not_there_is_null_in_short_batches_and_in_long_ones() {
        for rows in [1, SHARED_ROWS, SHARED_ROWS + 1] {
            for kind in ColumnKind::ALL {
                let array = nothing(kind, rows);
                assert_eq!((array.len(), array.null_count(), array.data_type()), (rows, rows, &kind.arrow()));
            }
        }
        for text in ["", "web-01", "a name that is longer than a view"] {
            assert!(repeated(text, 3).iter().eq([Some(text); 3]));
        }
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
            let receipt =
                Receipt { host: Whose::Host("h"), id, received: Micros(7), places: &Places::default() };
            let rows = complete(kind, &empty, receipt, &Dialects::built_in()).unwrap();
            assert_eq!(rows.schema(), table_schema(kind));
        }
    }

    #[test]
    fn a_batch_without_prefixes_has_the_action_log() {
        let batch = wire_batch(&["drop"]);
        let keep: Vec<usize> =
            (0..batch.num_columns()).filter(|i| batch.schema().field(*i).name() != "prefix").collect();
        let batch = batch.project(&keep).unwrap();
        let told = Told::new(&batch, &Dialects::built_in());
        let column = table_columns(Kind::Events).iter().find(|c| c.name == "action").unwrap();
        let action = either(Kind::Events, column, &batch, &told).unwrap();
        assert_eq!(action.as_string_view().value(0), "log");
    }

    #[test]
    fn what_a_manager_writes_into_the_prefix_is_told_apart() {
        let batch = wire_batch(&["Shorewall:net2fw:3:DROP:", "drop", "filter_IN_public_REJECT: "]);
        let dialects = Dialects::built_in();
        let told = Told::new(&batch, &dialects);
        let texts = |name: &str| -> Vec<String> {
            let column = table_columns(Kind::Events).iter().find(|c| c.name == name).unwrap();
            let array = either(Kind::Events, column, &batch, &told).unwrap();
            array.as_string_view().iter().map(|v| v.unwrap_or("-").into()).collect()
        };
        assert_eq!(texts("action"), ["drop", "drop", "reject"]);
        assert_eq!(texts("zones"), ["net-fw", "-", "public"]);
        assert_eq!(texts("chain"), ["net2fw", "-", "IN_public"]);
        assert_eq!(texts("rule"), ["3", "-", "-"]);
    }
}
