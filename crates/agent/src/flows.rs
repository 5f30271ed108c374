//! Flows: a thread for each namespace that reads the kernel's reports on tracked connections.
//!
//! **Losses.** Each report is one message, and the kernel counts the messages that found no room in the socket's
//! buffer: that many rows are in the ledger, with `kind` flows. Which connections they were nobody can tell. After
//! a loss the kernel is asked for all connections, and those that are alive become rows with the event `dump`; one
//! that began and ended unseen is only a number.
//!
//! **What has no reports.** The kernel reports only connections that began while somebody listened; their packets
//! and bytes need `net.netfilter.nf_conntrack_acct`, their beginning `nf_conntrack_timestamp`. Nothing is changed
//! here: it is said once.

use crate::kernel::Kernel;
use crate::recorder::Captured;
use crate::source::{NetnsId, SourceId};
use bartizan_decode::conntrack;
use bartizan_decode::flows::FlowColumns;
use bartizan_decode::netlink::Messages;
use bartizan_model::{Kind, Loss, Micros, Reason, Stage};
use bartizan_netfilter::{ConntrackFilter, ConntrackSocket, NetfilterError, Received, RecvBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// The longest wait.
const NAP: Duration = Duration::from_millis(200);
/// Bytes of columns with which a batch is full.
const BATCH_BYTES: usize = 4 << 20;
/// Between two dumps of all connections.
const RESYNC_EVERY: Duration = Duration::from_secs(10);
/// Attempts at a dump that is whole.
const ATTEMPTS: u32 = 3;

/// One namespace's flows.
pub(crate) struct Flows {
    pub(crate) number: NetnsId,
    /// The namespace's name; empty for the own one.
    pub(crate) netns: String,
    pub(crate) socket: ConntrackSocket,
    pub(crate) filter: ConntrackFilter,
    pub(crate) kernel: Kernel,
    pub(crate) batch_rows: usize,
    pub(crate) batch_age: Duration,
    pub(crate) recorder: SyncSender<Captured>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// The recorder has gone.
struct Stopped;

/// Its state.
struct Reading {
    flows: Flows,
    columns: FlowColumns,
    since: Instant,
    /// Messages that the kernel had dropped at the last look, and when that was.
    dropped: u32,
    looked: Micros,
    resynced: Option<Instant>,
    resync: bool,
}

impl Flows {
    /// Reads until it is told to stop.
    pub(crate) fn run(self) {
        say_what_is_missing(&self.netns);
        let mut columns = FlowColumns::new(self.batch_rows);
        columns.set_netns(Some(&self.netns));
        let mut reading = Reading {
            flows: self,
            columns,
            since: Instant::now(),
            dropped: 0,
            looked: bartizan_clock::now(),
            resynced: None,
            resync: false,
        };
        if let Err(error) = reading.work() {
            tracing::error!(netns = reading.flows.netns, %error, "the capture of flows ended");
        }
        let _: Result<(), Stopped> = reading.hand_over();
    }
}

impl Reading {
    fn work(&mut self) -> Result<(), NetfilterError> {
        let mut buffer = RecvBuffer::new();
        loop {
            let wait = match self.columns.is_empty() {
                true => NAP,
                false => self.flows.batch_age.saturating_sub(self.since.elapsed()).min(NAP),
            };
            let handed = match self.flows.socket.recv(&mut buffer, wait)? {
                Received::Datagram(bytes) => self.reports(bytes),
                Received::Overrun | Received::Truncated(_) => {
                    self.resync = true;
                    self.lost()
                }
                Received::Idle => {
                    if self.flows.stop.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    // a loss without a notice, and what was on its way while there was one
                    self.lost().and_then(|()| self.resync()).and_then(|()| self.hand_over())
                }
                Received::Stopped => return Ok(()),
            };
            let old = !self.columns.is_empty() && self.since.elapsed() >= self.flows.batch_age;
            if handed.is_err() || (old && self.hand_over().is_err()) {
                return Ok(());
            }
        }
    }

    fn reports(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let now = bartizan_clock::now();
        if self.columns.is_empty() {
            self.since = Instant::now();
        }
        for message in Messages::new(bytes).map_while(Result::ok) {
            let Some(flow) = conntrack::parse(&message).filter(|flow| self.flows.filter.takes(flow)) else {
                continue;
            };
            if self.columns.is_full() {
                self.hand_over()?;
            }
            // it is not full
            let _ = self.columns.push(&flow, now);
        }
        if self.columns.bytes() >= BATCH_BYTES { self.hand_over() } else { Ok(()) }
    }

    /// Tells of reports that the kernel dropped since the last look.
    fn lost(&mut self) -> Result<(), Stopped> {
        let now = bartizan_clock::now();
        let from = std::mem::replace(&mut self.looked, now);
        let Ok(dropped) = self.flows.socket.dropped() else { return Ok(()) };
        let count = dropped.wrapping_sub(std::mem::replace(&mut self.dropped, dropped));
        if count == 0 {
            return Ok(());
        }
        self.resync = true;
        tracing::debug!(count, "the kernel's buffer for flows was full");
        let loss = Loss {
            from,
            to: now,
            stage: Stage::Kernel,
            reason: Reason::Overrun,
            kind: Kind::Flows,
            count: count.into(),
            detail: "conntrack".into(),
        };
        let source = SourceId { netns: self.flows.number, group: None };
        self.flows.recorder.send(Captured::Lost { source, loss }).map_err(|_| Stopped)
    }

    /// After a loss: every connection that is alive becomes a row.
    fn resync(&mut self) -> Result<(), Stopped> {
        if !self.resync || self.resynced.is_some_and(|at| at.elapsed() < RESYNC_EVERY) {
            return Ok(());
        }
        (self.resync, self.resynced) = (false, Some(Instant::now()));
        for _ in 0..ATTEMPTS {
            self.hand_over()?;
            let now = bartizan_clock::now();
            let (columns, filter) = (&mut self.columns, &self.flows.filter);
            let (recorder, mut rows) = (&self.flows.recorder, 0_u64);
            let dumped = self.flows.kernel.connections(|flow| {
                if !filter.takes(flow) {
                    return;
                }
                if columns.is_full() {
                    let batch = columns.finish();
                    // without a recorder the next message finds out
                    drop(recorder.send(Captured::Batch { kind: Kind::Flows, batch, mark: None }));
                }
                let _ = columns.push(flow, now);
                rows += 1;
            });
            match dumped {
                Ok(true) => {
                    tracing::info!(netns = self.flows.netns, rows, "connections alive after a loss");
                    break;
                }
                // part of them may come twice: a row says what was seen, not how often
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(netns = self.flows.netns, %error, "cannot read the connections after a loss");
                    break;
                }
            }
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), Stopped> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let batch = self.columns.finish();
        let rows = Captured::Batch { kind: Kind::Flows, batch, mark: None };
        self.flows.recorder.send(rows).map_err(|_| Stopped)
    }
}

/// What the kernel does not count here, as far as it can be read.
fn say_what_is_missing(netns: &str) {
    if !netns.is_empty() {
        return;
    }
    for (setting, what) in
        [("nf_conntrack_acct", "packets and bytes"), ("nf_conntrack_timestamp", "the time of its beginning")]
    {
        let path = format!("/proc/sys/net/netfilter/{setting}");
        if std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "0") {
            tracing::warn!(setting, what, "the kernel does not note this of connections; set it to 1");
        }
    }
}
