//! Caps: so many events a second of one rule, and of one source address. What exceeds them is not lost: equal events
//! become one row that says how many packets it stands for, so that the counts stay exact while the disk does not
//! fill with what one attacker sends.
//!
//! A rule is a prefix in a chain. Above its cap, events that are alike in rule, addresses, protocol and destination
//! port are one row a second, its other columns those of the first of them. Where too many are unlike each other
//! (random sources), the rest of a rule's is one row without addresses.
//!
//! Invariants:
//! - packets given = packets of the batches given back + packets of [`Caps::flush`].
//! - Memory is bounded: so many groups, so many sources. A source that is forgotten starts with a full bucket: a cap
//!   may let through more than it says, never less.
//!
//! **Cost.** No rule and no source can have more than all events together, so that as long as those stay within the
//! smallest cap nothing is looked at.

use crate::settings;
use crate::source::SourceId;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::Schema;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take_record_batch;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Groups of one rule, and of all, in one second.
const GROUPS_OF_RULE: u32 = 100;
const GROUPS: usize = 4096;
/// Rules and sources that have a bucket.
const RULES: usize = 4096;
const SOURCES: usize = 1 << 15;
/// How long a group grows.
const AGE: Duration = Duration::from_secs(1);
/// What makes two events of one rule: the columns of text that tell rules and their generations apart.
const RULE: [&str; 7] = ["prefix", "chain", "table", "rule", "generation", "action", "hook"];
/// What a row for all the rest of a rule has.
const REST: [&str; 13] = [
    "time",
    "netns",
    "source",
    "action",
    "rule",
    "generation",
    "prefix",
    "family",
    "hook",
    "packets",
    "table",
    "chain",
    "handle",
];

/// A number of events a second, and how many more at once.
#[derive(Clone, Copy, Debug)]
struct Rate {
    second: f64,
    burst: f64,
}

impl Rate {
    fn new(second: u64, burst: u64) -> Option<Self> {
        (second > 0).then(|| Self { second: second as f64, burst: burst.max(second) as f64 })
    }
}

/// A bucket of tokens that fills by itself.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    /// Takes as many of `wanted` as there are.
    fn take(&mut self, wanted: u64, rate: Rate, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * rate.second).min(rate.burst);
        let taken = wanted.min(self.tokens as u64);
        self.tokens -= taken as f64;
        taken
    }
}

/// Buckets by key, bounded.
#[derive(Debug)]
struct Buckets<K> {
    rate: Option<Rate>,
    limit: usize,
    /// All keys together; while it holds enough for everything, no single one can be empty.
    all: Option<Bucket>,
    each: HashMap<K, Bucket>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(rate: Option<Rate>, limit: usize) -> Self {
        Self { rate, limit, all: None, each: HashMap::new() }
    }

    /// Whether `events` may be too many for some key.
    fn may_exceed(&mut self, events: u64, now: Instant) -> bool {
        let Some(rate) = self.rate else { return false };
        self.all.get_or_insert_with(|| Bucket::full(rate, now)).take(events, rate, now) < events
    }

    fn take(&mut self, key: K, wanted: u64, now: Instant) -> u64 {
        let Some(rate) = self.rate else { return wanted };
        if self.each.len() >= self.limit && !self.each.contains_key(&key) {
            self.each.clear();
        }
        self.each.entry(key).or_insert_with(|| Bucket::full(rate, now)).take(wanted, rate, now)
    }
}

/// Events that are one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Group {
    source: SourceId,
    rule: u32,
    /// Source, destination, protocol, destination port; `None`: the rest of the rule.
    packet: Option<([u8; 16], [u8; 16], i16, i32)>,
}

/// Rows that stand for groups, and how many packets each stands for.
#[derive(Debug)]
struct Rows {
    source: SourceId,
    batch: RecordBatch,
    packets: Vec<i64>,
}

