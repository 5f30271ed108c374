//! A table as the source of an import.
//!
//! - A position is the key of the next row, or its time in microseconds for tables without a key.
//! - Another thread reads ahead, at most [`AHEAD`] chunks.
//! - The rows of the children are merged by key here: each comes in the order of the keys. One question for all
//!   of them, a join of eight tables, takes the server 1.4 times as long over all rows and far longer piece by piece.

use crate::database::{Told, no_thread};
use crate::error::UlogdbError;
use crate::fetch::{ANY_BYTES, ANY_INTEGER, Chunk, position, send_all};
use crate::form::{Found, Order};
use crate::place::Place;
use crate::plan::{Plan, Selected, Slot};
use crate::shape::{Link, Type};
use bartizan_intake::copy::{self, CopyError, CopyRows};
use bartizan_intake::text::Fixed;
use bartizan_intake::ulogd::{self, Key, Pushed, Record, Sums, Value};
use bartizan_intake::{Identity, Progress, Read, Rows, Source, SourceError, Tally, Unit, Whose};
use bartizan_model::{Kind, Micros};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};

/// Chunks that wait to be made records.
const AHEAD: usize = 2;
/// The source of its rows.
const SOURCE: &str = "database";
/// Times without a zone are not read from columns.
const UTC: Fixed = Fixed(0);

/// A table as the source of an import.
#[derive(Debug)]
pub struct TableSource {
    place: Place,
    plan: Plan,
    name: String,
    format: String,
    identity: String,
    host: Option<String>,
    sender: String,
    kinds: Vec<Kind>,
    /// The first position and the last one that is read.
    range: Option<(u64, u64)>,
    total: u64,
    at: u64,
    unplaced: u64,
    sums: Sums,
    ahead: Option<Receiver<Result<Chunk, UlogdbError>>>,
    /// What was not read of a chunk for want of room.
    left: Option<Left>,
}

/// What of a table is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The first position and the last one.
    pub range: Option<(u64, u64)>,
    /// Rows, or about.
    pub total: u64,
    /// Rows that have no place in the order.
    pub unplaced: u64,
}

/// A chunk, and how much of each part is not read.
#[derive(Debug)]
struct Left {
    chunk: Chunk,
    left: Vec<usize>,
}

impl TableSource {
    pub(crate) fn new(
        place: Place,
        found: &Found,
        plan: Plan,
        told: &Told,
        name: &str,
        bounds: Bounds,
    ) -> Self {
        // A flow's table may hold a row that is none.
        let kinds =
            if found.kind == Kind::Flows { vec![Kind::Events, Kind::Flows] } else { vec![found.kind] };
        Self {
            name: format!("{} {}", place.shown(), found.table()),
            format: format!("ulogd-{}", place.engine().as_str()),
            identity: format!("{name}/{}", found.table()),
            place,
            plan,
            host: told.host.clone(),
            sender: told.sender.clone(),
            kinds,
            range: bounds.range,
            total: bounds.total,
            at: 0,
            unplaced: bounds.unplaced,
            sums: Sums::default(),
            ahead: None,
            left: None,
        }
    }

