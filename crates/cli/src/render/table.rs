use super::{Style, is_right, text, time};
use crate::{
    columns::{Column, Look},
    escape::for_terminal,
};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// So many rows decide how wide the columns are; later, wider cells widen them.
const LOOK_AHEAD: usize = 1_000;

/// Aligned columns. A cell is never cut and never holds a control character.
pub(super) struct Table<W> {
    columns: Vec<Column>,
    widths: Vec<usize>,
    waiting: Vec<Vec<String>>,
    begun: bool,
    style: Style,
    zone: TimeZone,
    out: W,
}

impl<W: Write> Table<W> {
    pub(super) fn new(columns: Vec<Column>, style: Style, zone: TimeZone, out: W) -> Self {
        let widths = columns.iter().map(|c| for_terminal(&c.name).chars().count()).collect();
        Self { columns, widths, waiting: Vec::new(), begun: false, style, zone, out }
    }

    pub(super) fn row(&mut self, row: &Map<String, Value>) -> io::Result<()> {
        let cells = self.columns.iter().map(|column| {
            let text = text(row.get(&column.name)).filter(|t| !t.is_empty()).unwrap_or_else(|| "-".into());
            let text = if column.look == Look::Time { time(text, self.style, &self.zone) } else { text };
            for_terminal(&text).into_owned()
        });
        self.waiting.push(cells.collect());
        if self.waiting.len() >= LOOK_AHEAD { self.write() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write()?;
        self.out.flush()
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        for row in &self.waiting {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            let names: Vec<_> =
                self.columns.iter().map(|c| for_terminal(&c.name.to_uppercase()).into_owned()).collect();
            self.line(&names, true)?;
        }
        for row in std::mem::take(&mut self.waiting) {
            self.line(&row, false)?;
        }
        Ok(())
    }

    fn line(&mut self, cells: &[String], header: bool) -> io::Result<()> {
        let last = cells.len().saturating_sub(1);
        let mut line = String::new();
        for (i, ((cell, column), width)) in cells.iter().zip(&self.columns).zip(&self.widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) =
                if is_right(column.look) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            let colour = if self.style.colour_stdout { colour(&column.name, cell, header) } else { None };
            line.push_str(before);
            match colour {
                Some(code) => line.push_str(&format!("\x1b[{code}m{cell}\x1b[0m")),
                None => line.push_str(cell),
            }
            if i < last {
                line.push_str(after);
                line.push_str("  ");
            }
        }
        writeln!(self.out, "{line}")
    }
}

/// The words say it as well: colour is never alone.
fn colour(column: &str, cell: &str, header: bool) -> Option<&'static str> {
    match (column, cell) {
        _ if header => Some("1"),
        ("action", "drop") | ("state", "revoked") => Some("31"),
        ("action", "reject") | ("state", "offline") => Some("33"),
        ("action", "accept") | ("state", "online") => Some("32"),
        _ => None,
    }
}
