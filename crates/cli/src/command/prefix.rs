//! `bartizan prefix`: what is made of log prefixes.

use crate::args::PrefixCommand;
use crate::columns::{Column, Look};
use crate::escape::for_terminal;
use crate::failure::Failure;
use crate::render::{Format, Rows as Table, Style};
use crate::told::{NOBODY, UNKNOWN, json_lines};
use anyhow::{Context as _, anyhow};
use bartizan_decode::text::Line;
use bartizan_intake::Rows;
use bartizan_intake::text::{Fixed, Named, Origin, TextReader, What};
use bartizan_model::Kind;
use bartizan_prefix::{Dialects, Entry, Meaning};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::io::{self, Write as _};
use std::path::Path;

const TEST: &[&str] = &["prefix", "producer", "action", "zones", "chain", "rule", "pattern"];
const LIST: &[&str] = &["producer", "from", "pattern"];

/// The table of forms, with a user's file before it.
pub(crate) fn dialects(file: Option<&Path>) -> Result<Dialects, Failure> {
    let Some(path) = file else { return Ok(Dialects::built_in()) };
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("there is no file {}", path.display())),
        _ => Failure::Error(anyhow!(error).context(format!("cannot read {}", path.display()))),
    })?;
    Dialects::with(&path.display().to_string(), &text).map_err(|error| Failure::Usage(error.to_string()))
}

pub(crate) fn prefix(command: PrefixCommand, style: Style) -> Result<(), Failure> {
    match command {
        PrefixCommand::Test { texts, prefixes, output } => {
            let dialects = dialects(prefixes.as_deref())?;
            let rows = texts.iter().map(|text| tested(text, &dialects)).collect::<Result<Vec<_>, _>>()?;
            if output == Format::Table {
                return Ok(sheets(&rows)?);
            }
            table(&rows, TEST, output, style)
        }
        PrefixCommand::List { prefixes, output } => {
            let dialects = dialects(prefixes.as_deref())?;
            let rows: Vec<_> = dialects.entries().iter().map(listed).collect();
            table(&rows, LIST, output, style)
        }
    }
}

fn object(pairs: Vec<(&str, Option<String>)>) -> Map<String, Value> {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))).collect()
}

fn listed(entry: &Entry) -> Map<String, Value> {
    object(vec![
        ("producer", Some(entry.producer().to_owned())),
        ("from", Some(if entry.own() { "file" } else { "built in" }.to_owned())),
        ("pattern", Some(entry.pattern().to_owned())),
    ])
}

/// What is made of a prefix, or of a line with its fields.
fn tested(text: &str, dialects: &Dialects) -> Result<Map<String, Value>, Failure> {
    let line = Line::parse(text.as_bytes());
    let prefix = line.as_ref().map_or_else(|| text.into(), |line| String::from_utf8_lossy(line.prefix));
    let Meaning { producer, action, zones, chain, rule } = dialects.read(&prefix);
    let pattern = dialects.entry(&prefix).map(|entry| entry.pattern().to_owned());
    let mut row = object(vec![
        ("prefix", Some(prefix.clone().into_owned())),
        ("producer", producer),
        ("action", Some(action.as_str().to_owned())),
        ("zones", zones),
        ("chain", chain),
        ("rule", rule),
        ("pattern", pattern),
    ]);
    if line.is_some() {
        row.insert("line".into(), Value::Object(fields(text, dialects)?));
    }
    Ok(row)
}

/// The fields of a line, as `parse` prints them.
fn fields(text: &str, dialects: &Dialects) -> Result<Map<String, Value>, Failure> {
    let naming = Named { host: NOBODY, sender: "", believed: true };
    let now = bartizan_clock::now();
    let origin = Origin {
        source: "file",
        naming: &naming,
        zone: &Fixed(0),
        reference: now,
        unstamped: UNKNOWN,
        lines: false,
    };
    let mut rows = Rows::new(1);
    let read =
        TextReader::default().read(text.as_bytes(), &origin, &mut rows).context("no room for a row")?;
    let mut json = Vec::new();
    for (_, batch) in rows.finish() {
        json_lines(Kind::Events, &batch, dialects, &mut json)?;
    }
    debug_assert!(matches!(read.what, What::Event | What::Unparsed));
    Ok(serde_json::from_slice(&json).context("a row is a JSON object")?)
}

/// A sheet of keys and values for each, for people.
fn sheets(rows: &[Map<String, Value>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let known = TEST.iter().filter_map(|key| Some((*key, row.get(*key)?)));
        let line = row.get("line").and_then(Value::as_object);
        let told = line.into_iter().flatten().filter(|(key, _)| !row.contains_key(*key));
        for (key, value) in known.chain(told.map(|(key, value)| (key.as_str(), value))) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text = if key == "prefix" { format!("{text:?}") } else { text };
            writeln!(out, "{:12}{}", for_terminal(key), for_terminal(&text))?;
        }
        if !row.contains_key("producer") {
            writeln!(out, "{:12}nothing is known to write such prefixes", "producer")?;
        }
    }
    Ok(())
}

fn table(rows: &[Map<String, Value>], columns: &[&str], output: Format, style: Style) -> Result<(), Failure> {
    let columns = columns.iter().map(|name| Column { name: (*name).into(), look: Look::Text }).collect();
    let mut table = Table::new(output, columns, style, TimeZone::UTC, io::stdout());
    for row in rows {
        table.line(&Value::Object(row.clone()).to_string())?;
    }
    Ok(table.finish()?)
}