    /// The last position that is read: what is written behind it while this runs is for the next time.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.range.map(|(_, last)| last)
    }

    fn next_chunk(&mut self) -> Result<Option<Left>, UlogdbError> {
        if let Some(left) = self.left.take() {
            return Ok(Some(left));
        }
        let Some((_, last)) = self.range.filter(|(_, last)| self.at <= *last) else { return Ok(None) };
        if self.ahead.is_none() {
            let (to, from) = sync_channel(AHEAD);
            let (place, plan, start) = (self.place.clone(), self.plan.clone(), self.at);
            let read = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let done = runtime.map_err(no_thread).and_then(|runtime| {
                    runtime.block_on(async {
                        let mut link = Link::open(&place).await?;
                        send_all(&mut link, &plan, start, last, &to).await
                    })
                });
                if let Err(error) = done {
                    drop(to.send(Err(error)));
                }
            };
            std::thread::Builder::new().name("ulogdb".into()).spawn(read).map_err(no_thread)?;
            self.ahead = Some(from);
        }
        match self.ahead.as_ref().and_then(|ahead| ahead.recv().ok()) {
            Some(chunk) => {
                let chunk = chunk?;
                let left = chunk.parts.iter().map(Vec::len).collect();
                Ok(Some(Left { chunk, left }))
            }
            None => Ok(None),
        }
    }

    fn damaged(&self, problem: CopyError) -> SourceError {
        let error = UlogdbError::Damaged { table: self.plan.table.clone(), problem };
        SourceError::failed(format!("cannot read {}", self.name))(error)
    }

    /// Makes records of a chunk, as far as there is room and up to a position.
    fn records(
        &mut self,
        left: &mut Left,
        until: u64,
        rows: &mut Rows,
        tally: &mut Tally,
    ) -> Result<Read, SourceError> {
        let chunk = &left.chunk;
        let parts = &self.plan.parts;
        let tail = |part: usize| &chunk.parts[part][chunk.parts[part].len() - left.left[part]..];
        let mut main = CopyRows::new(tail(0));
        let mut fields = vec![None; parts[0].columns.len()];
        let (own, shared) = match parts.last() {
            Some(last) if parts[0].columns.iter().any(|c| c.slot == Slot::Shared) => {
                (1..parts.len() - 1, Some(last.columns.as_slice()))
            }
            _ => (1..parts.len(), None),
        };
        let mut children: Vec<_> = own.map(|part| Cursor::new(tail(part), &parts[part].columns)).collect();
        let shared = match shared {
            Some(columns) => Shared::read(tail(parts.len() - 1), columns).map_err(|e| self.damaged(e))?,
            None => Shared::default(),
        };
        let mut record = Record::default();
        let outcome = loop {
            let before = main;
            match main.next(&mut fields) {
                Ok(true) => {}
                Ok(false) => break Ok(Read::More(chunk.end)),
                Err(problem) => break Err(self.damaged(problem)),
            }
            let key = position(&fields[..self.plan.positions()]);
            if key >= until {
                main = before;
                // rows between may have been deleted since somebody was there
                break Ok(Read::More(until.max(self.at)));
            }
            record.clear();
            let mut host = None;
            for (field, column) in fields.iter().zip(&parts[0].columns) {
                let Some(bytes) = field else { continue };
                match &column.slot {
                    Slot::Shared => shared.set(bytes, &mut record),
                    Slot::Host => host = Some(String::from_utf8_lossy(bytes_of(column, bytes))),
                    _ => set(column, bytes, &mut record),
                }
            }
            let mut broken = None;
            for child in &mut children {
                if let Err(problem) = child.set(key, &mut record) {
                    broken = Some(problem);
                }
            }
            if let Some(problem) = broken {
                break Err(self.damaged(problem));
            }
            let host = host.as_deref().filter(|host| !host.is_empty()).or(self.host.as_deref());
            let Some(host) = host else {
                break Err(SourceError::NoHost { record: format!("the row {key} of {}", self.plan.table) });
            };
            let told = ulogd::Told {
                source: SOURCE,
                whose: Whose { host, sender: &self.sender },
                received: Micros(0),
                zone: &UTC,
            };
            match record.push(rows, &told, &mut self.sums) {
                Ok(pushed) => {
                    count(tally, pushed);
                    self.at = key + u64::from(!self.shares(key, main));
                }
                Err(_) => {
                    main = before;
                    break Ok(Read::Full(self.at));
                }
            }
        };
        left.left[0] = main.left();
        for (at, child) in children.iter().enumerate() {
            left.left[at + 1] = child.left();
        }
        outcome
    }

    /// Whether the next row has the same position: then it is not behind this one yet.
    fn shares(&self, key: u64, mut rows: CopyRows<'_>) -> bool {
        if matches!(self.plan.order, Order::Key { unique: true, .. }) {
            return false;
        }
        let mut fields = [None; 2];
        let fields = &mut fields[..self.plan.positions()];
        matches!(rows.next_of(self.plan.parts[0].columns.len(), fields), Ok(true)) && position(fields) == key
    }
}

