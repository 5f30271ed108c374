//! Counters: a thread for each namespace that reads everything that counts, at an interval, and sends what each grew by.
//!
//! **Exactly once, over restarts.** A reading is written to a file of its own before its rows are recorded, and the
//! record carries the reading's number in its note. After a crash the newest note says which reading was recorded
//! last, and growth is counted from there: what was read and not recorded is read again, what was recorded is not.
//!
//! **What cannot be known.** A counter that went back was reset: what it counted between the last reading and the reset
//! is gone. So is what a rule counted between its last reading and its removal. A counter that is new shows all it
//! has, which may have been given to it when it was made. Rows of both say `reset`.
//!
//! A counter is known by its table's life and its own number, so that a rule that was loaded anew is a new one. The
//! rule's text and the generation are given where the ruleset is known to be the one that was read.
//!
//! iptables-legacy's counters are not read.

use crate::kernel::Kernel;
use crate::recorder::Captured;
use crate::table::{batch, i16s, i64s, texts, times};
use arrow_array::RecordBatch;
use bartizan_model::{Kind, Micros};
use bartizan_netfilter::{CounterKind, CounterReading, NetfilterError};
use bartizan_ruleset::{Family, Incarnation, Ruleset};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest wait before it is seen that it should stop.
const NAP: Duration = Duration::from_millis(200);
/// Readings that are kept beside the newest: the one that is recorded may be older.
const KEPT: u64 = 3;
/// How often, and after which pauses, a reading is made again that belongs to a ruleset that is not listed yet.
const AGAIN: (u32, Duration) = (10, Duration::from_millis(200));

/// The ruleset that is active, with the kernel's number of it, as whoever lists it last saw.
pub(crate) type Current = Arc<Mutex<Option<(u32, Arc<Ruleset>)>>>;

/// One namespace's counters.
pub(crate) struct Counters {
    pub(crate) netns: String,
    pub(crate) life: Incarnation,
    /// The newest reading that is recorded, from the notes.
    pub(crate) mark: Option<u64>,
    pub(crate) dir: PathBuf,
    pub(crate) every: Duration,
    pub(crate) kernel: Kernel,
    pub(crate) current: Current,
    /// Whether there is somebody who lists rulesets.
    pub(crate) listed: bool,
    pub(crate) recorder: SyncSender<Captured>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// What names a counter for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    kind: u8,
    family: u8,
    table: String,
    table_handle: u64,
    handle: u64,
    name: String,
    element: String,
}

impl Key {
    fn of(reading: &CounterReading) -> Self {
        Self {
            kind: reading.kind as u8,
            family: reading.family,
            table: reading.table.clone(),
            table_handle: reading.table_handle,
            handle: reading.handle,
            name: reading.name.clone(),
            element: reading.element.clone(),
        }
    }
}

/// What was read of all counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Readings {
    time: i64,
    counters: Vec<(Key, u64, u64)>,
}

/// What a counter grew by.
#[derive(Debug, PartialEq, Eq)]
struct Growth<'a> {
    of: &'a CounterReading,
    packets: u64,
    bytes: u64,
    reset: bool,
}

impl Counters {
    /// Reads at the interval until it is told to stop.
    pub(crate) fn run(mut self) {
        let store = Store::new(&self.dir, self.life);
        let mut last = self.mark.and_then(|mark| store.load(mark));
        let mut mark = self.mark.unwrap_or(0);
        let mut warned = false;
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            if due > Instant::now() {
                thread::sleep(due.saturating_duration_since(Instant::now()).min(NAP));
                continue;
            }
            due = Instant::now() + self.every;
            match self.read(last.as_ref(), mark + 1, &store) {
                Ok((readings, recorded)) => {
                    mark += u64::from(recorded);
                    last = Some(readings);
                    warned = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(
                            netns = self.netns,
                            error = format!("{error:#}"),
                            "cannot read the counters"
                        );
                    }
                }
            }
        }
    }

    /// One reading, and whether it was recorded: one in which nothing has moved is not.
    fn read(
        &mut self,
        last: Option<&Readings>,
        mark: u64,
        store: &Store,
    ) -> anyhow::Result<(Readings, bool)> {
        let (readings, ruleset) = self.consistent()?;
        let now = bartizan_clock::now();
        let growth = growth(last, &readings);
        let taken = Readings {
            time: now.0,
            counters: readings.iter().map(|r| (Key::of(r), r.packets, r.bytes)).collect(),
        };
        if growth.is_empty() {
            return Ok((taken, false));
        }
        // before the rows: a note never names a reading that is not there
        store.save(mark, &taken)?;
        let from = last.map(|last| Micros(last.time));
        let rows = rows(&self.netns, now, from, &growth, ruleset.as_deref());
        let mark = Some((self.life, mark));
        drop(self.recorder.send(Captured::Batch { kind: Kind::Counters, batch: rows, mark }));
        Ok((taken, true))
    }

    /// The counters, and the ruleset that they belong to if that is known.
    fn consistent(&mut self) -> Result<(Vec<CounterReading>, Option<Arc<Ruleset>>), NetfilterError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let before = self.kernel.generation()?;
            let readings = self.kernel.counters()?;
            let after = self.kernel.generation()?;
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let same = |(number, _): &(u32, Arc<Ruleset>)| before == after && *number == after;
            let ruleset = current.filter(same).map(|(_, ruleset)| ruleset);
            let enough = attempt >= AGAIN.0 || !self.listed || self.stop.load(Ordering::Acquire);
            if ruleset.is_some() || enough {
                return Ok((readings, ruleset));
            }
            thread::sleep(AGAIN.1);
        }
    }
}

