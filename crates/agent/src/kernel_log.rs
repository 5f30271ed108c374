//! The kernel's log: what rules with `LOG` write, from `/dev/kmsg` or from the journal.
//!
//! ```text
//! /dev/kmsg -> records ----\
//!                           lines of netfilter -> columns -> recorder, with the position behind them
//! journalctl -> entries ---/
//! ```
//!
//! Invariants:
//! - **KL-1** a position is recorded in the record of the rows before it (AG-3), so that after a restart nothing
//!   is read twice and nothing is left out that is still there.
//! - **KL-2** what was overwritten before it was read is on the ledger (stage `kernel`, reason `overrun`): the
//!   number of messages, of which nobody can say how many were netfilter's. It is therefore an upper bound.
//! - **KL-3** only the kernel's own messages count: what a process writes to `/dev/kmsg` has another facility.
//!
//! A position that moved without rows is stored in a file ([`Stored`]), once everything before it is durable.
//!
//! Without a position, the first time, reading begins with what comes. After a reboot `/dev/kmsg` is read from the
//! start of this boot; what the last boot logged and nobody read is lost with it, and only the journal has it.
//! While rows wait in memory because the disk fails, positions are not recorded: a restart then reads those lines
//! again.

mod clock;
mod journal;
mod kmsg;
mod stored;

pub(crate) use stored::Stored;

use crate::namespaces::spawn;
use crate::open::Open;
use crate::recorder::Captured;
use crate::settings::KernelLogFrom;
use crate::source::Window;
use arrow_array::RecordBatch;
use bartizan_decode::columns::EventColumns;
use bartizan_decode::text::Line;
use bartizan_model::{Kind, Loss, Micros, Reason, Stage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a wait for new messages lasts at most, so that a stop is seen.
const NAP: Duration = Duration::from_millis(100);
/// A position that moved without rows is told this often.
const TELL: Duration = Duration::from_secs(2);
/// Clocks are compared with this much doubt.
const DOUBT: Duration = Duration::from_millis(50);

/// What the log held up to a position.
#[derive(Debug)]
pub(crate) struct Log {
    /// Where reading goes on after everything in `content`.
    pub(crate) position: Arc<str>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// Logged packets.
    Rows(RecordBatch, Window),
    /// Messages that nobody can read any more.
    Lost(Loss),
    /// No message of netfilter.
    Nothing,
}

/// Reading that goes on in a thread of its own.
pub(crate) struct KernelLog {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl KernelLog {
    /// Starts to read, behind a position where there is one. `None` when it is switched off.
    pub(crate) fn start(
        from: KernelLogFrom,
        open: Arc<dyn Open>,
        position: Option<Arc<str>>,
        (batch_rows, batch_age): (usize, Duration),
        recorder: SyncSender<Captured>,
    ) -> anyhow::Result<Option<Self>> {
        let stop = Arc::new(AtomicBool::new(false));
        let source = match from {
            KernelLogFrom::Off => return Ok(None),
            KernelLogFrom::Kmsg => "kmsg",
            KernelLogFrom::Journald => "journald",
        };
        let lines = Lines::new(source, batch_rows, batch_age, recorder, Arc::clone(&stop));
        let work: Box<dyn FnOnce() + Send> = match from {
            KernelLogFrom::Journald => {
                let reader = journal::Journal::new(open, position, lines);
                Box::new(move || reader.run())
            }
            _ => {
                let reader = kmsg::Kmsg::open(&*open, position, lines)?;
                Box::new(move || reader.run())
            }
        };
        Ok(Some(Self { stop, thread: spawn("kernel-log", work)? }))
    }

    /// Hands over what was read, and ends.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("reading the kernel's log ended with a panic");
        }
    }
}

/// It is time to end, or the recorder has gone.
#[derive(Debug, PartialEq, Eq)]
struct Stopped;