fn count(tally: &mut Tally, pushed: Pushed) {
    match pushed {
        Pushed::Event => tally.events += 1,
        Pushed::Flow => tally.flows += 1,
        Pushed::Counter => tally.counters += 1,
        Pushed::Unmoved => return tally.skip("a counter that did not move"),
        Pushed::Nothing => return tally.skip("a row without a value"),
    }
    tally.records += 1;
}

/// The rows of a child that belong to one row each.
struct Cursor<'a> {
    columns: &'a [Selected],
    rows: CopyRows<'a>,
    /// Bytes from the current row on.
    left: usize,
    fields: Vec<Option<&'a [u8]>>,
    key: Option<u64>,
    begun: bool,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], columns: &'a [Selected]) -> Self {
        let fields = vec![None; columns.len()];
        Self { columns, rows: CopyRows::new(bytes), left: bytes.len(), fields, key: None, begun: false }
    }

    const fn left(&self) -> usize {
        self.left
    }

    fn advance(&mut self) -> Result<(), CopyError> {
        self.left = self.rows.left();
        self.begun = true;
        let more = self.rows.next(&mut self.fields)?;
        self.key = more.then(|| position(&self.fields[..1]));
        Ok(())
    }

    /// Adds to the record of a row what its row here says. Rows whose row does not exist are passed over; of several
    /// for one row the first counts.
    #[inline]
    fn set(&mut self, key: u64, record: &mut Record<'a>) -> Result<(), CopyError> {
        if !self.begun {
            self.advance()?;
        }
        while self.key.is_some_and(|at| at < key) {
            self.advance()?;
        }
        if self.key == Some(key) {
            for (field, column) in self.fields.iter().zip(self.columns).skip(1) {
                if let Some(bytes) = field {
                    set(column, bytes, record);
                }
            }
        }
        Ok(())
    }
}

/// The rows of the child that rows share, by their key.
#[derive(Default)]
struct Shared<'a> {
    columns: &'a [Selected],
    rows: HashMap<&'a [u8], Vec<Option<&'a [u8]>>>,
}

impl<'a> Shared<'a> {
    fn read(bytes: &'a [u8], columns: &'a [Selected]) -> Result<Self, CopyError> {
        let (mut rows, mut all) = (CopyRows::new(bytes), HashMap::new());
        let mut fields = vec![None; columns.len()];
        while rows.next(&mut fields)? {
            if let Some(key) = fields[0] {
                all.insert(key, fields.clone());
            }
        }
        Ok(Self { columns, rows: all })
    }

    #[inline]
    fn set(&self, key: &[u8], record: &mut Record<'a>) {
        for (field, column) in self.rows.get(key).into_iter().flatten().zip(self.columns).skip(1) {
            if let Some(bytes) = field {
                set(column, bytes, record);
            }
        }
    }
}

#[inline]
fn set<'a>(column: &'a Selected, bytes: &'a [u8], record: &mut Record<'a>) {
    if bytes.is_empty() {
        // an empty text says nothing, as in the interface of a packet that has none
        return;
    }
    match &column.slot {
        // the schemas for MySQL give a type of 0x86dd no room, and this is what is left of it
        Slot::Key(Key::Protocol | Key::MacProtocol) if value(column, bytes) == Value::Int(0x7fff) => {}
        Slot::Key(key) => record.set(*key, value(column, bytes)),
        Slot::Swapped(key) => record.set(*key, swapped(value(column, bytes))),
        Slot::Unknown(name) => record.set_unknown(name.as_bytes(), value(column, bytes)),
        Slot::Position | Slot::Shared | Slot::Host => {}
    }
}

