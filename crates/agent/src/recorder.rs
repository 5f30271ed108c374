//! The recorder: one thread that turns what capture hands over into records of the spool, keeps the accounts,
//! and asks the rules' counters what never came.

use crate::accounts::{Accounts, Books};
use crate::board::{self, Board};
use crate::caps::{Caps, packets};
use crate::generations::{Generations, Listed};
use crate::kernel::Kernel;
use crate::kernel_log::{Content, Log, Stored};
use crate::lanes::{Kept, Lanes};
use crate::local_log::LocalLog;
use crate::settings::Settings;
use crate::source::{NetnsId, SourceId, Window};
use crate::steps::Steps;
use arrow_array::RecordBatch;
use bartizan_decode::losses::Losses;
use bartizan_model::{Kind, Lane, Loss, Reason, Stage};
use bartizan_ruleset::{Balance, Incarnation, LogRule};
use bartizan_wire::{Compression, Encoder, encode, split};
use std::collections::{BTreeMap, VecDeque};
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
/// How long, and how many bytes of, rows may wait for the ruleset of their time to be listed.
const HOLD: Duration = Duration::from_secs(3);
const HOLD_BYTES: usize = 8 << 20;

/// What is handed over to the recorder.
pub(crate) enum Captured {
    /// The groups of a namespace are bound; what they log follows.
    Joined(Joined),
    /// Nothing of a namespace that is gone is on its way any more.
    Left { netns: NetnsId },
    /// Nothing of a group that is read no more is on its way.
    GroupLeft { source: SourceId },
    /// Every namespace that was there at the start has joined.
    AllJoined,
    /// Other times and caps count.
    Tuned(Arc<Settings>),
    /// Decoded packets of a source, and when they were logged.
    Rows { source: SourceId, batch: RecordBatch, logged: Window },
    /// Rows of a source that are known to be lost.
    Lost { source: SourceId, loss: Loss },
    /// The source's socket is empty, and everything before it was handed over.
    Idle { source: SourceId },
    /// The ruleset of a namespace as it is now.
    Listed { netns: NetnsId, listed: Box<Listed> },
    /// The ruleset of a namespace cannot be listed.
    Unlisted { netns: NetnsId },
    /// What the kernel's log held, and up to where.
    Log(Log),
    /// Rows of another kind than events.
    Batch { kind: Kind, batch: RecordBatch, mark: Option<(Incarnation, u64)> },
}

/// A namespace that joins.
pub(crate) struct Joined {
    pub(crate) netns: NetnsId,
    /// Empty for the own one.
    pub(crate) name: String,
    pub(crate) life: Incarnation,
    pub(crate) groups: Vec<u16>,
    /// The rules before the groups were bound, if they could be read.
    pub(crate) rules: Option<Vec<LogRule>>,
    /// Reads them again.
    pub(crate) kernel: Kernel,
    /// Whether its rulesets will be told.
    pub(crate) attributing: bool,
}

/// A namespace whose groups are captured.
struct Place {
    name: String,
    life: Incarnation,
    groups: Vec<u16>,
    kernel: Kernel,
    /// While its ruleset can be listed.
    generations: Option<Generations>,
    held: Held,
}

/// What waits, in its order, until the ruleset of its time is listed.
#[derive(Default)]
struct Held {
    items: VecDeque<(Instant, Item)>,
    bytes: usize,
}

/// What has an order within its source.
enum Item {
    Rows { source: SourceId, batch: RecordBatch, logged: Window },
    Lost { source: SourceId, loss: Loss },
    Log(Log),
}

