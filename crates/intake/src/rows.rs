use crate::whose::{Names, Whose};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array as _, ArrayRef, DictionaryArray, Int16Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow_schema::Schema;
use bartizan_decode::Event;
use bartizan_decode::columns::{EventColumns, Full};
use bartizan_decode::conntrack::Flow;
use bartizan_decode::flows::FlowColumns;
use bartizan_decode::text::Line;
use bartizan_model::{Kind, Micros};
use bartizan_schema::collected_schema;
use std::sync::Arc;

/// What one counter grew by, or shows at its first reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// When it was read.
    pub time: Micros,
    /// When it was read before.
    pub from: Option<Micros>,
    /// `nfacct`, or another word of the `source` column.
    pub source: &'static str,
    /// Its name.
    pub name: String,
    /// Packets since the reading before.
    pub packets: u64,
    /// Bytes since the reading before.
    pub bytes: u64,
    /// Whether packets and bytes are all that it shows: it is new, or had gone back.
    pub reset: bool,
}

/// A line of another service than a firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other<'a> {
    /// When it was written.
    pub time: Micros,
    /// A word of the `source` column.
    pub source: &'static str,
    /// Facility and severity, as `<PRI>` has them.
    pub priority: Option<u16>,
    /// The program.
    pub program: &'a [u8],
    /// The message.
    pub text: &'a [u8],
}

/// Bytes of a line of another service that are kept.
const MAX_LINE: usize = 8 << 10;

/// Rows of every kind, until they are taken as batches.
#[derive(Debug)]
pub struct Rows {
    limit: usize,
    events: EventColumns,
    flows: FlowColumns,
    counters: Vec<Counter>,
    others: Vec<Kept>,
    /// `host` and `sender` of each kind's rows.
    whose: [(Names, Names); Kind::ALL.len()],
}

#[derive(Debug)]
struct Kept {
    time: Micros,
    source: &'static str,
    priority: Option<u16>,
    program: String,
    text: String,
}

impl Rows {
    /// Room for `limit` rows of each kind.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            events: EventColumns::new(limit),
            flows: FlowColumns::new(limit),
            counters: Vec::new(),
            others: Vec::new(),
            whose: Default::default(),
        }
    }

    /// Rows of all kinds so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.flows.len() + self.counters.len() + self.others.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn note(&mut self, kind: Kind, whose: Whose<'_>) {
        let (hosts, senders) = &mut self.whose[kind.index()];
        hosts.push(whose.host);
        senders.push(whose.sender);
    }

    /// Adds a firewall's line.
    ///
    /// # Errors
    /// When there is no room, or the rows so far have another source: take them first, then add it again.
    #[inline]
    pub fn line(
        &mut self,
        line: &Line<'_>,
        time: Micros,
        source: &'static str,
        whose: Whose<'_>,
    ) -> Result<(), Full> {
        self.events.push_line(line, time, source)?;
        self.note(Kind::Events, whose);
        Ok(())
    }

    /// Adds a logged packet that a record of another format tells.
    ///
    /// # Errors
    /// As [`Rows::line`].
    pub fn event(&mut self, event: &Event<'_>, source: &'static str, whose: Whose<'_>) -> Result<(), Full> {
        self.events.push_event(event, source)?;
        self.note(Kind::Events, whose);
        Ok(())
    }

    /// Adds a flow, which was reported at `time` if it does not say itself when it ended or began.
    ///
    /// # Errors
    /// When there is no room.
    pub fn flow(
        &mut self,
        flow: &Flow<'_>,
        time: Micros,
        source: &'static str,
        whose: Whose<'_>,
    ) -> Result<(), Full> {
        self.flows.set_source(Some(source));
        self.flows.push(flow, time)?;
        self.note(Kind::Flows, whose);
        Ok(())
    }

    /// Adds what a counter grew by.
    ///
    /// # Errors
    /// When there is no room.
    pub fn counter(&mut self, counter: Counter, whose: Whose<'_>) -> Result<(), Full> {
        room(self.counters.len(), self.limit)?;
        self.counters.push(counter);
        self.note(Kind::Counters, whose);
        Ok(())
    }

    /// Adds a line of another service.
    ///
    /// # Errors
    /// When there is no room.
    pub fn other(&mut self, other: &Other<'_>, whose: Whose<'_>) -> Result<(), Full> {
        room(self.others.len(), self.limit)?;
        self.others.push(Kept {
            time: other.time,
            source: other.source,
            priority: other.priority,
            program: readable(other.program),
            text: readable(other.text),
        });
        self.note(Kind::Lines, whose);
        Ok(())
    }

    /// The rows as one batch of each kind that there are any of; empty afterwards.
    #[must_use]
    pub fn finish(&mut self) -> Vec<(Kind, RecordBatch)> {
        let mut batches = Vec::new();
        if !self.events.is_empty() {
            batches.push((Kind::Events, self.events.finish()));
        }
        if !self.flows.is_empty() {
            batches.push((Kind::Flows, self.flows.finish()));
        }
        if !self.counters.is_empty() {
            batches.push((Kind::Counters, counters(&std::mem::take(&mut self.counters))));
        }
        if !self.others.is_empty() {
            batches.push((Kind::Lines, lines(&std::mem::take(&mut self.others))));
        }
        for (kind, batch) in &mut batches {
            let (hosts, senders) = &mut self.whose[kind.index()];
            *batch = with(*kind, batch, [("host", hosts.finish()), ("sender", senders.finish())]);
        }
        batches
    }
}