/// The caps, and what exceeded them and is not recorded yet.
#[derive(Debug)]
pub(crate) struct Caps {
    rules: Buckets<(SourceId, String)>,
    sources: Buckets<[u8; 16]>,
    names: HashMap<String, u32>,
    groups_of: Vec<u32>,
    groups: HashMap<Group, (usize, usize)>,
    rows: Vec<Rows>,
    since: Option<Instant>,
    said: bool,
}

impl Caps {
    pub(crate) fn new(caps: &settings::Caps) -> Self {
        Self {
            rules: Buckets::new(Rate::new(caps.rule_rate, caps.rule_burst), RULES),
            sources: Buckets::new(Rate::new(caps.source_rate, caps.source_burst), SOURCES),
            names: HashMap::new(),
            groups_of: Vec::new(),
            groups: HashMap::new(),
            rows: Vec::new(),
            since: None,
            said: false,
        }
    }

    /// Other caps, from now on, with full buckets. What waits is recorded as it would have been.
    pub(crate) fn set(&mut self, caps: &settings::Caps) {
        self.rules = Buckets::new(Rate::new(caps.rule_rate, caps.rule_burst), RULES);
        self.sources = Buckets::new(Rate::new(caps.source_rate, caps.source_burst), SOURCES);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether what waits has grown long enough.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.groups.len() >= GROUPS || self.since.is_some_and(|since| now.duration_since(since) >= AGE)
    }

    /// Gives back what is within the caps, and keeps the rest as groups.
    pub(crate) fn take(&mut self, source: SourceId, batch: RecordBatch, now: Instant) -> RecordBatch {
        let events = batch.num_rows() as u64;
        let (by_rule, by_source) = (self.rules.may_exceed(events, now), self.sources.may_exceed(events, now));
        if !by_rule && !by_source {
            return batch;
        }
        let names = RuleNames::new(&batch);
        let mut passes = vec![true; batch.num_rows()];
        if by_rule {
            self.cap_rules(source, &names, &mut passes, now);
        }
        if by_source {
            self.cap_sources(&batch, &mut passes, now);
        }
        if passes.iter().all(|p| *p) {
            return batch;
        }
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!("more events than the caps allow; equal ones become one row with their number");
        }
        self.group(source, &batch, &names, &passes, now);
        filter_record_batch(&batch, &BooleanArray::from(passes)).unwrap_or(batch)
    }

    fn cap_rules(&mut self, source: SourceId, names: &RuleNames, passes: &mut [bool], now: Instant) {
        let mut wanted = vec![0_u64; names.prefixes.len()];
        names.prefix_of.iter().for_each(|of| wanted[*of as usize] += 1);
        let mut left: Vec<u64> = names
            .prefixes
            .iter()
            .zip(&wanted)
            .map(|(name, wanted)| self.rules.take((source, name.clone()), *wanted, now))
            .collect();
        for (pass, of) in passes.iter_mut().zip(&names.prefix_of) {
            let left = &mut left[*of as usize];
            *pass = *left > 0;
            *left = left.saturating_sub(1);
        }
    }

    fn cap_sources(&mut self, batch: &RecordBatch, passes: &mut [bool], now: Instant) {
        let src = batch.column_by_name("src").and_then(|c| c.as_fixed_size_binary_opt());
        let Some(src) = src else { return };
        for (row, pass) in passes.iter_mut().enumerate().filter(|(_, p)| **p) {
            if src.is_valid(row)
                && let Ok(address) = src.value(row).try_into()
            {
                *pass = self.sources.take(address, 1, now) > 0;
            }
        }
    }

    /// Adds the rows that do not pass to their groups.
    fn group(
        &mut self,
        source: SourceId,
        batch: &RecordBatch,
        names: &RuleNames,
        passes: &[bool],
        now: Instant,
    ) {
        self.since.get_or_insert(now);
        let columns = Columns::new(batch);
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        // their places are after the rows that are there
        let at = self.rows.len();
        let mut counts: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
        for row in (0..passes.len()).filter(|row| !passes[*row]) {
            let rule = self.rule(&names.rules[names.rule_of[row] as usize]);
            let packets = columns.packets(row);
            let mut group = Group { source, rule, packet: Some(columns.packet(row)) };
            if !self.groups.contains_key(&group)
                && (self.groups_of[rule as usize] >= GROUPS_OF_RULE || self.groups.len() >= GROUPS)
            {
                group.packet = None;
            }
            let (which, rows) = match group.packet {
                Some(_) => (0, &mut first),
                None => (1, &mut rest),
            };
            let place = *self.groups.entry(group).or_insert_with(|| {
                self.groups_of[rule as usize] += 1;
                rows.push(u32::try_from(row).unwrap_or(u32::MAX));
                counts[which].push(0);
                (at + which, rows.len() - 1)
            });
            match place.0.checked_sub(at) {
                Some(which) => counts[which][place.1] += packets,
                None => self.rows[place.0].packets[place.1] += packets,
            }
        }
        let [of_first, of_rest] = counts;
        let first = take_record_batch(batch, &UInt32Array::from(first));
        let rest = take_record_batch(&without_packet(batch), &UInt32Array::from(rest));
        for (rows, packets) in [(first, of_first), (rest, of_rest)] {
            let batch = rows.expect("the rows taken are rows of the batch");
            self.rows.push(Rows { source, batch, packets });
        }
    }

    /// The number of a rule.
    fn rule(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = u32::try_from(self.groups_of.len()).unwrap_or(u32::MAX);
        self.groups_of.push(0);
        self.names.insert(name.to_owned(), number);
        number
    }

    /// What exceeded the caps, to be recorded.
    pub(crate) fn flush(&mut self) -> Vec<(SourceId, RecordBatch)> {
        self.names.clear();
        self.groups_of.clear();
        self.groups.clear();
        self.since = None;
        let rows = std::mem::take(&mut self.rows);
        rows.into_iter().filter(|r| r.batch.num_rows() > 0).map(|r| (r.source, r.counted())).collect()
    }
}

