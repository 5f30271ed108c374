//! Rows on stdout: tables for people, JSON, NDJSON and CSV for programs.

mod csv;
mod table;

use crate::{
    columns::{Column, Look},
    escape::json_for_terminal,
};
use csv::Csv;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};
use std::io::{self, Write};
use table::Table;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people
    Table,
    /// One JSON array
    Json,
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values (RFC 4180)
    Csv,
}

/// What terminal and environment say about looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) colour_stdout: bool,
    pub(crate) colour_stderr: bool,
    /// Times as RFC 3339 in UTC, not local.
    pub(crate) utc: bool,
    /// What is written reaches a terminal.
    pub(crate) terminal: bool,
}

/// Writes rows one after the other.
pub(crate) struct Rows<W: Write> {
    kind: Kind<W>,
}

enum Kind<W: Write> {
    Table(Table<W>),
    Csv(Csv<W>),
    Lines(W),
    Array { out: W, rows: u64 },
}

impl<W: Write> Rows<W> {
    pub(crate) fn new(format: Format, columns: Vec<Column>, style: Style, zone: TimeZone, out: W) -> Self {
        let kind = match format {
            Format::Table => Kind::Table(Table::new(columns, style, zone, out)),
            Format::Csv => Kind::Csv(Csv::new(columns, style.terminal, out)),
            Format::Ndjson => Kind::Lines(out),
            Format::Json => Kind::Array { out, rows: 0 },
        };
        Self { kind }
    }

    /// One row as the server wrote it: a JSON object on one line.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        let object = || {
            serde_json::from_str::<Map<String, Value>>(line)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("a row of the answer: {e}")))
        };
        match &mut self.kind {
            Kind::Table(table) => table.row(&object()?),
            Kind::Csv(csv) => csv.row(&object()?),
            Kind::Lines(out) => {
                object()?;
                writeln!(out, "{}", json_for_terminal(line))
            }
            Kind::Array { out, rows } => {
                object()?;
                *rows += 1;
                let before = if *rows == 1 { "[\n" } else { ",\n" };
                write!(out, "{before}{}", json_for_terminal(line))
            }
        }
    }

    /// Everything so far reaches the reader.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Table(table) => table.flush(),
            Kind::Csv(csv) => csv.flush(),
            Kind::Lines(out) | Kind::Array { out, .. } => out.flush(),
        }
    }

    /// After the last row.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Table(table) => table.finish()?,
            Kind::Csv(csv) => csv.finish()?,
            Kind::Lines(_) => {}
            Kind::Array { out, rows: 0 } => writeln!(out, "[]")?,
            Kind::Array { out, .. } => writeln!(out, "\n]")?,
        }
        self.flush()
    }
}

/// The text of a value; nothing for null.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

/// A time of the server for a table.
fn time(text: String, style: Style, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) if !style.utc => time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        _ => text,
    }
}

fn is_right(look: Look) -> bool {
    look == Look::Number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::named;
    use bartizan_model::Kind as TableKind;

    const PLAIN: Style = Style { colour_stdout: false, colour_stderr: false, utc: true, terminal: false };

    fn written(format: Format, style: Style, columns: &[&str], lines: &[&str]) -> String {
        let mut out = Vec::new();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let mut rows = Rows::new(format, named(TableKind::Events, columns), style, zone, &mut out);
        for line in lines {
            rows.line(line).unwrap();
        }
        rows.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    const LINES: &[&str] = &[
        r#"{"time":"2026-01-02T03:04:05.678901Z","prefix":"in\u001b[2J \r\n","src":"203.0.113.9","dport":22}"#,
        r#"{"time":"2026-01-02T03:04:06Z","prefix":null,"src":"2001:db8::1","dport":8443}"#,
    ];

    #[test]
    fn a_table() {
        let table = written(Format::Table, PLAIN, &["time", "prefix", "src", "dport"], LINES);
        assert_eq!(
            table,
            "TIME                         PREFIX              SRC          DPORT\n\
             2026-01-02T03:04:05.678901Z  in\\x1b[2J \\x0d\\x0a  203.0.113.9     22\n\
             2026-01-02T03:04:06Z         -                   2001:db8::1   8443\n"
        );
        let local = written(Format::Table, Style { utc: false, ..PLAIN }, &["time", "src"], LINES);
        assert!(local.contains("\n2026-01-02 04:04:05.678  203.0.113.9\n"), "{local}");
        assert_eq!(written(Format::Table, PLAIN, &["time"], &[]), "");
    }

    #[test]
    fn csv_is_rfc_4180_with_guard_on_text_only() {
        let lines = [
            r#"{"prefix":"=HYPERLINK(\"x\")","src":"203.0.113.9","mark":-5,"time":"-"}"#,
            r#"{"prefix":"a,b\"c","src":null,"mark":1}"#,
            r#"{"prefix":"-x\ny","src":"::1"}"#,
        ];
        assert_eq!(
            written(Format::Csv, PLAIN, &["prefix", "src", "mark"], &lines),
            "prefix,src,mark\r\n\"'=HYPERLINK(\"\"x\"\")\",203.0.113.9,-5\r\n\"a,b\"\"c\",,1\r\n\"'-x\ny\",::1,\r\n"
        );
    }

    /// Of an answer in SQL: they are whatever the question says.
    #[test]
    fn names_of_columns_do_nothing_either() {
        for (format, want) in [(Format::Table, "=\\x1b[2J\n1\n"), (Format::Csv, "'=\\x1b[2J\r\n1\r\n")] {
            let columns = vec![Column { name: "=\u{1b}[2J".into(), look: Look::Text }];
            let (style, mut out) = (Style { terminal: true, ..PLAIN }, Vec::new());
            let mut rows = Rows::new(format, columns, style, TimeZone::UTC, &mut out);
            rows.line(r#"{"=\u001b[2J":1}"#).unwrap();
            rows.finish().unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn csv_does_nothing_to_a_terminal() {
        let line = r#"{"prefix":"=\u001b[2J\r\n\u202e"}"#;
        let style = Style { terminal: true, ..PLAIN };
        assert_eq!(
            written(Format::Csv, style, &["prefix"], &[line]),
            "prefix\r\n'=\\x1b[2J\\x0d\\x0a\\u{202e}\r\n"
        );
    }

    #[test]
    fn json_and_ndjson_are_the_servers_lines() {
        let lines = ["{\"prefix\":\"a\u{9b}b\"}", "{\"prefix\":null}"];
        assert_eq!(
            written(Format::Ndjson, PLAIN, &[], &lines),
            "{\"prefix\":\"a\\u009bb\"}\n{\"prefix\":null}\n"
        );
        let array = written(Format::Json, PLAIN, &[], &lines);
        assert_eq!(serde_json::from_str::<Value>(&array).unwrap().as_array().unwrap().len(), 2);
        assert_eq!(written(Format::Json, PLAIN, &[], &[]), "[]\n");
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        for format in [Format::Table, Format::Csv, Format::Json, Format::Ndjson] {
            let mut rows = Rows::new(format, Vec::new(), PLAIN, TimeZone::UTC, Vec::new());
            assert!(rows.line("[1]").is_err(), "{format:?}");
        }
    }
}
