use super::text;
use crate::{
    columns::{Column, Look},
    escape::{for_spreadsheet, for_terminal},
};
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// RFC 4180: CRLF, quotes where needed, and text that a spreadsheet would run made harmless; on a terminal also what
/// would do something there.
pub(super) struct Csv<W> {
    columns: Vec<Column>,
    terminal: bool,
    out: W,
    begun: bool,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(columns: Vec<Column>, terminal: bool, out: W) -> Self {
        Self { columns, terminal, out, begun: false }
    }

    pub(super) fn row(&mut self, row: &Map<String, Value>) -> io::Result<()> {
        self.header()?;
        for (i, column) in self.columns.iter().enumerate() {
            let text = text(row.get(&column.name)).unwrap_or_default();
            let text = if column.look == Look::Text { for_spreadsheet(&text) } else { text.as_str().into() };
            let text = if self.terminal { for_terminal(&text) } else { text };
            cell(&mut self.out, i, &text)?;
        }
        self.out.write_all(b"\r\n")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// A result without rows still says which columns it has.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.header()
    }

    fn header(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        for (i, column) in self.columns.iter().enumerate() {
            let name = for_spreadsheet(&column.name);
            let name = if self.terminal { for_terminal(&name) } else { name };
            cell(&mut self.out, i, &name)?;
        }
        self.out.write_all(b"\r\n")
    }
}

fn cell(out: &mut impl Write, number: usize, text: &str) -> io::Result<()> {
    if number > 0 {
        out.write_all(b",")?;
    }
    let text: Cow<'_, str> = if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    };
    out.write_all(text.as_bytes())
}