impl Rows {
    /// The rows with their numbers of packets.
    fn counted(self) -> RecordBatch {
        let mut columns = self.batch.columns().to_vec();
        if let Ok(at) = self.batch.schema().index_of("packets") {
            columns[at] = Arc::new(Int64Array::from(self.packets));
        }
        RecordBatch::try_new(self.batch.schema(), columns).expect("each row has its number of packets")
    }
}

/// How many packets the rows of a batch of events stand for.
pub(crate) fn packets(batch: &RecordBatch) -> u64 {
    let packets = batch.column_by_name("packets").and_then(|c| c.as_primitive_opt::<Int64Type>());
    packets.map_or(batch.num_rows() as u64, |p| {
        p.values().iter().fold(0_u64, |sum, n| sum.saturating_add(n.unsigned_abs()))
    })
}

/// The columns that tell the rest of a rule.
fn without_packet(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema();
    let keep: Vec<usize> = REST.iter().filter_map(|name| schema.index_of(name).ok()).collect();
    let fields: Vec<_> = keep.iter().map(|at| Arc::clone(&schema.fields()[*at])).collect();
    let columns = keep.iter().map(|at| Arc::clone(batch.column(*at))).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one batch fit together")
}

/// The rules of a batch's rows.
struct RuleNames {
    rule_of: Vec<u32>,
    rules: Vec<String>,
    /// The same by prefix and chain alone: a new generation is no new rule for its cap.
    prefix_of: Vec<u32>,
    prefixes: Vec<String>,
}

impl RuleNames {
    fn new(batch: &RecordBatch) -> Self {
        let (rule_of, rules) = combined(batch, &RULE);
        let (prefix_of, prefixes) = combined(batch, &RULE[..2]);
        Self { rule_of, rules, prefix_of, prefixes }
    }
}