#[inline]
fn value<'a>(column: &Selected, bytes: &'a [u8]) -> Value<'a> {
    let number = |bytes| copy::integer(bytes).map_or(Value::Null, Value::Int);
    match column.kind {
        Type::Integer => number(bytes),
        Type::Bool if bytes.len() == 1 => Value::Bool(bytes[0] != 0),
        Type::Bool => number(bytes),
        Type::Inet => copy::inet(bytes).map_or(Value::Null, Value::Address),
        Type::Bytes if column.is_address => copy::address(bytes).map_or(Value::Text(bytes), Value::Address),
        Type::Any => match bytes.split_first() {
            Some((&ANY_INTEGER, bytes)) => number(bytes),
            Some((_, [])) => Value::Null,
            Some((&ANY_BYTES, bytes)) if column.is_address => {
                copy::address(bytes).map_or(Value::Text(bytes), Value::Address)
            }
            Some((_, bytes)) => Value::Text(bytes),
            None => Value::Null,
        },
        Type::Bytes | Type::Text | Type::Stamp | Type::Other => Value::Text(bytes),
    }
}

/// The bytes of a text.
fn bytes_of<'a>(column: &Selected, bytes: &'a [u8]) -> &'a [u8] {
    match value(column, bytes) {
        Value::Text(text) => text,
        _ => &[],
    }
}

/// An address whose bytes ulogd 2 took for a number as they were, on a machine with the low byte first. Of an address
/// of IPv6 there is only a part, which is none.
fn swapped(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Int(number) => {
            u32::try_from(number).map_or(value, |number| Value::Int(number.swap_bytes().into()))
        }
        other => other,
    }
}

/// The hash of a row, as text.
pub(crate) fn digest(row: &[u8]) -> String {
    Sha256::digest(row).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Source for TableSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn format(&self) -> &str {
        &self.format
    }

    fn identity(&self) -> Identity {
        Identity::Name(self.identity.clone())
    }

    fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    fn progress(&self) -> Progress {
        let done = match (&self.plan.order, self.range) {
            (_, Some((_, last))) if self.at > last => self.total,
            (Order::Time { .. }, Some((first, last))) => {
                let part = u128::from(self.at.saturating_sub(first)) * u128::from(self.total);
                u64::try_from(part / u128::from(last - first + 1)).unwrap_or(self.total)
            }
            (_, Some((first, _))) => self.at.saturating_sub(first),
            (_, None) => self.total,
        };
        Progress { done, total: Some(self.total), unit: Unit::Rows }
    }

    fn seek(&mut self, position: u64) -> Result<(), SourceError> {
        let end = self.range.map_or(0, |(_, last)| last + 1);
        if position > end.max(self.at) && !matches!(self.plan.order, Order::Time { .. }) {
            return Err(SourceError::Changed(format!(
                "{} ends before the row {position}, up to which it was imported: if it was emptied and filled again, \
                 import it under another name with --name",
                self.name
            )));
        }
        (self.at, self.ahead, self.left) = (position, None, None);
        Ok(())
    }

    fn read(&mut self, until: u64, rows: &mut Rows, tally: &mut Tally) -> Result<Read, SourceError> {
        for _ in 0..std::mem::take(&mut self.unplaced) {
            tally.skip("a row without a key");
        }
        let chunk = self.next_chunk().map_err(|error| {
            let what = format!("cannot read {}", self.name);
            SourceError::failed(what)(error)
        })?;
        let Some(mut left) = chunk else {
            if let Some((_, last)) = self.range {
                self.at = self.at.max(last + 1);
            }
            return Ok(Read::End(self.at));
        };
        let read = self.records(&mut left, until, rows, tally)?;
        if let Read::More(at) = read {
            self.at = at;
        }
        if left.left[0] > 0 {
            self.left = Some(left);
        }
        Ok(read)
    }
}
