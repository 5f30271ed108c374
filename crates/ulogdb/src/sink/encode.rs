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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Engine;
    use crate::sink::table::{signed, unsigned};
    use arrow_array::{
        ArrayRef, FixedSizeBinaryArray, Int16Array, Int32Array, StringViewArray, TimestampMicrosecondArray,
    };
    use bartizan_intake::copy::{CopyRows, header};
    use bartizan_model::{Kind, addr_from_v4};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let text = |values: [Option<&str>; 2]| Arc::new(StringViewArray::from(values.to_vec())) as ArrayRef;
        let six = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let addresses = [addr_from_v4([192, 0, 2, 1]).to_vec(), six.to_vec()];
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "time",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![1_700_000_000_000_005, -1]).with_timezone("UTC"),
                ),
            ),
            ("host", text([Some("gw"), Some("gw")])),
            ("prefix", text([Some("a'; DROP TABLE x; --\0é"), None])),
            ("family", text([Some("ip"), Some("ip6")])),
            ("mac_src", text([Some("02:00:00:00:00:0a"), None])),
            ("mac_dst", text([Some("02:00:00:00:00:0b"), None])),
            ("src", Arc::new(FixedSizeBinaryArray::try_from_iter(addresses.into_iter()).unwrap())),
            ("proto", Arc::new(Int16Array::from(vec![6, 17]))),
            ("sport", Arc::new(Int32Array::from(vec![40_000, 53]))),
            ("length", Arc::new(Int32Array::from(vec![60, 100]))),
            ("tcp_flags", Arc::new(Int16Array::from(vec![Some(18), None]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn rows_for_mysql() {
        let columns = [
            ("oob_time_sec", signed(4)),
            ("oob_prefix", Store::Text { longest: Some(21) }),
            ("ip_saddr_bin", Store::Bytes),
            ("tcp_sport", unsigned(2)),
            ("udp_sport", signed(2)),
            ("udp_len", unsigned(2)),
            ("tcp_syn", signed(1)),
            ("mac_str", Store::Text { longest: None }),
            ("local_hostname", Store::Text { longest: None }),
        ];
        let (target, batch) = (Target::of(Engine::Mysql, Kind::Events, &columns), batch());
        let sql = Encoder::new(&target, &batch).insert(&[0, 1]);
        let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            sql,
            format!(
                "INSERT INTO `t` (`oob_time_sec`, `oob_prefix`, `ip_saddr_bin`, `tcp_sport`, `udp_sport`, `udp_len`, \
                 `tcp_syn`, `mac_str`, `local_hostname`) VALUES \
                 (1700000000,_utf8mb4 x'{}',x'00000000000000000000ffffc0000201',40000,NULL,NULL,1,_utf8mb4 x'{}',\
                 _utf8mb4 x'6777'),\
                 (-1,NULL,x'20010db8000000000000000000000001',NULL,53,60,NULL,NULL,_utf8mb4 x'6777')",
                hex("a'; DROP TABLE x; --\u{fffd}"),
                hex("02:00:00:00:00:0b:02:00:00:00:00:0a:08:00"),
            )
        );
    }

    #[test]
    fn rows_for_postgresql() {
        let columns = [
            ("oob_time_usec", signed(8)),
            ("ip_saddr_str", Store::Inet),
            ("mac_saddr_str", Store::Mac),
            ("tcp_sport", signed(2)),
            ("tcp_ack", Store::Bool),
            ("ip6_payloadlen", signed(4)),
        ];
        let (target, batch) = (Target::of(Engine::Postgres, Kind::Events, &columns), batch());
        let bytes = Encoder::new(&target, &batch).copy(&[0, 1]);
        let mut rows = CopyRows::new(&bytes[header(&bytes).unwrap()..]);
        let mut fields = [None; 6];
        assert_eq!(rows.next(&mut fields), Ok(true));
        assert_eq!(fields[0], Some(&5_i64.to_be_bytes()[..]));
        assert_eq!(fields[1], Some(&[2, 32, 0, 4, 192, 0, 2, 1][..]));
        assert_eq!(fields[2], Some(&[2, 0, 0, 0, 0, 10][..]));
        assert_eq!(fields[3], None, "40000 is no number of 2 bytes with a sign");
        assert_eq!((fields[4], fields[5]), (Some(&[1][..]), None));
        assert_eq!(rows.next(&mut fields), Ok(true));
        assert_eq!(fields[0], Some(&999_999_i64.to_be_bytes()[..]));
        assert_eq!((fields[1].map(<[u8]>::len), fields[2]), (Some(20), None));
        assert_eq!(fields[5], Some(&60_i32.to_be_bytes()[..]));
        assert_eq!(rows.next(&mut fields), Ok(false));
    }
}