/// The different combinations of some columns of text, and which one each row has.
fn combined(batch: &RecordBatch, names: &[&str]) -> (Vec<u32>, Vec<String>) {
    let columns: Vec<_> = names
        .iter()
        .filter_map(|name| batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>())
        .filter_map(|column| Some((column.keys(), column.values().as_string_opt::<i32>()?)))
        .collect();
    let mut known: HashMap<Vec<i32>, u32> = HashMap::new();
    let mut texts = Vec::new();
    let mut last: (Vec<i32>, u32) = (Vec::new(), u32::MAX);
    let mut key = Vec::with_capacity(columns.len());
    let of = (0..batch.num_rows())
        .map(|row| {
            key.clear();
            key.extend(columns.iter().map(|(k, _)| if k.is_valid(row) { k.value(row) } else { -1 }));
            if last.1 != u32::MAX && last.0 == key {
                return last.1;
            }
            let number = *known.entry(key.clone()).or_insert_with(|| {
                let parts = columns.iter().zip(&key).map(|((_, texts), key)| {
                    usize::try_from(*key).ok().filter(|k| *k < texts.len()).map_or("", |k| texts.value(k))
                });
                texts.push(parts.collect::<Vec<_>>().join("\0"));
                u32::try_from(texts.len() - 1).unwrap_or(u32::MAX)
            });
            last = (key.clone(), number);
            number
        })
        .collect();
    (of, texts)
}

/// What tells packets of one rule apart.
struct Columns<'a> {
    src: Option<&'a arrow_array::FixedSizeBinaryArray>,
    dst: Option<&'a arrow_array::FixedSizeBinaryArray>,
    proto: Option<&'a arrow_array::PrimitiveArray<Int16Type>>,
    dport: Option<&'a arrow_array::PrimitiveArray<Int32Type>>,
    packets: Option<&'a Int64Array>,
}

