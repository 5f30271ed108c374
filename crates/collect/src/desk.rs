//! The desk of a listener: where what its senders deliver becomes rows, until they are handed over to the spooler.
//!
//! Invariants:
//! - Rows are handed over in the order of their tickets: a ticket that is durable says that all before it are.
//! - Memory is bounded: a desk closes a batch at [`ROWS`] rows or [`BYTES`] bytes of messages, and whoever closed one
//!   hands it over before reading more. When the spooler does not take it, its senders wait.
//! - Rows wait no longer than [`LINGER`]; where senders wait for an answer, no longer than a sync takes.

use crate::counts::{Count, Counts, Tallies};
use crate::ledger::Ledger;
use crate::replay::{Memory, Notes, Replay};
use crate::sender::Sender;
use crate::settings::Listener;
use crate::spooler::Parcel;
use arrow_array::RecordBatch;
use bartizan_decode::columns::Full;
use bartizan_intake::Rows;
use bartizan_intake::text::{Origin, What};
use bartizan_model::{Kind, Micros, Reason};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// Rows of one kind in a batch.
const ROWS: usize = 16 << 10;
/// Bytes of messages in a batch.
const BYTES: usize = 8 << 20;
/// How long rows wait for more of them.
const LINGER: Duration = Duration::from_millis(50);

/// One listener's desk.
pub(crate) struct Desk {
    open: Mutex<Open>,
    /// Whoever hands over holds this, so that nobody overtakes.
    hand: tokio::sync::Mutex<mpsc::Sender<Parcel>>,
    durable: Arc<watch::Sender<u64>>,
    /// By which its notes are found again.
    name: Arc<str>,
    /// There are rows.
    news: Notify,
    counts: Arc<Counts>,
}

/// What lies on a desk.
pub(crate) struct Open {
    rows: Rows,
    bytes: usize,
    /// Of the rows that lie open; those that are closed have smaller ones.
    ticket: u64,
    closed: Vec<Closed>,
    /// Where senders are acknowledged: what they said last.
    memory: Option<Memory>,
    tallies: Tallies,
    settings: Arc<Listener>,
    ledger: Arc<Ledger>,
    source: &'static str,
    counted: bool,
}

/// Rows up to a ticket, and what was remembered with them.
struct Closed {
    ticket: u64,
    batches: Vec<(Kind, RecordBatch)>,
    note: Option<Vec<u8>>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// A row that was understood.
    Row,
    /// A row that was not fully understood.
    Unparsed,
    /// Nothing: it is another service's.
    Other,
    /// A row of `lines`.
    Kept,
}

impl Desk {
    pub(crate) fn new(
        settings: Arc<Listener>,
        notes: &Notes,
        counts: Arc<Counts>,
        ledger: Arc<Ledger>,
        spooler: mpsc::Sender<Parcel>,
    ) -> Self {
        let (speech, source) = (settings.speech, settings.speech.source());
        let name: Arc<str> = format!("{} {}", speech.as_str(), settings.place).into();
        let memory = speech.answers().then(|| Memory::read(notes.of(&name), bartizan_clock::now()));
        let open = Open {
            rows: Rows::new(ROWS),
            bytes: 0,
            ticket: 1,
            closed: Vec::new(),
            memory,
            tallies: Tallies::new(source),
            settings,
            ledger,
            source,
            counted: false,
        };
        Self {
            open: Mutex::new(open),
            hand: tokio::sync::Mutex::new(spooler),
            durable: Arc::new(watch::Sender::new(0)),
            name,
            news: Notify::new(),
            counts,
        }
    }