/// What every counter grew by since the last reading; those that did not move are left out.
fn growth<'a>(last: Option<&Readings>, now: &'a [CounterReading]) -> Vec<Growth<'a>> {
    let known: BTreeMap<&Key, (u64, u64)> = last
        .into_iter()
        .flat_map(|l| &l.counters)
        .map(|(key, packets, bytes)| (key, (*packets, *bytes)))
        .collect();
    now.iter()
        .map(|of| match known.get(&Key::of(of)) {
            Some((packets, bytes)) if of.packets >= *packets && of.bytes >= *bytes => {
                Growth { of, packets: of.packets - packets, bytes: of.bytes - bytes, reset: false }
            }
            _ => Growth { of, packets: of.packets, bytes: of.bytes, reset: true },
        })
        .filter(|growth| growth.packets > 0 || growth.bytes > 0)
        .collect()
}

fn rows(
    netns: &str,
    time: Micros,
    from: Option<Micros>,
    growth: &[Growth<'_>],
    ruleset: Option<&Ruleset>,
) -> RecordBatch {
    let rules: HashMap<(&str, &str, i64), &str> = ruleset
        .into_iter()
        .flat_map(Ruleset::rules)
        .map(|rule| ((rule.table.as_str(), rule.chain.as_str(), rule.handle), rule.text.as_str()))
        .collect();
    let tables: Vec<Option<String>> =
        growth.iter().map(|g| (!g.of.table.is_empty()).then(|| table_of(g.of))).collect();
    let objects: Vec<String> = growth.iter().map(|g| object(g.of)).collect();
    let some = |text: &'static str| move |_: &Growth<'_>| Some(text);
    let number = |n: u64| Some(i64::try_from(n).unwrap_or(i64::MAX));
    let is_rule = |g: &Growth<'_>| g.of.kind == CounterKind::Rule;
    fn filled(text: &str) -> Option<&str> {
        Some(text).filter(|t| !t.is_empty())
    }
    batch(Kind::Counters, |name| match name {
        "time" => Some(times(growth.iter().map(|_| Some(time)))),
        "from" => Some(times(growth.iter().map(|_| from))),
        "netns" => Some(texts(growth.iter().map(|_| filled(netns)))),
        "source" => Some(texts(growth.iter().map(|g| match g.of.kind {
            CounterKind::Accounting => some("nfacct")(g),
            _ => some("nftables")(g),
        }))),
        "kind" => Some(texts(growth.iter().map(|g| Some(g.of.kind.as_str())))),
        "object" => Some(texts(objects.iter().map(|o| Some(o.as_str())))),
        "table" => Some(texts(tables.iter().map(Option::as_deref))),
        "chain" => Some(texts(growth.iter().map(|g| filled(&g.of.chain)))),
        "handle" => Some(i64s(growth.iter().map(|g| number(g.of.handle).filter(|_| is_rule(g))))),
        "name" => Some(texts(growth.iter().map(|g| filled(&g.of.name)))),
        "element" => Some(texts(growth.iter().map(|g| filled(&g.of.element)))),
        "rule" => Some(texts(growth.iter().zip(&tables).map(|(g, table)| {
            let handle = i64::try_from(g.of.handle).ok()?;
            rules.get(&(table.as_deref()?, g.of.chain.as_str(), handle)).copied().filter(|_| is_rule(g))
        }))),
        "generation" => Some(texts(growth.iter().map(|_| ruleset.map(Ruleset::generation)))),
        "packets" => Some(i64s(growth.iter().map(|g| number(g.packets)))),
        "bytes" => Some(i64s(growth.iter().map(|g| number(g.bytes)))),
        "reset" => Some(i16s(growth.iter().map(|g| g.reset.then_some(1)))),
        _ => None,
    })
}

fn table_of(reading: &CounterReading) -> String {
    format!("{} {}", Family(reading.family), reading.table)
}

/// What counts, unique in its namespace.
fn object(reading: &CounterReading) -> String {
    let CounterReading { chain, handle, name, element, .. } = reading;
    match reading.kind {
        CounterKind::Rule => format!("{} {chain} handle {handle}", table_of(reading)),
        CounterKind::Policy => format!("{} {chain} policy", table_of(reading)),
        CounterKind::Object => format!("{} counter {name}", table_of(reading)),
        CounterKind::Element => format!("{} set {name} {{ {element} }}", table_of(reading)),
        CounterKind::Accounting => format!("nfacct {name}"),
    }
}

/// The files of one namespace's readings.
struct Store {
    dir: PathBuf,
    life: String,
}

impl Store {
    fn new(dir: &Path, life: Incarnation) -> Self {
        let mut name = String::with_capacity(48);
        life.0.iter().for_each(|byte| {
            // writing to a text does not fail
            let _ = write!(name, "{byte:02x}");
        });
        Self { dir: dir.join("counters"), life: name }
    }

    fn path(&self, mark: u64) -> PathBuf {
        self.dir.join(format!("{}-{mark}.json", self.life))
    }

    fn load(&self, mark: u64) -> Option<Readings> {
        let bytes = fs::read(self.path(mark)).ok()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(%error, "the last reading of the counters is damaged"))
            .ok()
    }

    /// Writes a reading for good, and removes the oldest.
    fn save(&self, mark: u64, readings: &Readings) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let (path, temporary) = (self.path(mark), self.dir.join(format!("{}.new", self.life)));
        fs::write(&temporary, serde_json::to_vec(readings)?)?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.dir)?.sync_all()?;
        if let Some(old) = mark.checked_sub(KEPT) {
            // it may never have been there
            let _ = fs::remove_file(self.path(old));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int16Type, Int64Type};

    fn rule(handle: u64, packets: u64) -> CounterReading {
        CounterReading {
            kind: CounterKind::Rule,
            family: 1,
            table: "f".into(),
            table_handle: 3,
            chain: "input".into(),
            handle,
            name: String::new(),
            element: String::new(),
            packets,
            bytes: packets * 60,
        }
    }

    fn taken(readings: &[CounterReading]) -> Readings {
        let counters = readings.iter().map(|r| (Key::of(r), r.packets, r.bytes)).collect();
        Readings { time: 5, counters }
    }

    #[test]
    fn growth_sums_to_what_the_kernel_shows_and_resets_are_recognised() {
        let first = [rule(4, 10), rule(5, 0)];
        let shown =
            |g: &[Growth<'_>]| g.iter().map(|g| (g.of.handle, g.packets, g.reset)).collect::<Vec<_>>();
        assert_eq!(shown(&growth(None, &first)), [(4, 10, true)]);
        let second = [rule(4, 12), rule(5, 7)];
        assert_eq!(shown(&growth(Some(&taken(&first)), &second)), [(4, 2, false), (5, 7, false)]);
        let reset = [rule(4, 3), rule(5, 7), rule(6, 1)];
        assert_eq!(shown(&growth(Some(&taken(&second)), &reset)), [(4, 3, true), (6, 1, true)]);
        // the same number in a table that was made anew
        let again = [CounterReading { table_handle: 9, ..rule(5, 8) }];
        assert_eq!(shown(&growth(Some(&taken(&reset)), &again)), [(5, 8, true)]);
    }

    #[test]
    fn readings_survive_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), Incarnation([7; 24]));
        let readings = taken(&[rule(4, 10)]);
        for mark in 1..=5 {
            store.save(mark, &readings).unwrap();
        }
        assert_eq!(store.load(5), Some(readings));
        assert_eq!((store.load(2), store.load(6)), (None, None));
        assert!(store.load(3).is_some());
        fs::write(store.path(3), b"{").unwrap();
        assert_eq!(store.load(3), None);
    }

    #[test]
    fn rows_say_what_counts() {
        let named = CounterReading {
            kind: CounterKind::Object,
            chain: String::new(),
            name: "total".into(),
            ..rule(2, 5)
        };
        let readings = [rule(4, 10), named];
        let growth = growth(None, &readings);
        let rows = rows("", Micros(9), None, &growth, None);
        let objects = rows.column_by_name("object").unwrap().as_dictionary::<arrow_array::types::Int32Type>();
        let texts = objects.values().as_string::<i32>();
        assert_eq!((texts.value(0), texts.value(1)), ("inet f input handle 4", "inet f counter total"));
        let packets = rows.column_by_name("packets").unwrap().as_primitive::<Int64Type>();
        assert_eq!(packets.values(), &[10, 5]);
        let reset = rows.column_by_name("reset").unwrap().as_primitive::<Int16Type>();
        assert_eq!(reset.values(), &[1, 1]);
        assert!(rows.column_by_name("from").is_none() && rows.column_by_name("rule").is_none());
    }
}