impl<'a> Columns<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        let address = |name| batch.column_by_name(name).and_then(|c| c.as_fixed_size_binary_opt());
        Self {
            src: address("src"),
            dst: address("dst"),
            proto: batch.column_by_name("proto").and_then(|c| c.as_primitive_opt()),
            dport: batch.column_by_name("dport").and_then(|c| c.as_primitive_opt()),
            packets: batch.column_by_name("packets").and_then(|c| c.as_primitive_opt()),
        }
    }

    fn packet(&self, row: usize) -> ([u8; 16], [u8; 16], i16, i32) {
        let address = |column: Option<&arrow_array::FixedSizeBinaryArray>| {
            column.filter(|c| c.is_valid(row)).and_then(|c| c.value(row).try_into().ok()).unwrap_or_default()
        };
        (
            address(self.src),
            address(self.dst),
            self.proto.filter(|c| c.is_valid(row)).map_or(-1, |c| c.value(row)),
            self.dport.filter(|c| c.is_valid(row)).map_or(-1, |c| c.value(row)),
        )
    }

    fn packets(&self, row: usize) -> i64 {
        self.packets.map_or(1, |p| p.value(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::NetnsId;
    use crate::table;
    use arrow_array::builder::FixedSizeBinaryBuilder;
    use bartizan_model::{Kind, Micros};

    const SOURCE: SourceId = SourceId::nflog(NetnsId::OWN, 5);

    fn caps(rule_rate: u64, source_rate: u64) -> Caps {
        Caps::new(&settings::Caps {
            rule_rate,
            rule_burst: rule_rate,
            source_rate,
            source_burst: source_rate,
            ..settings::Caps::default()
        })
    }

    /// Events: prefix and last byte of the source.
    fn events(rows: &[(&str, u8)]) -> RecordBatch {
        table::batch(Kind::Events, |name| match name {
            "time" => Some(table::times(rows.iter().map(|_| Some(Micros(1))))),
            "source" => Some(table::texts(rows.iter().map(|_| Some("nflog")))),
            "family" => Some(table::texts(rows.iter().map(|_| Some("ip")))),
            "prefix" => Some(table::texts(rows.iter().map(|r| Some(r.0)))),
            "packets" => Some(table::i64s(rows.iter().map(|_| Some(1)))),
            "src" => {
                let mut src = FixedSizeBinaryBuilder::new(16);
                rows.iter().for_each(|r| src.append_value([r.1; 16]).unwrap());
                Some(Arc::new(src.finish()))
            }
            _ => None,
        })
    }

    fn sums(flushed: &[(SourceId, RecordBatch)]) -> Vec<Vec<i64>> {
        let of = |b: &RecordBatch| {
            b.column_by_name("packets").unwrap().as_primitive::<Int64Type>().values().to_vec()
        };
        flushed.iter().map(|(_, b)| of(b)).collect()
    }

    #[test]
    fn within_the_caps_everything_passes_as_it_is() {
        let mut caps = caps(10, 10);
        let batch = events(&[("a", 1); 10]);
        assert_eq!(caps.take(SOURCE, batch.clone(), Instant::now()), batch);
        assert!(caps.is_empty() && caps.flush().is_empty());
    }

    #[test]
    fn what_exceeds_a_rule_is_one_row_for_equal_events_and_other_rules_pass() {
        let mut caps = caps(4, 0);
        let now = Instant::now();
        let mut rows = vec![("a", 1); 10];
        rows.extend([("a", 2), ("b", 1), ("b", 2)]);
        let passed = caps.take(SOURCE, events(&rows), now);
        let prefixes = passed.column_by_name("prefix").unwrap().as_dictionary::<Int32Type>();
        assert_eq!(prefixes.keys().len(), 4 + 2, "four of one rule, all of the other");
        // and the next batch adds to the same groups
        let passed = caps.take(SOURCE, events(&[("a", 1), ("b", 1)]), now);
        assert_eq!(passed.num_rows(), 1);
        assert!(!caps.is_due(now) && caps.is_due(now + AGE));
        assert_eq!(sums(&caps.flush()), [[6 + 1, 1]]);
        // a second later there are tokens again
        let passed = caps.take(SOURCE, events(&[("a", 1); 5]), now + Duration::from_secs(1));
        assert_eq!(passed.num_rows(), 4);
    }

    #[test]
    fn other_caps_count_at_once_and_what_waits_is_not_lost() {
        let mut caps = caps(4, 0);
        let now = Instant::now();
        assert_eq!(caps.take(SOURCE, events(&[("a", 1); 10]), now).num_rows(), 4);
        caps.set(&settings::Caps { rule_rate: 0, source_rate: 0, ..settings::Caps::default() });
        assert_eq!(caps.take(SOURCE, events(&[("a", 1); 10]), now).num_rows(), 10);
        caps.set(&settings::Caps { rule_rate: 2, rule_burst: 2, ..settings::Caps::default() });
        assert_eq!(caps.take(SOURCE, events(&[("a", 1); 10]), now).num_rows(), 2);
        assert_eq!(sums(&caps.flush()), [[6 + 8]]);
    }

    #[test]
    fn one_source_does_not_take_what_others_need() {
        let mut caps = caps(0, 3);
        let mut rows = vec![("a", 1); 100];
        rows.extend([("a", 2), ("b", 3)]);
        assert_eq!(caps.take(SOURCE, events(&rows), Instant::now()).num_rows(), 3 + 2);
        assert_eq!(sums(&caps.flush()), [[97]]);
    }

    #[test]
    fn random_sources_become_one_row_without_addresses() {
        let mut caps = caps(1, 0);
        let rows: Vec<_> = (0..=255).map(|n| ("a", n)).collect();
        let mut passed = 0;
        for _ in 0..4 {
            passed += caps.take(SOURCE, events(&rows), Instant::now()).num_rows();
        }
        let flushed = caps.flush();
        assert_eq!(sums(&flushed)[1].len(), 1);
        assert!(flushed[1].1.column_by_name("src").is_none());
        let all: u64 = flushed.iter().map(|(_, b)| packets(b)).sum();
        assert_eq!(all + passed as u64, 4 * 256);
        let rows: usize = flushed.iter().map(|(_, b)| b.num_rows()).sum();
        assert_eq!(rows, 100 + 1);
    }
}
