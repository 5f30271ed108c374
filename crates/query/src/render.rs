//! Column values as people see them: the one place that turns a row into text or JSON.
//!
//! - Addresses as IPv4 or IPv6 text, never `::ffff:a.b.c.d`.
//! - Times in RFC 3339, UTC, with microseconds: `2026-11-23T05:00:43.684529Z`.
//! - `proto` and `inner_proto` as names where one exists, else as digits; always text.
//! - `tcp_flags` as words in the order of their bits: `SYN,ACK`; no bit set is `NONE`.
//! - Bytes as lower case hex.
//! - A null is left out of JSON, and is `None` as text.
//!
//! Nothing here escapes for a terminal, for CSV or for HTML: whoever writes there does.

use crate::id::{ID, ID_PARTS};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, TimeUnit};
use bartizan_model::{Micros, addr_to_ip};
use std::fmt::Write as _;
use std::io::Write as _;

/// How values of other types are shown.
const FORMAT: FormatOptions<'static> = FormatOptions::new();

/// The columns of one batch, ready to be shown row by row.
pub struct Rows<'a> {
    columns: Vec<(String, Values<'a>)>,
    rows: usize,
}

enum Values<'a> {
    Time(&'a PrimitiveArray<TimestampMicrosecondType>),
    Text(&'a StringViewArray),
    Addr(&'a arrow_array::FixedSizeBinaryArray),
    Bytes(&'a arrow_array::BinaryArray),
    I16(&'a PrimitiveArray<Int16Type>),
    Proto(&'a PrimitiveArray<Int16Type>),
    Flags(&'a PrimitiveArray<Int16Type>),
    I32(&'a PrimitiveArray<Int32Type>),
    I64(&'a PrimitiveArray<Int64Type>),
    /// The row's name, of its stream, batch and place.
    Id(&'a StringViewArray, &'a PrimitiveArray<Int64Type>, &'a PrimitiveArray<Int32Type>),
    Bool(&'a BooleanArray),
    /// A number or a text of a type that no table has.
    Other(StringArray, Form),
    /// A type that has no text.
    Unknown,
}

/// How a value of a type that no table has is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    Text,
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns: Vec<_> = self.columns.iter().map(|(key, _)| key).collect();
        f.debug_struct("Rows").field("columns", &columns).field("rows", &self.rows).finish()
    }
}

impl<'a> Rows<'a> {
    /// The rows of a batch that has columns of a table, in any order and number, with the rows' names as the
    /// column [`ID`](crate::ID) where the batch has what they are made of.
    #[must_use]
    pub fn new(batch: &'a RecordBatch) -> Self {
        let mut columns: Vec<_> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| (json_key(field.name()), Values::new(field.name(), array)))
            .collect();
        columns.extend(Values::id(batch).map(|id| (json_key(ID), id)));
        Self { columns, rows: batch.num_rows() }
    }

    /// The rows of a batch with columns of any name and type, each value as its type is shown: a name such as `proto`
    /// means nothing here.
    #[must_use]
    pub fn plain(batch: &'a RecordBatch) -> Self {
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, array)| (json_key(field.name()), Values::new("", array)));
        Self { columns: columns.collect(), rows: batch.num_rows() }
    }

    /// As [`Rows::new`], only the columns of these names, in this order.
    #[must_use]
    pub fn of(batch: &'a RecordBatch, names: &[String]) -> Self {
        let values = |name: &String| match name.as_str() {
            ID => Values::id(batch),
            name => batch.column_by_name(name).map(|array| Values::new(name, array)),
        };
        let columns = names.iter().filter_map(|name| Some((json_key(name), values(name)?))).collect();
        Self { columns, rows: batch.num_rows() }
    }

    /// As [`Rows::new`], only the columns of the first of these names, under the second, in this order.
    #[must_use]
    pub fn named(batch: &'a RecordBatch, names: &[(&str, &str)]) -> Self {
        let values = |name: &str| batch.column_by_name(name).map(|array| Values::new(name, array));
        let columns = names.iter().filter_map(|(name, key)| Some((json_key(key), values(name)?))).collect();
        Self { columns, rows: batch.num_rows() }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends row `row` as one JSON object without a line end.
    ///
    /// # Panics
    /// If `row` is not less than [`Rows::len`].
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        out.push(b'{');
        let mut first = true;
        for (key, values) in &self.columns {
            if values.is_null(row) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(key.as_bytes());
            values.write_json(row, out);
        }
        out.push(b'}');
    }

    /// The value of column `column` in row `row` as text; `None` for a null.
    ///
    /// # Panics
    /// If `row` is not less than [`Rows::len`], or there is no such column.
    #[must_use]
    pub fn text(&self, column: usize, row: usize) -> Option<String> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let values = &self.columns[column].1;
        (!values.is_null(row)).then(|| {
            let mut text = String::new();
            values.write_text(row, &mut text);
            text
        })
    }
}

/// `"name":`; names come from the schema, but a quote in one would still be escaped.
fn json_key(name: &str) -> String {
    let mut key = Vec::with_capacity(name.len() + 3);
    write_json_text(name, &mut key);
    key.push(b':');
    String::from_utf8(key).expect("JSON text is UTF-8")
}

fn write_json_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing text to memory does not fail");
}

impl<'a> Values<'a> {
    fn new(name: &str, array: &'a dyn Array) -> Self {
        match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Time(array.as_primitive()),
            DataType::Utf8View => Self::Text(array.as_string_view()),
            DataType::FixedSizeBinary(16) => Self::Addr(array.as_fixed_size_binary()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Int16 => match name {
                "proto" | "inner_proto" => Self::Proto(array.as_primitive()),
                "tcp_flags" => Self::Flags(array.as_primitive()),
                _ => Self::I16(array.as_primitive()),
            },
            DataType::Int32 => Self::I32(array.as_primitive()),
            DataType::Int64 => Self::I64(array.as_primitive()),
            DataType::Boolean => Self::Bool(array.as_boolean()),
            // All of them are null.
            DataType::Null => Self::Unknown,
            kind => {
                let form = if kind.is_numeric() { Form::Number } else { Form::Text };
                texts(array).map_or(Self::Unknown, |texts| Self::Other(texts, form))
            }
        }
    }

    /// The rows' names, of a batch that holds what they are made of.
    fn id(batch: &'a RecordBatch) -> Option<Self> {
        let [stream, seq, row] = ID_PARTS.map(|name| batch.column_by_name(name));
        let (seq, row) = (seq?.as_primitive_opt()?, row?.as_primitive_opt()?);
        Some(Self::Id(stream?.as_string_view_opt()?, seq, row))
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Id(stream, seq, rows) => stream.is_null(row) || seq.is_null(row) || rows.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::Addr(a) => a.is_null(row),
            Self::Bytes(a) => a.is_null(row),
            Self::I16(a) | Self::Proto(a) | Self::Flags(a) => a.is_null(row),
            Self::I32(a) => a.is_null(row),
            Self::I64(a) => a.is_null(row),
            Self::Bool(a) => a.is_null(row),
            Self::Other(a, ..) => a.is_null(row),
            Self::Unknown => true,
        }
    }

    fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Text(a) => write_json_text(a.value(row), out),
            Self::Id(..) => {
                let mut text = String::new();
                self.write_text(row, &mut text);
                write_json_text(&text, out);
            }
            Self::I16(a) => write_number(a.value(row).into(), out),
            Self::I32(a) => write_number(a.value(row).into(), out),
            Self::I64(a) => write_number(a.value(row), out),
            Self::Bool(a) => out.extend_from_slice(if a.value(row) { b"true" } else { b"false" }),
            Self::Other(_, form) => {
                let mut text = String::new();
                self.write_text(row, &mut text);
                // JSON has no infinity and no digits that are not one.
                match form {
                    Form::Number if text.parse().is_ok_and(f64::is_finite) => {
                        out.extend_from_slice(text.as_bytes());
                    }
                    _ => write_json_text(&text, out),
                }
            }
            _ => {
                // None of these can hold a character that JSON escapes.
                let mut text = String::new();
                self.write_text(row, &mut text);
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
        }
    }

    fn write_text(&self, row: usize, out: &mut String) {
        match self {
            Self::Time(a) => out.push_str(&time_text(Micros(a.value(row)))),
            Self::Text(a) => out.push_str(a.value(row)),
            Self::Addr(a) => out.push_str(&addr_text(a.value(row))),
            Self::Bytes(a) => {
                for byte in a.value(row) {
                    push(out, format_args!("{byte:02x}"));
                }
            }
            Self::Proto(a) => out.push_str(&proto_text(a.value(row))),
            Self::Flags(a) => out.push_str(&flags_text(a.value(row))),
            Self::I16(a) => push(out, format_args!("{}", a.value(row))),
            Self::I32(a) => push(out, format_args!("{}", a.value(row))),
            Self::I64(a) => push(out, format_args!("{}", a.value(row))),
            Self::Id(stream, seq, rows) => {
                push(out, format_args!("{}/{}/{}", stream.value(row), seq.value(row), rows.value(row)));
            }
            Self::Bool(a) => push(out, format_args!("{}", a.value(row))),
            Self::Other(texts, _) => out.push_str(texts.value(row)),
            Self::Unknown => {}
        }
    }
}

/// The texts of values of any type; nothing, if the type has none. A value that has none, such as a date after the
/// last one, is as the error says.
fn texts(array: &dyn Array) -> Option<StringArray> {
    let format = ArrayFormatter::try_new(array, &FORMAT).ok()?;
    let text = |row| array.is_valid(row).then(|| format.value(row).to_string());
    Some((0..array.len()).map(text).collect())
}

fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a string does not fail");
}

