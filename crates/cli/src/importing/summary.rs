//! What an import did: rows read = rows in + unparsed + skipped by reason.

use super::sources::Sources;
use crate::escape::for_terminal;
use crate::render::Style;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use bartizan_intake::{Source, SourceError, Tally};
use bartizan_model::Micros;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::error::Error as _;

/// Hosts that are named.
const HOSTS: usize = 1000;

/// One source of an import.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) import: String,
    /// Whether it went on where an earlier import ended.
    pub(crate) resumed: bool,
    pub(crate) position: u64,
    pub(crate) tally: Tally,
    range: Option<(i64, i64)>,
    hosts: BTreeSet<String>,
}

impl One {
    pub(crate) fn new(source: &dyn Source, import: &str) -> Self {
        Self {
            name: source.name().to_owned(),
            format: source.format().to_owned(),
            import: import.to_owned(),
            resumed: false,
            position: 0,
            tally: Tally::default(),
            range: None,
            hosts: BTreeSet::new(),
        }
    }

    /// Notes whose the rows are and when they were logged.
    pub(crate) fn saw<'a>(&mut self, batches: impl Iterator<Item = &'a RecordBatch>) {
        for batch in batches {
            let times =
                batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
            for time in times.map(|t| t.values().as_ref()).unwrap_or_default() {
                let (first, last) = self.range.unwrap_or((*time, *time));
                self.range = Some((first.min(*time), last.max(*time)));
            }
            let hosts = batch.column_by_name("host").and_then(|c| c.as_dictionary_opt::<Int32Type>());
            let names = hosts.and_then(|h| h.values().as_string_opt::<i32>());
            for name in names.into_iter().flatten().flatten() {
                if self.hosts.len() < HOSTS && !self.hosts.contains(name) {
                    self.hosts.insert(name.to_owned());
                }
            }
        }
    }

    fn json(&self) -> Value {
        let time = |at: i64| Timestamp::from_microsecond(at).map(|t| t.to_string()).unwrap_or_default();
        let mut object = totals(&self.tally);
        object["name"] = json!(self.name);
        object["format"] = json!(self.format);
        object["import"] = json!(self.import);
        object["resumed"] = json!(self.resumed);
        object["position"] = json!(self.position);
        object["from"] = self.range.map_or(Value::Null, |(first, _)| json!(time(first)));
        object["to"] = self.range.map_or(Value::Null, |(_, last)| json!(time(last)));
        object["hosts"] = json!(self.hosts);
        object
    }
}

/// What became of records, as JSON.
pub(crate) fn totals(tally: &Tally) -> Value {
    json!({
        "records": tally.records,
        "rows": tally.rows(),
        "events": tally.events,
        "unparsed": tally.unparsed,
        "flows": tally.flows,
        "counters": tally.counters,
        "lines": tally.other,
        "skipped": tally.skipped,
        "unreadable": tally.unreadable,
    })
}

/// What an import did.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) sources: Vec<One>,
    unreadable: Vec<String>,
    empty: Vec<String>,
    /// What was found in databases, in words.
    notes: Vec<String>,
    /// Lines that were not compared with those of other files.
    pub(crate) forgotten: u64,
}

impl Summary {
    pub(crate) fn new(sources: &Sources) -> Self {
        let (unreadable, empty) = (sources.unreadable.clone(), sources.empty.clone());
        Self { unreadable, empty, notes: sources.notes.clone(), ..Self::default() }
    }

    /// Nothing more can be had of a source.
    pub(crate) fn unreadable(&mut self, mut one: One, error: &SourceError) {
        let mut text = format!("{}: {error}", one.name);
        let mut next = error.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        one.tally.unreadable.push(text);
        self.sources.push(one);
    }

    fn total(&self) -> Tally {
        let mut sum = Tally::default();
        self.sources.iter().for_each(|one| sum.add(&one.tally));
        sum.unreadable.extend(self.unreadable.iter().cloned());
        sum
    }

    /// Whether every record became something.
    pub(crate) fn adds_up(&self) -> bool {
        self.sources.iter().all(|one| one.tally.adds_up()) && self.total().adds_up()
    }

    /// Whether everything could be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.unreadable.is_empty() && self.sources.iter().all(|one| one.tally.unreadable.is_empty())
    }

    pub(crate) fn json(&self) -> Value {
        let mut object = totals(&self.total());
        object["sources"] = self.sources.iter().map(One::json).collect();
        object["empty"] = json!(self.empty);
        object["notes"] = json!(self.notes);
        object["not_compared"] = json!(self.forgotten);
        object
    }

    /// In words.
    pub(crate) fn text(&self, dry: bool, style: Style) -> String {
        let total = self.total();
        let mut lines = Vec::new();
        let resumed = self.sources.iter().filter(|one| one.resumed).count();
        let before = if resumed > 0 { format!(", {resumed} of them imported before") } else { String::new() };
        let word = if self.sources.len() == 1 { "source" } else { "sources" };
        lines.push(format!("{} {word}{before}", self.sources.len()));
        lines.push(format!("{:>12} records read", total.records));
        for (count, what) in [
            (total.events, "events"),
            (total.unparsed, "events not fully understood, kept with their text"),
            (total.flows, "flows"),
            (total.counters, "counters"),
            (total.other, "lines of other services, kept"),
        ] {
            if count > 0 || what == "events" {
                lines.push(format!("{count:>12} {what}"));
            }
        }
        for (why, count) in &total.skipped {
            lines.push(format!("{count:>12} skipped: {why}"));
        }
        if let Some((first, last)) = self.range() {
            let hosts: BTreeSet<_> = self.sources.iter().flat_map(|one| &one.hosts).collect();
            let names: Vec<_> = hosts.iter().take(5).map(|h| for_terminal(h).into_owned()).collect();
            let more = if hosts.len() > 5 { format!(" and {} more", hosts.len() - 5) } else { String::new() };
            lines.push(format!("from {} to {}", time(first, style), time(last, style)));
            lines.push(format!("of {}{more}", names.join(", ")));
        }
        if total.skipped.contains_key("another service") {
            lines.push("lines of other services are kept with --keep-other".to_owned());
        }
        if self.forgotten > 0 {
            lines.push(format!(
                "{} lines were too many to be compared with those of other files: some may be there twice",
                self.forgotten
            ));
        }
        lines.extend(self.notes.iter().chain(&total.unreadable).map(|text| for_terminal(text).into_owned()));
        lines.extend(self.empty.iter().map(|name| format!("{} is empty", for_terminal(name))));
        if dry {
            lines.push("nothing was imported: this was a dry run".to_owned());
        }
        lines.join("\n")
    }

    fn range(&self) -> Option<(i64, i64)> {
        let ranges = self.sources.iter().filter_map(|one| one.range);
        ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

fn time(at: i64, style: Style) -> String {
    let Ok(time) = Timestamp::from_microsecond(Micros(at).0) else { return "?".to_owned() };
    if style.utc {
        time.to_string()
    } else {
        time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}
