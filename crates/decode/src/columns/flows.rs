use super::object::Object;
use super::text::{Named, Text};
use super::values::{Times, Values};
use super::{Column, Full, MAX_ROWS, PresenceWords};
use crate::conntrack::{Flow, FlowEvent, Nat, Tuple};
use crate::nflog::{NFPROTO_IPV4, NFPROTO_IPV6};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bartizan_model::{Kind, Micros};
use bartizan_schema::wire_schema;
use std::sync::Arc;

columns! {
    time: Times,
    netns: Text,
    event: Named,
    start: Times,
    end: Times,
    family: Named,
    proto: Values<i16>,
    src: Values<i128>,
    dst: Values<i128>,
    sport: Values<i32>,
    dport: Values<i32>,
    reply_src: Values<i128>,
    reply_dst: Values<i128>,
    reply_sport: Values<i32>,
    reply_dport: Values<i32>,
    icmp_type: Values<i16>,
    icmp_code: Values<i16>,
    packets: Values<i64>,
    bytes: Values<i64>,
    reply_packets: Values<i64>,
    reply_bytes: Values<i64>,
    nat: Named,
    state: Named,
    status: Values<i64>,
    mark: Values<i64>,
    zone: Values<i32>,
    id: Values<i64>,
    extra: Text,
    source: Named,
}

/// Bytes of a helper's name that are kept. The kernel's own limit is 15.
const MAX_HELPER: usize = 32;

/// A builder of batches of flows: the wire columns of `bartizan_schema::FLOWS`, under the same invariants as
/// [`EventColumns`](super::EventColumns).
#[derive(Debug)]
pub struct FlowColumns {
    limit: usize,
    rows: PresenceWords,
    used: u64,
    netns: Option<Box<str>>,
    source: Option<&'static str>,
    columns: Columns,
    /// Room for the text of `extra`.
    extra: String,
}

impl FlowColumns {
    /// A builder of batches of at most `limit` rows (1 to 1,048,576). Allocates with the first rows.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, MAX_ROWS),
            rows: PresenceWords::default(),
            used: 0,
            netns: None,
            source: None,
            columns: Columns::default(),
            extra: String::new(),
        }
    }

    /// The network namespace of the rows from here on; `None` and the empty name are the host's own.
    pub fn set_netns(&mut self, name: Option<&str>) {
        self.netns = name.filter(|n| !n.is_empty()).map(Box::from);
    }

    /// How the rows from here on came, where not from conntrack: a word of the `source` column.
    pub const fn set_source(&mut self, source: Option<&'static str>) {
        self.source = source;
    }

    /// Rows so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.rows()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next row would be refused.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// About how many bytes the batch would take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.bytes(self.used, self.len())
    }

    /// Adds a report. Its time is the kernel's for this event, else that of the end or the beginning, else
    /// `received`.
    ///
    /// # Errors
    /// When the builder is full; the report was not added.
    #[inline]
    pub fn push(&mut self, flow: &Flow<'_>, received: Micros) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full { rows: self.len() });
        }
        let mut row = Row { columns: &mut self.columns, row: self.rows.rows(), present: 0 };
        if let Some(netns) = &self.netns {
            row.netns(netns);
        }
        if let Some(source) = self.source {
            row.source(source);
        }
        row.flow(flow, received);
        row.extra(flow, &mut self.extra);
        let present = row.present;
        self.used |= present;
        self.rows.push(present);
        Ok(())
    }

    /// The rows as a batch; the builder is empty afterwards. Without rows, a batch of none.
    #[must_use]
    pub fn finish(&mut self) -> RecordBatch {
        self.used = 0;
        let (used, all) = self.rows.some_and_all();
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for field in wire_schema(Kind::Flows).fields() {
            let Some((at, column)) = self.columns.column(field.name()) else { continue };
            if !field.is_nullable() || used >> at as u32 & 1 == 1 {
                fields.push(Arc::clone(field));
                arrays.push(column.finish(&self.rows.of(at as u32, all)));
            }
        }
        self.rows.clear();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .expect("every column has the row count and the type of its field")
    }
}

struct Row<'a> {
    columns: &'a mut Columns,
    row: usize,
    present: u64,
}

/// Writes a column of the row and marks it as present.
macro_rules! put {
    ($row:ident, $column:ident $(, $value:expr)+) => {{
        $row.columns.$column.put($row.row $(, $value)+);
        $row.present |= 1 << At::$column as u32;
    }};
}

/// Nanoseconds as microseconds; 2^63 ns are in the year 2262.
const fn micros(nanos: u64) -> i64 {
    (nanos / 1000).cast_signed()
}