fn write_number(n: i64, out: &mut Vec<u8>) {
    write!(out, "{n}").expect("writing to memory does not fail");
}

/// A moment in RFC 3339, UTC, with microseconds. Outside the years -9999 to 9999: microseconds as digits.
#[must_use]
pub fn time_text(time: Micros) -> String {
    match jiff::Timestamp::from_microsecond(time.0) {
        Ok(t) => format!("{t:.6}"),
        Err(_) => time.0.to_string(),
    }
}

/// 16 bytes of address as a person writes it; bytes of another length in hex.
#[must_use]
pub fn addr_text(bytes: &[u8]) -> String {
    match <[u8; 16]>::try_from(bytes) {
        Ok(addr) => addr_to_ip(addr).to_string(),
        Err(_) => bytes.iter().fold(String::new(), |mut text, byte| {
            push(&mut text, format_args!("{byte:02x}"));
            text
        }),
    }
}

/// The names that the filter language takes and prints; a test holds that.
const PROTOS: &[(i16, &str)] = &[
    (0, "hopopt"),
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (88, "eigrp"),
    (89, "ospf"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (132, "sctp"),
    (136, "udplite"),
    (143, "ethernet"),
];

/// The name of an IP protocol as nft writes it, else its number.
#[must_use]
pub fn proto_text(proto: i16) -> String {
    PROTOS.iter().find(|(n, _)| *n == proto).map_or_else(|| proto.to_string(), |(_, name)| (*name).to_owned())
}

const FLAGS: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];