/// A group that was silent for so long has nothing on its way.
fn quiet(flush: Duration) -> Duration {
    (flush * 2).max(Duration::from_millis(500))
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

/// The recorder's state.
pub(crate) struct Recorder {
    shared: Shared,
    board: Board,
    accounts: Accounts,
    encoder: Encoder,
    caps: Caps,
    steps: Steps,
    /// Losses not recorded yet, and which of them each group's account still has to book.
    losses: Losses,
    owed: BTreeMap<SourceId, u64>,
    owed_log: Option<Arc<str>>,
    log_stored: Option<Stored>,
    local_log: Option<LocalLog>,
    losses_written: Instant,
    places: BTreeMap<NetnsId, Place>,
    counters: Duration,
    quiet: Duration,
    /// Per source: the last reading, and how many intervals the next one may wait.
    readings: BTreeMap<SourceId, (Instant, u32)>,
    started: Instant,
}

impl Recorder {
    pub(crate) fn new(shared: Shared, board: Board, accounts: Accounts, settings: &Settings) -> Self {
        let now = Instant::now();
        Self {
            shared,
            board,
            accounts,
            encoder: Encoder::default(),
            caps: Caps::new(&settings.caps),
            steps: Steps::new(bartizan_clock::now(), now),
            losses: Losses::default(),
            owed: BTreeMap::new(),
            owed_log: None,
            log_stored: None,
            local_log: None,
            losses_written: now,
            places: BTreeMap::new(),
            counters: settings.counters,
            quiet: quiet(settings.flush),
            readings: BTreeMap::new(),
            started: now,
        }
    }

    /// Stores the position in the kernel's log in a file as well.
    pub(crate) fn store_log_in(&mut self, stored: Stored) {
        self.log_stored = Some(stored);
    }

    /// The position may be stored when all rows before it are durable.
    fn store_log(&mut self, now: bool) {
        let lanes = self.shared.lanes();
        let durable = lanes.sync_due().is_none() && lanes.memory_is_empty();
        drop(lanes);
        if let Some(stored) = self.log_stored.as_mut().filter(|_| durable) {
            stored.durable(self.accounts.stamp(), now);
        }
    }

    /// Writes every event to the local log as well.
    pub(crate) fn also_to(&mut self, log: LocalLog) {
        self.local_log = Some(log);
    }

    /// Works until every capture thread has gone, then makes all durable.
    pub(crate) fn run(mut self, captured: &Receiver<Captured>) {
        loop {
            self.board.recorder_turns();
            let due = self.shared.lanes().sync_due();
            let nap = due.map_or(NAP, |due| due.saturating_duration_since(Instant::now()).min(NAP));
            match captured.recv_timeout(nap) {
                Ok(captured) => self.take(captured),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.release_all(false);
            self.flush_caps(false);
            if let Some(step) = self.steps.look(bartizan_clock::now(), Instant::now()) {
                let seconds = step as f64 / 1e6;
                tracing::warn!(seconds, "the clock was stepped, or the machine slept");
            }
            if !self.losses.is_empty() && self.losses_written.elapsed() >= LOSSES_EVERY {
                self.write_losses();
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                self.sync();
            }
        }
        self.release_all(true);
        self.flush_caps(true);
        self.write_losses();
        self.sync();
        self.store_log(true);
    }

    /// Records what exceeded the caps: `all` of it, or what has grown long enough.
    fn flush_caps(&mut self, all: bool) {
        if self.caps.is_empty() || !(all || self.caps.is_due(Instant::now())) {
            return;
        }
        for (source, batch) in self.caps.flush() {
            self.parts(Kind::Events, &batch, |packets| Books::packets(source, packets), None);
        }
    }

    fn take(&mut self, captured: Captured) {
        self.tell(&captured);
        match captured {
            Captured::Joined(joined) => self.join(joined),
            Captured::Left { netns } => self.leave(netns),
            Captured::GroupLeft { source } => self.leave_group(source),
            Captured::AllJoined => self.all_joined(),
            Captured::Tuned(settings) => {
                (self.counters, self.quiet) = (settings.counters, quiet(settings.flush));
                self.caps.set(&settings.caps);
            }
            Captured::Rows { source, batch, logged } => {
                self.offer(source.netns, Item::Rows { source, batch, logged });
            }
            Captured::Lost { source, loss } => self.offer(source.netns, Item::Lost { source, loss }),
            Captured::Idle { source } => self.idle(source),
            Captured::Listed { netns, listed } => self.listed(netns, *listed),
            Captured::Unlisted { netns } => self.unlisted(netns),
            Captured::Log(log) => self.offer(NetnsId::OWN, Item::Log(log)),
            Captured::Batch { kind, batch, mark } => self.parts(kind, &batch, |_| Books::default(), mark),
        }
    }

    /// Tells the board who was heard, and who is gone.
    fn tell(&self, captured: &Captured) {
        let place = |source: &SourceId| board::Place {
            netns: self.name(source.netns).to_owned(),
            source: source.to_string(),
        };
        match captured {
            Captured::Rows { source, batch, .. } => self.board.heard(place(source), batch.num_rows() as u64),
            Captured::Lost { source, .. } | Captured::Idle { source } => self.board.heard(place(source), 0),
            Captured::GroupLeft { source } => {
                let gone = place(source);
                self.board.gone(|place| *place == gone);
            }
            Captured::Left { netns } => {
                let name = self.name(*netns).to_owned();
                self.board.gone(|place| place.netns == name);
            }
            _ => {}
        }
    }

    /// A namespace was bound: what its rules counted while no agent listened is known now.
    fn join(&mut self, joined: Joined) {
        let Joined { netns, name, life, groups, rules, kernel, attributing } = joined;
        match self.places.get_mut(&netns) {
            // more groups of a namespace that is captured
            Some(place) => place.groups.extend(&groups),
            None => {
                let generations = attributing.then(Generations::default);
                let (groups, held) = (groups.clone(), Held::default());
                self.places.insert(netns, Place { name, life, groups, kernel, generations, held });
            }
        }
        for group in groups {
            let source = SourceId::nflog(netns, group);
            let balance = self.accounts.join(source, life, rules.as_deref());
            self.balance(source, balance);
        }
        self.write_losses();
    }

    /// A group is read no more: what its rules count from now on is somebody else's.
    fn leave_group(&mut self, source: SourceId) {
        self.release(source.netns, true);
        self.readings.remove(&source);
        let Some(place) = self.places.get_mut(&source.netns) else { return };
        place.groups.retain(|group| Some(*group) != source.group);
        let life = place.life;
        let rules = place.kernel.log_rules();
        let balance = self.accounts.leave(source, life, rules.as_deref().unwrap_or_default());
        match rules {
            Ok(_) => self.balance(source, balance),
            Err(error) => tracing::warn!(%source, %error, "cannot read the rules' last counters"),
        }
        self.write_losses();
    }

    /// A namespace is gone. Its rules can still be read, as long as a socket is open there.
    fn leave(&mut self, netns: NetnsId) {
        self.release(netns, true);
        self.flush_caps(true);
        let Some(mut place) = self.places.remove(&netns) else { return };
        let rules = place.kernel.log_rules();
        for group in &place.groups {
            let source = SourceId::nflog(netns, *group);
            self.readings.remove(&source);
            let balance = self.accounts.leave(source, place.life, rules.as_deref().unwrap_or_default());
            match &rules {
                Ok(_) => self.balance_of(&place.name, source, balance),
                Err(error) => {
                    tracing::warn!(netns = place.name, %error, "cannot read the rules' last counters");
                }
            }
        }
        self.accounts.forget_mark(place.life);
        self.write_losses();
    }

    /// A ruleset is active; rows that waited for it can go.
    fn listed(&mut self, netns: NetnsId, listed: Listed) {
        let Some(place) = self.places.get_mut(&netns) else { return };
        place.generations.get_or_insert_default().listed(listed);
        self.release(netns, false);
    }

    /// No ruleset will be known for a while: rows need not wait.
    fn unlisted(&mut self, netns: NetnsId) {
        if let Some(place) = self.places.get_mut(&netns) {
            place.generations = None;
        }
        self.release(netns, true);
    }

    /// Takes rows or a loss; they wait behind what waits already, and until the ruleset of their time is listed.
    fn offer(&mut self, netns: NetnsId, item: Item) {
        let Some(place) = self.places.get_mut(&netns) else { return self.record_item(item) };
        let waits = !place.held.items.is_empty() || (item.rows().is_some() && !place.is_current());
        if !waits {
            return self.record_item(item);
        }
        place.held.bytes += item.bytes();
        place.held.items.push_back((Instant::now(), item));
        if place.held.bytes > HOLD_BYTES {
            self.release(netns, true);
        }
    }

    fn release_all(&mut self, all: bool) {
        let holding: Vec<NetnsId> =
            self.places.iter().filter(|(_, p)| !p.held.items.is_empty()).map(|(netns, _)| *netns).collect();
        holding.into_iter().for_each(|netns| self.release(netns, all));
    }

    /// Records what waits in a namespace: `all` of it, or what need not wait any longer.
    fn release(&mut self, netns: NetnsId, all: bool) {
        let Some(place) = self.places.get_mut(&netns) else { return };
        if place.held.items.is_empty() {
            return;
        }
        // asked after all of it was logged
        let go = place.is_current() || all;
        let mut items = std::mem::take(&mut place.held.items);
        while items.front().is_some_and(|(since, _)| go || since.elapsed() >= HOLD) {
            let Some((_, item)) = items.pop_front() else { break };
            self.record_item(item);
        }
        if let Some(place) = self.places.get_mut(&netns) {
            place.held.bytes = items.iter().map(|(_, item)| item.bytes()).sum();
            place.held.items = items;
        }
    }

    fn record_item(&mut self, item: Item) {
        match item {
            Item::Rows { source, batch, logged } => self.rows(source, &batch, logged),
            Item::Lost { source, loss } => self.lost(source, loss),
            Item::Log(log) => self.log(log),
        }
    }

    /// What is known only of namespaces that are gone is settled.
    fn all_joined(&mut self) {
        for (group, balance) in self.accounts.forget() {
            self.balance_of("", SourceId::nflog(NetnsId::OWN, group), balance);
        }
        self.write_losses();
    }

    /// The name of a namespace; empty for the own one.
    fn name(&self, netns: NetnsId) -> &str {
        self.places.get(&netns).map_or("", |place| &place.name)
    }

    /// A hole before the rows that come next; part of it may be in the ledger already, as the tail of a burst.
    fn lost(&mut self, source: SourceId, mut loss: Loss) {
        if loss.kind == Kind::Events {
            loss.count = self.accounts.hole(source, loss.count);
            *self.owed.entry(source).or_default() += loss.count;
        }
        let netns = self.places.get(&source.netns).map_or("", |place| &place.name);
        self.losses.add(netns, loss);
    }

    fn rows(&mut self, source: SourceId, batch: &RecordBatch, logged: Window) {
        self.readings.entry(source).and_modify(|(_, patience)| *patience = 1);
        let generations = self.places.get_mut(&source.netns).and_then(|place| place.generations.as_mut());
        let attributed = generations.map(|g| g.attribute(batch, source.group, logged));
        let batch = attributed.unwrap_or_else(|| batch.clone());
        let batch = self.caps.take(source, batch, Instant::now());
        self.parts(Kind::Events, &batch, |packets| Books::packets(source, packets), None);
    }

    /// Rows and losses of the kernel's log are recorded together with the position behind them (KL-1).
    fn log(&mut self, Log { position, content }: Log) {
        match content {
            Content::Rows(batch, logged) => {
                let place = self.places.get_mut(&NetnsId::OWN);
                let generations = place.and_then(|place| place.generations.as_mut());
                let attributed = generations.map(|g| g.attribute(&batch, None, logged));
                let batch = attributed.unwrap_or(batch);
                let parts = split(&batch, RECORD_BYTES);
                let mut left = parts.len();
                for part in parts {
                    left -= 1;
                    let log = (left == 0).then(|| Arc::clone(&position));
                    self.parts(Kind::Events, &part, |_| Books { log: log.clone(), ..Books::default() }, None);
                }
            }
            Content::Lost(loss) => {
                self.losses.add("", loss);
                self.owed_log = Some(position);
                self.write_losses();
            }
            Content::Nothing => {
                self.accounts.log_read(Arc::clone(&position));
                if let Some(stored) = &mut self.log_stored {
                    stored.want(position);
                }
                self.store_log(false);
            }
        }
    }

    /// Appends a batch as records of bearable size. `books` says what so many packets or rows settle; the last record
    /// has the mark.
    fn parts(
        &mut self,
        kind: Kind,
        batch: &RecordBatch,
        books: impl Fn(u64) -> Books,
        mark: Option<(Incarnation, u64)>,
    ) {
        if let Some(log) = self.local_log.as_ref().filter(|_| kind == Kind::Events) {
            log.offer(batch);
        }
        // out of the way while its bytes are recorded
        let mut encoder = std::mem::take(&mut self.encoder);
        let parts = split(batch, RECORD_BYTES);
        for (at, part) in parts.iter().enumerate() {
            let weight = if kind == Kind::Events { packets(part) } else { part.num_rows() as u64 };
            let mut books = books(weight);
            books.mark = mark.filter(|_| at + 1 == parts.len());
            match encoder.encode(part) {
                Ok(payload) => self.record(kind, weight, payload, &books),
                Err(error) => {
                    tracing::error!(%error, %kind, "a batch cannot be encoded");
                    self.give_up(kind, weight, Reason::Malformed, &books);
                }
            }
        }
        self.encoder = encoder;
    }

    /// Appends one record; `books` says whose packets it accounts for.
    fn record(&mut self, kind: Kind, weight: u64, payload: &[u8], books: &Books) {
        let mut lanes = self.shared.lanes();
        if lanes.memory_is_empty() {
            self.accounts.memory_is_empty();
        }
        self.accounts.arrived(lanes.acknowledged(Lane::MEMORY));
        let kept =
            self.accounts.record(books, |note| lanes.append(kind, weight, note, payload, Instant::now()));
        drop(lanes);
        match kept {
            Kept::OnDisk => {}
            Kept::InMemory(_) => self.shared.news.notify_waiters(),
            // the caller keeps losses until they are recorded
            Kept::Nowhere(_) if kind == Kind::Losses => return,
            Kept::Nowhere(reason) => self.give_up(kind, weight, reason, books),
        }
        if kind == Kind::Losses {
            self.losses.iter().for_each(|(netns, loss)| self.board.lost(netns, loss));
            self.losses.clear();
            self.owed.clear();
            self.owed_log = None;
        }
    }

    fn give_up(&mut self, kind: Kind, rows: u64, reason: Reason, books: &Books) {
        let now = bartizan_clock::now();
        self.losses.add_now(now, Stage::Spool, reason, kind, rows, "rows that could not be kept");
        for (source, n) in &books.packets {
            *self.owed.entry(*source).or_default() += n;
        }
        if books.log.is_some() {
            self.owed_log.clone_from(&books.log);
        }
    }

    fn write_losses(&mut self) {
        self.losses_written = Instant::now();
        if self.losses.is_empty() {
            return;
        }
        match encode(&self.losses.batch(), Compression::None) {
            Ok(payload) => {
                let packets = self.owed.iter().map(|(source, n)| (*source, *n)).collect();
                let books = Books { packets, log: self.owed_log.clone(), ..Books::default() };
                self.record(Kind::Losses, self.losses.total(), &payload, &books);
            }
            Err(error) => tracing::error!(%error, "losses cannot be encoded"),
        }
    }

    /// The source's socket is empty: a good moment to read the counters.
    fn idle(&mut self, source: SourceId) {
        let now = Instant::now();
        let (last, patience) = *self.readings.entry(source).or_insert((now, 1));
        if now.duration_since(last) < self.counters * patience {
            return;
        }
        // what is known and not booked would be found missing once more
        self.flush_caps(true);
        self.write_losses();
        let Some(place) = self.places.get_mut(&source.netns).filter(|_| self.losses.is_empty()) else {
            return;
        };
        if !place.held.items.is_empty() {
            return;
        }
        let rules = match place.kernel.log_rules() {
            Ok(rules) => rules,
            Err(error) => {
                tracing::warn!(netns = place.name, %error, "cannot read the rules' counters");
                self.readings.insert(source, (now, MOST_PATIENCE));
                return;
            }
        };
        let at = now.duration_since(self.started);
        let balance = self.accounts.observe(source, &rules, at, true, self.quiet);
        let settled =
            balance.as_ref().is_some_and(|b| !matches!(b, Balance::Unsettled | Balance::Missing(_)));
        let patience = if settled { (patience * 2).min(MOST_PATIENCE) } else { 1 };
        self.readings.insert(source, (now, patience));
        if let Some(balance) = balance {
            self.balance(source, balance);
            // they are booked already: nothing else may be recorded before they are
            self.write_losses();
        }
    }

    fn balance(&mut self, source: SourceId, balance: Balance) {
        let name = self.name(source.netns).to_owned();
        self.balance_of(&name, source, balance);
    }

    fn balance_of(&mut self, netns: &str, source: SourceId, balance: Balance) {
        let group = source.group.unwrap_or_default();
        match balance {
            Balance::Missing(count) => {
                tracing::warn!(netns, group, count, "counted by the rules, never delivered");
                let now = bartizan_clock::now();
                let loss = Loss {
                    from: now,
                    to: now,
                    stage: Stage::Kernel,
                    reason: Reason::NotDelivered,
                    kind: Kind::Events,
                    count,
                    detail: format!("nflog group {group}"),
                };
                self.losses.add(netns, loss);
            }
            Balance::Excess(count) => {
                tracing::warn!(
                    netns,
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

impl Place {
    /// Whether the newest ruleset that was listed is the one that is active now, so that whatever was logged until
    /// now was logged under rulesets that are known. Where none are listed, nothing is waited for.
    fn is_current(&mut self) -> bool {
        let Some(generations) = &mut self.generations else { return true };
        let asked = Instant::now();
        match self.kernel.generation() {
            Ok(number) => generations.confirm(number, asked),
            Err(error) => {
                tracing::warn!(netns = self.name, %error, "cannot ask which ruleset is active");
                true
            }
        }
    }
}

impl Item {
    fn rows(&self) -> Option<&RecordBatch> {
        match self {
            Self::Rows { batch, .. } | Self::Log(Log { content: Content::Rows(batch, _), .. }) => Some(batch),
            Self::Lost { .. } | Self::Log(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        self.rows().map_or(256, RecordBatch::get_array_memory_size)
    }
}