fn room(rows: usize, limit: usize) -> Result<(), Full> {
    if rows < limit { Ok(()) } else { Err(Full { rows }) }
}

/// Text of bytes that anybody may have sent.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LINE)]).replace('\0', "\u{fffd}")
}

fn with(kind: Kind, batch: &RecordBatch, more: [(&str, Option<ArrayRef>); 2]) -> RecordBatch {
    let schema = collected_schema(kind);
    let mut fields = batch.schema_ref().fields().to_vec();
    let mut columns = batch.columns().to_vec();
    for (name, column) in more {
        if let (Some(column), Ok(index)) = (column, schema.index_of(name)) {
            fields.push(Arc::clone(&schema.fields()[index]));
            columns.push(column);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("each row has whose it is")
}

/// A batch of a kind of the columns that are given, those without any value left out.
fn batch(kind: Kind, given: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let schema = collected_schema(kind);
    let (fields, columns): (Vec<_>, Vec<_>) = given
        .into_iter()
        .filter_map(|(name, column)| {
            Some((Arc::clone(&schema.fields()[schema.index_of(name).ok()?]), column))
        })
        .filter(|(field, column)| !field.is_nullable() || column.null_count() < column.len())
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns are of the schema")
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<DictionaryArray<Int32Type>>())
}

fn times(values: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
    let values: TimestampMicrosecondArray = values.map(|t| t.map(|t| t.0)).collect();
    Arc::new(values.with_timezone("UTC"))
}

fn counters(all: &[Counter]) -> RecordBatch {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    batch(
        Kind::Counters,
        vec![
            ("time", times(all.iter().map(|c| Some(c.time)))),
            ("from", times(all.iter().map(|c| c.from))),
            ("source", texts(all.iter().map(|c| Some(c.source)))),
            ("kind", texts(all.iter().map(|c| Some(c.source)))),
            ("object", texts(all.iter().map(|c| Some(c.name.as_str())))),
            ("name", texts(all.iter().map(|c| Some(c.name.as_str())))),
            ("packets", Arc::new(all.iter().map(|c| Some(number(c.packets))).collect::<Int64Array>())),
            ("bytes", Arc::new(all.iter().map(|c| Some(number(c.bytes))).collect::<Int64Array>())),
            ("reset", Arc::new(all.iter().map(|c| c.reset.then_some(1)).collect::<Int16Array>())),
        ],
    )
}

fn lines(all: &[Kept]) -> RecordBatch {
    let facility = |k: &Kept| k.priority.map(|p| (p >> 3).cast_signed());
    let severity = |k: &Kept| k.priority.map(|p| (p & 7).cast_signed());
    batch(
        Kind::Lines,
        vec![
            ("time", times(all.iter().map(|k| Some(k.time)))),
            ("source", texts(all.iter().map(|k| Some(k.source)))),
            ("facility", Arc::new(all.iter().map(facility).collect::<Int16Array>())),
            ("severity", Arc::new(all.iter().map(severity).collect::<Int16Array>())),
            ("program", texts(all.iter().map(|k| Some(k.program.as_str()).filter(|p| !p.is_empty())))),
            ("text", texts(all.iter().map(|k| Some(k.text.as_str())))),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Whose<'static> = Whose { host: "gw", sender: "" };

    #[test]
    fn each_kind_is_a_batch_that_says_whose_its_rows_are() {
        let mut rows = Rows::new(10);
        let text = b"Jan  8 03:37:09 gw kernel: DROP IN=eth0 OUT= SRC=1.2.3.4 DST=5.6.7.8 LEN=40 PROTO=2";
        let line = Line::parse(text).unwrap();
        rows.line(&line, Micros(5), "syslog", HERE).unwrap();
        rows.line(&line, Micros(6), "syslog", Whose { host: "web", sender: "192.0.2.1" }).unwrap();
        rows.other(
            &Other { time: Micros(7), source: "syslog", priority: Some(86), program: b"sshd", text: b"a\0b" },
            HERE,
        )
        .unwrap();
        let counter = Counter {
            time: Micros(8),
            source: "nfacct",
            name: "http".into(),
            packets: 3,
            bytes: 180,
            ..Counter::default()
        };
        rows.counter(counter, HERE).unwrap();
        let batches = rows.finish();
        let kinds: Vec<_> = batches.iter().map(|(kind, batch)| (*kind, batch.num_rows())).collect();
        assert_eq!(kinds, [(Kind::Events, 2), (Kind::Counters, 1), (Kind::Lines, 1)]);
        for (kind, batch) in &batches {
            for field in batch.schema_ref().fields() {
                assert_eq!(collected_schema(*kind).field_with_name(field.name()).unwrap(), &**field);
            }
        }
        let senders = batches[0].1.column_by_name("sender").unwrap();
        assert_eq!((senders.null_count(), senders.len()), (1, 2));
        assert!(
            batches[1].1.column_by_name("sender").is_none() && batches[1].1.column_by_name("host").is_some()
        );
        assert!(rows.is_empty() && rows.finish().is_empty());
    }
}