/// TCP flags as words in the order of their bits; `NONE` if no bit is set.
#[must_use]
pub fn flags_text(flags: i16) -> String {
    let words: Vec<_> =
        FLAGS.iter().enumerate().filter(|(bit, _)| flags & (1 << bit) != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { "NONE".to_owned() } else { words.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_filter::{Context, Filter};

    #[test]
    fn what_is_shown_can_be_asked_for() {
        let canonical = |text: String| Filter::parse(&text, &Context::default()).unwrap().to_string();
        for proto in 0..=255 {
            assert_eq!(
                canonical(format!("proto:{}", proto_text(proto))),
                canonical(format!("proto:{proto}"))
            );
        }
        for bit in 0..9 {
            let word = flags_text(1 << bit);
            assert_eq!(canonical(format!("flags:{word}")), format!("flags:{}", word.to_lowercase()));
        }
        for addr in ["192.0.2.1", "2001:db8::1", "::", "::1"] {
            let bytes = bartizan_model::addr_from_ip(addr.parse().unwrap());
            assert_eq!(canonical(format!("src:{}", addr_text(&bytes))), format!("src:{addr}"));
        }
    }

    #[test]
    fn rows_of_any_type_are_json() {
        use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int16Array, NullArray, UInt64Array};
        use std::sync::Arc;
        let column = |name: &str, array: ArrayRef| (name.to_owned(), array);
        let columns = [
            column("proto", Arc::new(Int16Array::from(vec![Some(6), None]))),
            column("f", Arc::new(Float64Array::from(vec![1.5, f64::INFINITY]))),
            column("u", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
            column(
                "d",
                Arc::new(Decimal128Array::from(vec![150, -5]).with_precision_and_scale(5, 2).unwrap()),
            ),
            column("b", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            column("n", Arc::new(NullArray::new(2))),
            column("t", Arc::new(StringArray::from(vec!["a\"b", "1"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let rows = Rows::plain(&batch);
        let json = |row| {
            let mut out = Vec::new();
            rows.write_json(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(json(0), r#"{"proto":6,"f":1.5,"u":18446744073709551615,"d":1.50,"b":true,"t":"a\"b"}"#);
        assert_eq!(json(1), r#"{"f":"inf","u":0,"d":-0.05,"t":"1"}"#);
        assert_eq!((rows.text(3, 1), rows.text(4, 1)), (Some("-0.05".to_owned()), None));
    }

    #[test]
    fn values_have_one_form() {
        assert_eq!(flags_text(0b1_0001_0010), "SYN,ACK,AE");
        assert_eq!(flags_text(0), "NONE");
        assert_eq!(time_text(Micros(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(time_text(Micros(-1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(time_text(Micros(i64::MAX)), i64::MAX.to_string());
        assert_eq!(addr_text(&[1, 2, 255]), "0102ff");
    }
}