/// Lines on their way to the recorder.
struct Lines {
    source: &'static str,
    columns: EventColumns,
    batch_age: Duration,
    recorder: SyncSender<Captured>,
    stop: Arc<AtomicBool>,
    /// Behind everything that was read.
    position: Option<Arc<str>>,
    /// The recorder knows `position`.
    told: bool,
    told_at: Instant,
    /// Of the rows that wait: when the first one was read, and since when all were logged.
    since: Instant,
    logged_from: Instant,
}

impl Lines {
    fn new(
        source: &'static str,
        rows: usize,
        batch_age: Duration,
        recorder: SyncSender<Captured>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            source,
            columns: EventColumns::new(rows),
            batch_age,
            recorder,
            stop,
            position: None,
            told: true,
            told_at: now,
            since: now,
            logged_from: now,
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// How long a wait for new messages may take.
    fn patience(&self) -> Duration {
        match self.columns.is_empty() {
            true => NAP,
            false => self.batch_age.saturating_sub(self.since.elapsed()).min(NAP),
        }
    }

    /// A message of the kernel, logged at a time that was some while ago. Its position is told with
    /// [`Lines::read_to`].
    fn message(&mut self, text: &[u8], time: Micros, ago: Duration) -> Result<(), Stopped> {
        let Some(line) = Line::of_kernel(text) else { return Ok(()) };
        if self.columns.push_line(&line, time, self.source).is_err() {
            self.hand_over()?;
            // an empty builder takes any line
            let _ = self.columns.push_line(&line, time, self.source);
        }
        let now = Instant::now();
        let logged = now.checked_sub(ago + DOUBT).unwrap_or(self.logged_from);
        if self.columns.len() == 1 {
            (self.since, self.logged_from) = (now, logged);
        }
        self.logged_from = self.logged_from.min(logged);
        Ok(())
    }

    /// Everything up to a position was read.
    fn read_to(&mut self, position: String) -> Result<(), Stopped> {
        self.position = Some(position.into());
        self.told = false;
        if self.columns.is_full() || (!self.columns.is_empty() && self.since.elapsed() >= self.batch_age) {
            return self.hand_over();
        }
        Ok(())
    }

    /// There is nothing new.
    fn idle(&mut self) -> Result<(), Stopped> {
        if !self.columns.is_empty() {
            return if self.since.elapsed() >= self.batch_age { self.hand_over() } else { Ok(()) };
        }
        if !self.told && self.told_at.elapsed() >= TELL { self.tell(Content::Nothing) } else { Ok(()) }
    }

    /// Messages between the last position and this one are lost.
    fn lost(&mut self, count: u64, position: String, what: &str) -> Result<(), Stopped> {
        self.hand_over()?;
        let now = bartizan_clock::now();
        tracing::warn!(count, what, "messages of the kernel's log were lost before they were read");
        let loss = Loss {
            from: now,
            to: now,
            stage: Stage::Kernel,
            reason: Reason::Overrun,
            kind: Kind::Events,
            count,
            detail: what.to_owned(),
        };
        self.position = Some(position.into());
        self.tell(Content::Lost(loss))
    }

    /// Rows that wait go to the recorder.
    fn hand_over(&mut self) -> Result<(), Stopped> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let logged = Window { from: self.logged_from, to: Instant::now() };
        let batch = self.columns.finish();
        self.tell(Content::Rows(batch, logged))
    }

    /// The end: what waits goes to the recorder, and the last position.
    fn finish(mut self) {
        if self.hand_over().is_ok() && !self.told {
            // without a recorder there is nobody to tell
            let _ = self.tell(Content::Nothing);
        }
    }

    fn tell(&mut self, content: Content) -> Result<(), Stopped> {
        // rows are told of before the first position only if the first message is still being read
        let position = self.position.clone().unwrap_or_default();
        (self.told, self.told_at) = (true, Instant::now());
        self.recorder.send(Captured::Log(Log { position, content })).map_err(|_| Stopped)
    }
}
