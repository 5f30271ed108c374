//! Capture: one thread per NFLOG group, from the kernel's datagrams to batches of rows.
//!
//! A batch is handed over when it is full, when it is old enough, or when the socket is empty. Handing over
//! waits while the recorder is busy; the kernel's buffer is the queue then, and what it drops is a hole in the
//! sequence (AG-1).
//!
//! **When it was logged.** A batch says between which two moments all of its packets were logged: the kernel
//! held them back for at most the flush timeout before the socket was last found empty, and the last datagram
//! was read at the end. A socket that is never found empty makes this interval long, never wrong.

use crate::recorder::Captured;
use crate::settings::{Conntrack, Payload};
use crate::share::{Limits, Share};
use crate::source::{SourceId, Window};
use bartizan_decode::columns::{EventColumns, InterfaceNames};
use bartizan_decode::netlink::Messages;
use bartizan_decode::nflog::NflogPacket;
use bartizan_model::{Kind, Loss, Micros, Reason, Stage};
use bartizan_netfilter::{Interfaces, NetfilterError, NflogSocket, Received, RecvBuffer};
use bartizan_ruleset::Sequence;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Names of interfaces are asked for again after this long.
const NAMES_AGE: Duration = Duration::from_secs(5);
/// Datagrams that come faster than this are taken several at a time.
const NAP: Duration = Duration::from_millis(10);
/// But only from a kernel's buffer that has room for what comes meanwhile: a million packets a second.
const ROOMY: usize = 8 << 20;
/// An empty socket is worth telling this often.
const IDLE_EVERY: Duration = Duration::from_millis(100);
/// Bytes of columns with which a batch is full, whatever its rows.
const BATCH_BYTES: usize = 4 << 20;
/// The kernel's timers may be late by this much, on a machine with much to do.
const LATE: Duration = Duration::from_millis(50);

/// How a group is captured.
#[derive(Clone, Debug)]
pub(crate) struct CaptureConfig {
    pub(crate) source: SourceId,
    /// The namespace's name; empty for the own one.
    pub(crate) netns: String,
    pub(crate) tuning: Tuning,
    /// Before this moment nothing was logged to the socket.
    pub(crate) bound: Instant,
    /// The namespace is gone: end once nothing can be on its way any more.
    pub(crate) ending: Arc<AtomicBool>,
    /// Of which packets the first bytes are kept.
    pub(crate) payload: Payload,
    /// How much is kept of what connection tracking says.
    pub(crate) conntrack: Conntrack,
}

/// Settings that may change while packets come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tuning(Arc<[AtomicU64; 5]>);

impl Tuning {
    /// From now on. `flush` only grows: what the kernel held back by an older setting may still be on its way.
    pub(crate) fn set(&self, batch_rows: usize, batch_age: Duration, flush: Duration, limits: Limits) {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let [rows, age, held, percent, memory] = &*self.0;
        percent.store(limits.cpu_percent.into(), Ordering::Relaxed);
        memory.store(limits.memory, Ordering::Relaxed);
        rows.store(batch_rows as u64, Ordering::Relaxed);
        age.store(micros(batch_age), Ordering::Relaxed);
        held.fetch_max(micros(flush), Ordering::Relaxed);
    }

