//! The recorder: one thread that turns what capture hands over into records of the spool, keeps the accounts,
//! and asks the rules' counters what never came.

use crate::accounts::Accounts;
use crate::lanes::{Kept, Lanes};
use crate::losses::Losses;
use arrow_array::RecordBatch;
use bartizan_model::{Kind, Loss, Reason, Stage};
use bartizan_ruleset::{Balance, LogRule};
use bartizan_wire::{Compression, Encoder, encode, split};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes of a record's payload; a batch that is larger is split.
const RECORD_BYTES: usize = 2 << 20;
/// Losses that keep coming are written this often.
const LOSSES_EVERY: Duration = Duration::from_millis(500);
/// How long the recorder sleeps at the most.
const NAP: Duration = Duration::from_millis(500);
/// While nothing happens the counters are read less often, up to this factor.
const MOST_PATIENCE: u32 = 8;

/// What a capture thread hands over.
#[derive(Debug)]
pub(crate) enum Captured {
    /// Decoded packets of a group.
    Rows { group: u16, batch: RecordBatch },
    /// Packets of a group that are known to be lost.
    Lost { group: u16, loss: Loss },
    /// The group's socket is empty, and everything before it was handed over.
    Idle { group: u16 },
}

/// What the recorder shares with the senders.
#[derive(Clone)]
pub(crate) struct Shared {
    lanes: Arc<Mutex<Lanes>>,
    /// Something new may be sent.
    pub(crate) news: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(lanes: Lanes) -> Self {
        Self { lanes: Arc::new(Mutex::new(lanes)), news: Arc::new(Notify::new()) }
    }

    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // every method of `Lanes` leaves it consistent, also when it is left by a panic
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the counters of the rules that log are read.
pub(crate) type ReadRules = Box<dyn FnMut() -> Result<Vec<LogRule>, String> + Send>;

/// The recorder's state.
pub(crate) struct Recorder {
    shared: Shared,
    accounts: Accounts,
    encoder: Encoder,
    /// Losses not recorded yet, and which of them each group's account still has to book.
    losses: Losses,
    owed: BTreeMap<u16, u64>,
    losses_written: Instant,
    read_rules: ReadRules,
    counters: Duration,
    quiet: Duration,
    /// Per group: the last reading, and how many intervals the next one may wait.
    readings: BTreeMap<u16, (Instant, u32)>,
    started: Instant,
}

impl Recorder {
    pub(crate) fn new(
        shared: Shared,
        accounts: Accounts,
        read_rules: ReadRules,
        counters: Duration,
        flush: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            accounts,
            encoder: Encoder::default(),
            losses: Losses::default(),
            owed: BTreeMap::new(),
            losses_written: now,
            read_rules,
            counters,
            quiet: (flush * 2).max(Duration::from_millis(500)),
            readings: BTreeMap::new(),
            started: now,
        }
    }

    /// What was counted while no agent listened.
    pub(crate) fn missed(&mut self, balances: Vec<(u16, Balance)>) {
        for (group, balance) in balances {
            self.balance(group, balance);
        }
        self.write_losses();
    }