/// The kernel counts in 64 bits without sign.
fn counted(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Row<'_> {
    fn netns(&mut self, name: &str) {
        put!(self, netns, name.as_bytes());
    }

    /// Where the text lies is its number in the dictionary: one for each source.
    fn source(&mut self, source: &'static str) {
        put!(self, source, source.as_ptr() as u64, |text| text.push_str(source));
    }

    #[inline(always)]
    fn flow(&mut self, flow: &Flow<'_>, received: Micros) {
        let event = flow.event;
        let stamp = match event {
            FlowEvent::New => flow.at.or(flow.start),
            FlowEvent::Destroy => flow.at.or(flow.stop),
            FlowEvent::Update => flow.at,
            // Its event is the last one that was sent, which is not what is reported.
            FlowEvent::Dump => None,
        };
        put!(self, time, stamp.map_or(received.0, micros));
        put!(self, event, event as u64, |text| text.push_str(event.as_str()));
        if let Some(start) = flow.start {
            put!(self, start, micros(start));
        }
        if let Some(stop) = flow.stop {
            put!(self, end, micros(stop));
        }
        put!(self, family, u64::from(flow.family), |text| text.push_str(family_word(flow.family)));
        self.tuples(&flow.orig, &flow.reply);
        if let Some(sent) = flow.sent {
            put!(self, packets, counted(sent.packets));
            put!(self, bytes, counted(sent.bytes));
        }
        if let Some(answered) = flow.answered {
            put!(self, reply_packets, counted(answered.packets));
            put!(self, reply_bytes, counted(answered.bytes));
        }
        let Nat { source, destination } = flow.nat();
        if let Some(word) = flow.nat().as_str() {
            put!(self, nat, u64::from(source) | u64::from(destination) << 1, |text| text.push_str(word));
        }
        if let (Some(word), Some(state), Some(proto)) = (flow.state_word(), flow.state, flow.orig.proto) {
            put!(self, state, u64::from(proto) << 8 | u64::from(state), |text| text.push_str(word));
        }
        if let Some(status) = flow.status {
            put!(self, status, i64::from(status));
        }
        if let Some(mark) = flow.mark.filter(|m| *m != 0) {
            put!(self, mark, i64::from(mark));
        }
        if let Some(zone) = flow.zone.filter(|z| *z != 0) {
            put!(self, zone, i32::from(zone));
        }
        if let Some(id) = flow.id {
            put!(self, id, i64::from(id));
        }
    }

    #[inline(always)]
    fn tuples(&mut self, orig: &Tuple, reply: &Tuple) {
        if let Some(proto) = orig.proto {
            put!(self, proto, i16::from(proto));
        }
        if let Some(addr) = orig.src {
            put!(self, src, i128::from_ne_bytes(addr));
        }
        if let Some(addr) = orig.dst {
            put!(self, dst, i128::from_ne_bytes(addr));
        }
        if let Some(port) = orig.sport {
            put!(self, sport, i32::from(port));
        }
        if let Some(port) = orig.dport {
            put!(self, dport, i32::from(port));
        }
        if let Some(addr) = reply.src {
            put!(self, reply_src, i128::from_ne_bytes(addr));
        }
        if let Some(addr) = reply.dst {
            put!(self, reply_dst, i128::from_ne_bytes(addr));
        }
        if let Some(port) = reply.sport {
            put!(self, reply_sport, i32::from(port));
        }
        if let Some(port) = reply.dport {
            put!(self, reply_dport, i32::from(port));
        }
        if let Some(kind) = orig.icmp_type {
            put!(self, icmp_type, i16::from(kind));
        }
        if let Some(code) = orig.icmp_code {
            put!(self, icmp_code, i16::from(code));
        }
    }

    /// Labels, a helper and zones of one direction are rare; none of them makes no text. What another format tells
    /// comes without them.
    fn extra(&mut self, flow: &Flow<'_>, text: &mut String) {
        if !flow.extra.is_empty() {
            put!(self, extra, flow.extra.as_bytes());
            return;
        }
        let labels = flow.labels();
        if labels.is_none() && flow.helper.is_none() && flow.orig.zone.is_none() && flow.reply.zone.is_none()
        {
            return;
        }
        text.clear();
        let mut object = Object::new(text);
        if let Some(labels) = labels {
            object.hex("labels", labels);
        }
        if let Some(helper) = flow.helper {
            object.word("helper", &helper[..helper.len().min(MAX_HELPER)]);
        }
        if let Some(zone) = flow.orig.zone {
            object.number("orig_zone", zone.into());
        }
        if let Some(zone) = flow.reply.zone {
            object.number("reply_zone", zone.into());
        }
        object.end();
        put!(self, extra, text.as_bytes());
    }
}

/// The kernel tracks these two.
const fn family_word(family: u8) -> &'static str {
    match family {
        NFPROTO_IPV4 => "ip",
        NFPROTO_IPV6 => "ip6",
        _ => "unknown",
    }
}