    fn batch_rows(&self) -> usize {
        usize::try_from(self.0[0].load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// What the whole process may use.
    fn limits(&self) -> Limits {
        let [.., percent, memory] = &*self.0;
        let cpu_percent = u32::try_from(percent.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        Limits { cpu_percent, memory: memory.load(Ordering::Relaxed) }
    }

    fn batch_age(&self) -> Duration {
        Duration::from_micros(self.0[1].load(Ordering::Relaxed))
    }

    /// How long the kernel may hold packets back.
    fn flush(&self) -> Duration {
        Duration::from_micros(self.0[2].load(Ordering::Relaxed))
    }
}

/// One group's capture.
pub(crate) struct Capture {
    socket: NflogSocket,
    config: CaptureConfig,
    columns: EventColumns,
    share: Share,
    /// How many of them are a batch.
    rows: usize,
    /// When the socket was last found empty, and the same for the first row of this batch.
    emptied: Instant,
    batch_emptied: Instant,
    /// When the last datagram was read.
    read_at: Instant,
    recorder: SyncSender<Captured>,
    sequence: Sequence,
    /// When the last packet came.
    last: Micros,
    names: InterfaceNames,
    interfaces: Interfaces,
    names_read: Instant,
    /// Interfaces that have a name in `names`.
    known: Vec<u32>,
    /// Those of the packet before: mostly the same as the next one's.
    last_indices: [Option<u32>; 4],
    overruns: u64,
}

/// The recorder has gone.
struct Stopped;

impl Capture {
    pub(crate) fn new(
        socket: NflogSocket,
        interfaces: Interfaces,
        config: CaptureConfig,
        recorder: SyncSender<Captured>,
    ) -> Self {
        let (columns, rows) = columns(&config);
        let (bound, share) = (config.bound, Share::new(config.tuning.limits()));
        Self {
            socket,
            config,
            columns,
            share,
            rows,
            emptied: bound,
            batch_emptied: bound,
            read_at: bound,
            recorder,
            sequence: Sequence::new(),
            last: bartizan_clock::now(),
            names: InterfaceNames::new(),
            interfaces,
            names_read: bound,
            known: Vec::new(),
            last_indices: [None; 4],
            overruns: 0,
        }
    }

    /// Reads until the socket's waker stops it, or to the end of a namespace that is gone.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.read() {
            let (group, netns) = (self.socket.group(), &self.config.netns);
            tracing::error!(group, netns, %error, "capture ended");
        }
        drop(self.hand_over());
    }

    fn read(&mut self) -> Result<(), NetfilterError> {
        let mut buffer = RecvBuffer::new();
        let mut batch_since = Instant::now();
        let mut idle_told = Instant::now();
        let mut busy = false;
        let roomy = self.socket.receive_buffer() >= ROOMY;
        loop {
            let wait = match self.columns.is_empty() {
                true => IDLE_EVERY,
                false => self.config.tuning.batch_age().saturating_sub(batch_since.elapsed()),
            };
            // first without waiting: that there is nothing is worth knowing
            let received = match self.socket.recv(&mut buffer, Duration::ZERO)? {
                Received::Idle => {
                    self.emptied = Instant::now();
                    self.share.emptied();
                    let received = self.socket.recv(&mut buffer, wait)?;
                    busy = matches!(received, Received::Datagram(_)) && roomy && self.emptied.elapsed() < NAP;
                    received
                }
                received => received,
            };
            let handed = match received {
                Received::Datagram(bytes) => {
                    self.read_at = Instant::now();
                    if self.columns.is_empty() {
                        batch_since = self.read_at;
                        self.batch_emptied = self.emptied;
                    }
                    let handed = self.datagram(bytes);
                    self.share.keep();
                    handed
                }
                Received::Overrun => {
                    self.overruns += 1;
                    tracing::debug!(overruns = self.overruns, "the kernel's buffer for the agent was full");
                    Ok(())
                }
                Received::Truncated(bytes) => {
                    tracing::error!(bytes, "a datagram of the kernel did not fit");
                    Ok(())
                }
                Received::Idle => {
                    self.emptied = Instant::now();
                    let empty = self.columns.is_empty();
                    let handed = self.hand_over();
                    let quiet =
                        self.emptied.duration_since(self.read_at) >= self.config.tuning.flush() * 2 + LATE;
                    if empty && quiet && self.config.ending.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    if empty && idle_told.elapsed() >= IDLE_EVERY {
                        idle_told = Instant::now();
                        self.recorder.send(Captured::Idle { source: self.config.source }).map_err(|_| Stopped)
                    } else {
                        handed
                    }
                }
                Received::Stopped => return Ok(()),
            };
            let full = !self.columns.is_empty() && batch_since.elapsed() >= self.config.tuning.batch_age();
            if handed.is_err() || (full && self.hand_over().is_err()) {
                return Ok(());
            }
            if std::mem::take(&mut busy) {
                // the next datagrams are worth one wake-up together; the kernel's buffer has room for many
                std::thread::sleep(NAP);
            }
        }
    }

    fn datagram(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        let now = bartizan_clock::now();
        let mut malformed = 0_u64;
        for message in Messages::new(bytes) {
            // the rest of a datagram that is no message holds packets whose number the next sequence tells
            let Ok(message) = message else { break };
            // looked at where it was made: moving it out would copy it for every packet
            let parsed = NflogPacket::from_message(&message);
            let packet = match &parsed {
                Some(Ok(packet)) => packet,
                Some(Err(_)) => {
                    malformed += 1;
                    continue;
                }
                None => continue,
            };
            let gap = packet.seq.and_then(|seq| self.sequence.packet(seq)).unwrap_or(0);
            // at once: a hole has to be known before the rows behind it
            self.lost(u64::from(gap), Reason::SequenceGap, now)?;
            if self.columns.is_full() {
                self.hand_over()?;
            }
            self.learn_names(packet);
            if self.columns.push_nflog(packet, now, &self.names).is_err() {
                malformed += 1;
            }
        }
        // a malformed message has a number too, which the next packet's gap counts
        if malformed > 0 {
            tracing::error!(malformed, "messages of the kernel that are no packets");
        }
        self.last = now;
        if self.columns.bytes() >= BATCH_BYTES { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Stopped> {
        if self.columns.is_empty() {
            return Ok(());
        }
        if self.names_read.elapsed() >= NAMES_AGE {
            self.refresh_names();
        }
        let batch = self.columns.finish();
        self.share.set(self.config.tuning.limits());
        if self.config.tuning.batch_rows() != self.rows {
            (self.columns, self.rows) = columns(&self.config);
        }
        let from = self.batch_emptied.checked_sub(self.config.tuning.flush() + LATE);
        let from = from.map_or(self.config.bound, |from| from.max(self.config.bound));
        let logged = Window { from, to: self.read_at };
        let source = self.config.source;
        self.recorder.send(Captured::Rows { source, batch, logged }).map_err(|_| Stopped)
    }

    /// Tells of packets that are lost since the last datagram.
    fn lost(&mut self, count: u64, reason: Reason, now: Micros) -> Result<(), Stopped> {
        if count == 0 {
            return Ok(());
        }
        let group = self.socket.group();
        let detail = format!("nflog group {group}");
        // what the kernel dropped while capture paused was given up by the agent
        let (stage, reason) = match self.share.reason() {
            Some(paused) => (Stage::AgentCap, paused),
            None => (Stage::Kernel, reason),
        };
        let loss = Loss { from: self.last, to: now, stage, reason, kind: Kind::Events, count, detail };
        self.recorder.send(Captured::Lost { source: self.config.source, loss }).map_err(|_| Stopped)
    }

    /// Learns the names of a packet's interfaces before it becomes a row.
    fn learn_names(&mut self, packet: &NflogPacket<'_>) {
        let indices = [packet.in_dev, packet.out_dev, packet.phys_in_dev, packet.phys_out_dev];
        if indices == self.last_indices {
            return;
        }
        self.last_indices = indices;
        for index in indices.into_iter().flatten() {
            if self.names.name(index).is_none()
                && let Some(name) = self.interfaces.name(index)
            {
                self.names.set(index, name);
                self.known.push(index);
            }
        }
    }

    /// Interfaces can be renamed and removed.
    fn refresh_names(&mut self) {
        self.names_read = Instant::now();
        self.last_indices = [None; 4];
        self.interfaces.refresh();
        let (names, interfaces) = (&mut self.names, &mut self.interfaces);
        self.known.retain(|index| match interfaces.name(*index) {
            Some(name) => {
                names.set(*index, name);
                true
            }
            None => {
                names.remove(*index);
                false
            }
        });
    }
}

/// Empty columns as a configuration wants them, and how many rows are a batch.
fn columns(config: &CaptureConfig) -> (EventColumns, usize) {
    let rows = config.tuning.batch_rows();
    let mut columns = EventColumns::new(rows);
    columns.set_netns(Some(&config.netns));
    let prefixes: Vec<&str> = config.payload.prefixes.iter().map(String::as_str).collect();
    columns.set_payload(config.payload.bytes.try_into().unwrap_or(usize::MAX), &prefixes);
    columns.set_conntrack(config.conntrack == Conntrack::Details);
    (columns, rows)
}
