//! Rows as PostgreSQL's COPY and MySQL's INSERT take them.

use super::columns::{Cell, Source, v4};
use super::table::{Store, Target};
use arrow_array::RecordBatch;
use bartizan_intake::copy::CopyWriter;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Writes rows of a batch.
pub(super) struct Encoder<'a> {
    target: &'a Target,
    sources: Vec<Source<'a>>,
}

/// A value as a column takes it.
enum Fit<'a> {
    Null,
    Number(i64),
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}

impl<'a> Encoder<'a> {
    pub(super) fn new(target: &'a Target, batch: &'a RecordBatch) -> Self {
        Self { target, sources: target.columns.iter().map(|c| Source::new(c.what, batch)).collect() }
    }

    fn fits(&self, row: usize) -> impl Iterator<Item = (&'a Store, Fit<'a>)> {
        let columns = self.target.columns.iter().zip(&self.sources);
        columns.map(move |(column, source)| (&column.store, fit(source.cell(row), &column.store)))
    }

    /// All of a COPY in binary form.
    pub(super) fn copy(&self, rows: &[usize]) -> Vec<u8> {
        let mut writer = CopyWriter::default();
        writer.header();
        for row in rows {
            writer.row(self.target.columns.len());
            for (store, fit) in self.fits(*row) {
                match (store, fit) {
                    (_, Fit::Null) => writer.null(),
                    (Store::Number { bytes, .. }, Fit::Number(number)) => {
                        writer.bytes(&[&number.to_be_bytes()[8 - bytes..]]);
                    }
                    (_, Fit::Number(number)) => writer.bytes(&[&[u8::from(number != 0)]]),
                    (_, Fit::Text(text)) => writer.bytes(&[text.as_bytes()]),
                    (_, Fit::Bytes(bytes)) => writer.bytes(&[&bytes]),
                }
            }
        }
        writer.end();
        writer.0
    }

    /// An INSERT of these rows. Texts are written as the hexadecimal digits of their bytes: nothing in them can be SQL.
    pub(super) fn insert(&self, rows: &[usize]) -> String {
        let mut sql = self.target.insert();
        for (at, row) in rows.iter().enumerate() {
            sql.push_str(if at == 0 { "(" } else { ",(" });
            for (at, (_, fit)) in self.fits(*row).enumerate() {
                if at > 0 {
                    sql.push(',');
                }
                // Writing to a String cannot fail.
                let _ = match fit {
                    Fit::Null => write!(sql, "NULL"),
                    Fit::Number(number) => write!(sql, "{number}"),
                    Fit::Text(text) => hex(&mut sql, "_utf8mb4 x'", text.as_bytes()),
                    Fit::Bytes(bytes) => hex(&mut sql, "x'", &bytes),
                };
            }
            sql.push(')');
        }
        sql
    }
}

fn hex(sql: &mut String, head: &str, bytes: &[u8]) -> std::fmt::Result {
    sql.push_str(head);
    for byte in bytes {
        write!(sql, "{byte:02x}")?;
    }
    sql.write_char('\'')
}

/// A value as a column stores it; null where it cannot.
fn fit<'a>(cell: Cell<'a>, store: &Store) -> Fit<'a> {
    match (cell, store) {
        (Cell::Null, _) => Fit::Null,
        (Cell::Number(number), Store::Number { min, max, .. }) if (*min..=*max).contains(&number) => {
            Fit::Number(number)
        }
        (Cell::Number(number), Store::Bool) => Fit::Number(number),
        (Cell::Address(address), Store::Inet) => Fit::Bytes(match v4(&address) {
            Some(four) => [&[2, 32, 0, 4], &four[..]].concat(),
            None => [&[3, 128, 0, 16], &address[..]].concat(),
        }),
        (Cell::Address(address), Store::Bytes) => Fit::Bytes(address.to_vec()),
        (Cell::Address(address), Store::Number { max, .. }) => match v4(&address).map(u32::from_be_bytes) {
            Some(number) if i64::from(number) <= *max => Fit::Number(number.into()),
            _ => Fit::Null,
        },
        (Cell::Mac(mac), Store::Mac) => Fit::Bytes(mac.to_vec()),
        (cell, Store::Text { longest }) => {
            let text = match cell {
                // PostgreSQL knows no NUL
                Cell::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").into(),
                Cell::Text(text) => Cow::Borrowed(text),
                Cell::Address(address) => bartizan_model::addr_to_ip(address).to_string().into(),
                Cell::Mac(mac) => colons(&mac).into(),
                Cell::Frame(to, from, kind) => {
                    colons(&[&to[..], &from[..], &kind.to_be_bytes()].concat()).into()
                }
                Cell::Number(number) => number.to_string().into(),
                Cell::Null => return Fit::Null,
            };
            Fit::Text(cut(text, *longest))
        }
        _ => Fit::Null,
    }
}

fn colons(bytes: &[u8]) -> String {
    let parts: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

/// At most so many characters.
fn cut(text: Cow<'_, str>, longest: Option<usize>) -> Cow<'_, str> {
    match longest.and_then(|n| text.char_indices().nth(n)) {
        Some((at, _)) => text[..at].to_owned().into(),
        None => text,
    }
}