    /// Works until every capture thread has gone, then makes all durable.
    pub(crate) fn run(mut self, captured: &Receiver<Captured>) {
        loop {
            let due = self.shared.lanes().sync_due();
            let nap = due.map_or(NAP, |due| due.saturating_duration_since(Instant::now()).min(NAP));
            match captured.recv_timeout(nap) {
                Ok(Captured::Rows { group, batch }) => self.rows(group, &batch),
                Ok(Captured::Lost { group, loss }) => self.lost(group, loss),
                Ok(Captured::Idle { group }) => self.idle(group),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.losses.is_empty() && self.losses_written.elapsed() >= LOSSES_EVERY {
                self.write_losses();
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                self.sync();
            }
        }
        self.write_losses();
        self.sync();
    }

    /// A hole before the rows that come next; part of it may be in the ledger already, as the tail of a burst.
    fn lost(&mut self, group: u16, mut loss: Loss) {
        loss.count = self.accounts.hole(group, loss.count);
        *self.owed.entry(group).or_default() += loss.count;
        self.losses.add(loss);
    }

    fn rows(&mut self, group: u16, batch: &RecordBatch) {
        self.readings.entry(group).and_modify(|(_, patience)| *patience = 1);
        // out of the way while its bytes are recorded
        let mut encoder = std::mem::take(&mut self.encoder);
        for part in split(batch, RECORD_BYTES) {
            let rows = part.num_rows() as u64;
            match encoder.encode(&part) {
                Ok(payload) => self.record(Kind::Events, rows, payload, &[(group, rows)]),
                Err(error) => {
                    tracing::error!(%error, "a batch cannot be encoded");
                    self.give_up(rows, Reason::Malformed, &[(group, rows)]);
                }
            }
        }
        self.encoder = encoder;
    }

    /// Appends one record; `books` says whose packets it accounts for.
    fn record(&mut self, kind: Kind, weight: u64, payload: &[u8], books: &[(u16, u64)]) {
        let mut lanes = self.shared.lanes();
        if lanes.memory_is_empty() {
            self.accounts.memory_is_empty();
        }
        // the note has to count what its own record holds (AG-3)
        let mut after = self.accounts.clone();
        books.iter().for_each(|(group, n)| after.book(*group, *n));
        let kept = lanes.append(kind, weight, &after.note(), payload, Instant::now());
        drop(lanes);
        match kept {
            Kept::OnDisk => self.accounts = after,
            Kept::InMemory => {
                books.iter().for_each(|(group, n)| self.accounts.book_in_memory(*group, *n));
                self.shared.news.notify_waiters();
            }
            Kept::Nowhere(reason) if kind == Kind::Events => self.give_up(weight, reason, books),
            // the caller keeps losses until they are recorded
            Kept::Nowhere(_) => return,
        }
        if kind == Kind::Losses {
            self.losses.clear();
            self.owed.clear();
        }
    }

    fn give_up(&mut self, rows: u64, reason: Reason, books: &[(u16, u64)]) {
        self.losses.add_now(bartizan_clock::now(), Stage::Spool, reason, rows, "rows that could not be kept");
        for (group, n) in books {
            *self.owed.entry(*group).or_default() += n;
        }
    }

    fn write_losses(&mut self) {
        self.losses_written = Instant::now();
        if self.losses.is_empty() {
            return;
        }
        match encode(&self.losses.batch(), Compression::None) {
            Ok(payload) => {
                let books: Vec<_> = self.owed.iter().map(|(group, n)| (*group, *n)).collect();
                self.record(Kind::Losses, self.losses.total(), &payload, &books);
            }
            Err(error) => tracing::error!(%error, "losses cannot be encoded"),
        }
    }

    /// The group's socket is empty: a good moment to read the counters.
    fn idle(&mut self, group: u16) {
        let now = Instant::now();
        let (last, patience) = *self.readings.entry(group).or_insert((now, 1));
        if now.duration_since(last) < self.counters * patience {
            return;
        }
        // a loss that is known and not booked would be found missing once more
        self.write_losses();
        if !self.losses.is_empty() {
            return;
        }
        let rules = match (self.read_rules)() {
            Ok(rules) => rules,
            Err(error) => {
                tracing::warn!(error, "cannot read the rules' counters");
                self.readings.insert(group, (now, MOST_PATIENCE));
                return;
            }
        };
        let at = now.duration_since(self.started);
        let balance = self.accounts.observe(group, &rules, at, true, self.quiet);
        let settled =
            balance.as_ref().is_some_and(|b| !matches!(b, Balance::Unsettled | Balance::Missing(_)));
        let patience = if settled { (patience * 2).min(MOST_PATIENCE) } else { 1 };
        self.readings.insert(group, (now, patience));
        if let Some(balance) = balance {
            self.balance(group, balance);
            // they are booked already: nothing else may be recorded before they are
            self.write_losses();
        }
    }

    fn balance(&mut self, group: u16, balance: Balance) {
        match balance {
            Balance::Missing(count) => {
                let detail = format!("nflog group {group}");
                tracing::warn!(group, count, "counted by the rules, never delivered");
                let now = bartizan_clock::now();
                self.losses.add_now(now, Stage::Kernel, Reason::NotDelivered, count, &detail);
            }
            Balance::Excess(count) => {
                tracing::warn!(
                    group,
                    count,
                    "more packets came than the rules counted; the account starts again"
                );
            }
            _ => {}
        }
    }

    fn sync(&mut self) {
        let news = self.shared.lanes().sync(Instant::now());
        if news {
            self.shared.news.notify_waiters();
        }
    }
}