    /// Works on what lies there. A panic meanwhile leaves rows that are whole.
    pub(crate) fn work<R>(&self, work: impl FnOnce(&mut Open) -> R) -> R {
        let mut open = self.lock();
        let result = work(&mut open);
        let news = open.counted;
        drop(open);
        if news {
            self.news.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tickets up to which all is durable.
    pub(crate) fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Hands over what is closed, if anything is; waits until the spooler takes it.
    pub(crate) async fn hand_over(&self) {
        if !self.lock().closed.is_empty() {
            self.hand_over_closed(false).await;
        }
    }

    /// Hands over all.
    pub(crate) async fn clear(&self) {
        self.hand_over_closed(true).await;
    }

    async fn hand_over_closed(&self, all: bool) {
        let hand = self.hand.lock().await;
        let closed = {
            let mut open = self.lock();
            if all {
                open.close();
                open.tell(&self.counts);
            }
            std::mem::take(&mut open.closed)
        };
        for Closed { ticket, batches, note } in closed {
            let note = note.map(|note| (Arc::clone(&self.name), note));
            let parcel = Parcel { batches, ticket, note, durable: Arc::clone(&self.durable) };
            // without a spooler the server is stopping, and this desk should have been cleared before
            if hand.send(parcel).await.is_err() {
                tracing::error!("rows came after the spooler had stopped");
            }
        }
    }

    /// Hands rows over before they are old, until it is dropped.
    pub(crate) async fn keep_clear(&self, answers: bool) {
        let mut durable = self.durable();
        loop {
            self.news.notified().await;
            if answers {
                let ticket = self.lock().ticket();
                self.clear().await;
                // what comes meanwhile goes together with the next sync
                drop(durable.wait_for(|done| *done >= ticket).await);
            } else {
                tokio::time::sleep(LINGER).await;
                self.clear().await;
            }
        }
    }
}

impl Open {
    /// The listener's settings.
    pub(crate) fn settings(&self) -> &Listener {
        &self.settings
    }

    /// The same, to be held beside the desk.
    pub(crate) const fn shared_settings(&self) -> &Arc<Listener> {
        &self.settings
    }

    /// Notes that something of a host is lost.
    pub(crate) fn lost(&self, host: &str, reason: Reason, kind: Kind, count: u64, detail: &str, now: Micros) {
        self.ledger.add(host, reason, kind, count, detail, now);
    }

    /// The ticket of what was added last: when it is durable, so is that.
    pub(crate) fn ticket(&self) -> u64 {
        if self.rows.is_empty() { self.ticket - 1 } else { self.ticket }
    }

    /// A line of text of a sender that is acknowledged; no row if it says again what it said before it had to connect
    /// anew.
    pub(crate) fn acknowledged_text(
        &mut self,
        text: &[u8],
        cut: bool,
        replay: &mut Replay,
        sender: &mut Sender,
        now: Micros,
    ) {
        let Some(memory) = &self.memory else { return self.text(text, cut, sender, now) };
        let Some(hash) = replay.new_hash(text, &sender.who.name, memory) else { return };
        self.text(text, cut, sender, now);
        if let Some(memory) = &mut self.memory {
            memory.remember(&sender.who.name, hash, now);
        }
    }

    /// Whether a sender may deliver one more message; if not, it is counted as lost.
    pub(crate) fn admits(&mut self, sender: &mut Sender, now: Micros) -> bool {
        if sender.allowance.as_ref().is_none_or(|allowance| allowance.take(now)) {
            return true;
        }
        let tallies = &mut self.tallies;
        let place = *sender.over.get_or_insert_with(|| tallies.place(&sender.who.host, &sender.who.name));
        tallies.message(place, now).over += 1;
        self.counted = true;
        false
    }

    /// A line of text.
    pub(crate) fn text(&mut self, text: &[u8], cut: bool, sender: &mut Sender, now: Micros) {
        if text.is_empty() || !self.admits(sender, now) {
            return;
        }
        sender.who.at(now);
        let settings = Arc::clone(&self.settings);
        let from = Origin {
            source: self.source,
            naming: &sender.who,
            zone: &settings.zone,
            reference: now,
            unstamped: now,
            lines: settings.keep_others,
        };
        let reader = &mut sender.reader;
        let read = self.put(text.len(), |rows| reader.read(text, &from, rows));
        let Some(read) = read else { return };
        let became = match read.what {
            What::Event => Became::Row,
            What::Unparsed => Became::Unparsed,
            What::Other if settings.keep_others => Became::Kept,
            What::Other => Became::Other,
            What::Empty => return,
        };
        self.count(became, cut || read.cut, sender, now);
    }

    /// Adds rows; if there is no room for them, what lies there is closed first. Nothing if they never have room.
    pub(crate) fn put<R>(
        &mut self,
        length: usize,
        mut add: impl FnMut(&mut Rows) -> Result<R, Full>,
    ) -> Option<R> {
        if self.bytes + length > BYTES {
            self.close();
        }
        let added = add(&mut self.rows).or_else(|_| {
            self.close();
            add(&mut self.rows)
        });
        self.bytes += length;
        added.ok()
    }

    /// Counts a message of which the sender's [`Who`](crate::sender::Who) judged the host.
    pub(crate) fn count(&mut self, became: Became, cut: bool, sender: &Sender, now: Micros) {
        self.counted = true;
        let tallies = &mut self.tallies;
        let place = sender
            .who
            .judged(|host, place| *place.get_or_insert_with(|| tallies.place(host, &sender.who.name)));
        let count: &mut Count = tallies.message(place, now);
        match became {
            Became::Row => count.rows += 1,
            Became::Unparsed => count.unparsed += 1,
            Became::Other => count.other += 1,
            Became::Kept => {
                count.other += 1;
                count.kept += 1;
            }
        }
        count.cut += u64::from(cut);
    }

    /// Tells everybody what was counted.
    fn tell(&mut self, counts: &Counts) {
        let rate = self.settings.rate.unwrap_or_default();
        let now = bartizan_clock::now();
        for (delivery, count) in self.tallies.counted() {
            let lost = |reason, kind, n, detail: &dyn Fn() -> String| {
                if n > 0 {
                    self.ledger.add(&delivery.host, reason, kind, n, &detail(), now);
                }
            };
            // of any kind, so that at most so many were events
            let detail = || format!("messages of {} over {rate} a second", delivery.sender);
            lost(Reason::RateLimit, Kind::Events, count.over, &detail);
            let detail = || format!("messages of {} that were cut", delivery.sender);
            lost(Reason::TooLong, Kind::Lines, count.cut, &detail);
        }
        self.tallies.hand_over(counts);
        self.counted = false;
    }

    fn close(&mut self) {
        self.bytes = 0;
        if self.rows.is_empty() {
            return;
        }
        let batches = self.rows.finish();
        let note = self.memory.as_ref().map(|memory| {
            let mut note = Vec::new();
            memory.write(bartizan_clock::now(), &mut note);
            note
        });
        self.closed.push(Closed { ticket: self.ticket, batches, note });
        self.ticket += 1;
    }
}
