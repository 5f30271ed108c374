//! The lanes of the spool: where a batch is written, and what is sent next from each lane.
//!
//! Batches are appended to one lane, the current one. When the server is back after a while and the current
//! lane holds a backlog, appending moves to an empty lane: live rows travel there, the backlog follows at its
//! own pace. When the disk fails, batches wait in the bounded memory lane.
//!
//! Invariants:
//! - A lane is made durable before appending moves on to another, so that the newest durable note counts no row
//!   that a power cut can still take.
//! - All lanes together stay within one byte budget; the oldest segments that were surely not sent go first.

use crate::ages::Ages;
use crate::memory::MemoryLane;
use crate::settings::Settings;
use bartizan_decode::losses::Losses;
use bartizan_model::{Epoch, IN_FLIGHT, Kind, Lane, Micros, Reason, Seq, Stage};
use bartizan_spool::{AppendError, Config, DiskError, Head, Hole, Item, RealFs, Spool, SpoolError, Weights};
use bartizan_wire::{Compression, Waiting, encode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Copies of refused batches that are kept.
const REFUSED_KEPT: usize = 16;
/// Between two attempts to write to a disk that fails.
const DISK_AGAIN: Duration = Duration::from_millis(500);
/// Backlog with which live rows would have to wait: then they take another lane.
const BEHIND_RECORDS: u64 = 16;

/// All lanes of one agent.
pub(crate) struct Lanes {
    disks: Vec<(Lane, Spool<RealFs>)>,
    current: usize,
    memory: MemoryLane,
    budget: u64,
    when_full: WhenFull,
    /// For each of `disks`.
    ages: Vec<Ages>,
    /// Batches that the server refused for good: a batch of losses goes in their place.
    refused: BTreeSet<(Lane, Seq)>,
    refused_dir: PathBuf,
    /// The last thing the disk said was an error: batches take the memory lane, and the first one after this
    /// moment tries the disk again.
    failing: Option<Instant>,
    /// What it said.
    failure: Option<String>,
    /// Acknowledgements so far, for whoever looks for progress.
    acknowledgements: u64,
}

/// What happens when the budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The oldest rows are dropped, and counted.
    #[default]
    DropOldest,
    /// New rows are not taken, and counted.
    RefuseNewest,
}

/// A batch on its way to the server.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
    pub(crate) kind: Kind,
    pub(crate) weight: u64,
    /// An Arrow IPC stream.
    pub(crate) payload: Vec<u8>,
}

/// Where an appended batch is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    OnDisk,
    /// Under this number of the memory lane.
    InMemory(Seq),
    Nowhere(Reason),
}

impl Lanes {
    /// Opens every lane below `dir`.
    ///
    /// `epochs` gives numbers that were never used before.
    pub(crate) fn open(
        settings: &Settings,
        mut epochs: impl FnMut() -> Epoch,
        now: Instant,
    ) -> Result<Self, SpoolError> {
        let (dir, budget) = (settings.spool_dir(), settings.spool_bytes);
        let mut disks = Vec::with_capacity(Lane::DISK.len());
        for lane in Lane::DISK {
            let mut config = Config::new(dir.join(lane.number().to_string()), budget);
            config.sync_interval = settings.sync;
            config.segment_bytes = segment_bytes(budget);
            let (spool, recovery) = Spool::open(config, RealFs, epochs(), now)?;
            if spool.backlog().records > 0 {
                tracing::info!(
                    lane = lane.number(),
                    backlog = spool.backlog().records,
                    ?recovery,
                    "spool opened"
                );
            }
            disks.push((lane, spool));
        }
        let current = emptiest(&disks);
        let ages = disks.iter().map(|_| Ages::default()).collect();
        Ok(Self {
            disks,
            current,
            memory: MemoryLane::new(epochs(), settings.memory_bytes),
            budget,
            when_full: settings.when_full,
            ages,
            refused: BTreeSet::new(),
            refused_dir: dir.join("refused"),
            failing: None,
            failure: None,
            acknowledgements: 0,
        })
    }

    /// Other limits, from now on. More than they allow is given up as room is needed.
    pub(crate) fn configure(&mut self, settings: &Settings) {
        self.budget = settings.spool_bytes;
        self.when_full = settings.when_full;
        self.memory.set_limit(settings.memory_bytes);
        for (_, spool) in &mut self.disks {
            spool.set_limits(settings.spool_bytes, segment_bytes(settings.spool_bytes), settings.sync);
        }
    }

    /// The notes of every lane's newest record.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &[u8]> {
        self.disks.iter().filter_map(|(_, spool)| spool.last_note())
    }

    /// Writes a batch to the current lane, or keeps it in memory, or says why neither is possible.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        weight: u64,
        note: &[u8],
        payload: &[u8],
        now: Instant,
    ) -> Kept {
        if self.failing.is_none_or(|again| again <= now) {
            if !self.make_room((payload.len() + note.len()) as u64) {
                return Kept::Nowhere(Reason::SpoolFull);
            }
            let head = Head { kind, weight: Weights::pack(kind, weight), note };
            let full = match self.disks[self.current].1.append(head, payload, now) {
                Ok(seq) => {
                    if self.failing.take().is_some() {
                        self.failure = None;
                        tracing::info!("the spool's disk works again");
                    }
                    self.ages[self.current].note(seq, bartizan_clock::now());
                    return Kept::OnDisk;
                }
                Err(AppendError::Disk(error)) => {
                    self.failed(&error, now);
                    false
                }
                Err(error) => {
                    tracing::debug!(%error, "a batch was not taken by the spool");
                    true
                }
            };
            if full && self.memory.is_empty() {
                // memory is for a disk that fails; when the budget is used up it would only postpone the loss
                return Kept::Nowhere(Reason::SpoolFull);
            }
        }
        match self.memory.push(kind, weight, payload) {
            Some(seq) => Kept::InMemory(seq),
            None => Kept::Nowhere(Reason::DiskError),
        }
    }

    /// When [`Lanes::sync`] is due at the latest.
    pub(crate) fn sync_due(&self) -> Option<Instant> {
        self.disks.iter().filter_map(|(_, spool)| spool.sync_due()).min()
    }

    /// Makes what was appended durable; tells whether there is something new to send.
    pub(crate) fn sync(&mut self, now: Instant) -> bool {
        let mut failure = None;
        let mut moved = false;
        for (_, spool) in &mut self.disks {
            let before = spool.durable();
            if let Err(error) = spool.sync(now) {
                failure = Some(error);
            }
            moved |= spool.durable() != before;
        }
        // that nothing fails here proves nothing: only the next batch tries to write
        if let Some(error) = failure {
            self.failed(&error, now);
        }
        moved || !self.memory.is_empty()
    }

    /// A connection was made: if live rows would have to wait behind a backlog, they get a lane of their own.
    pub(crate) fn connected(&mut self, now: Instant) {
        if self.failing.is_some() || self.disks[self.current].1.backlog().records < BEHIND_RECORDS {
            return;
        }
        let target = emptiest(&self.disks);
        if self.disks[target].1.backlog().records > 0 {
            return;
        }
        if let Err(error) = self.disks[self.current].1.sync(now) {
            return self.failed(&error, now);
        }
        tracing::info!(
            backlog = self.disks[self.current].1.backlog().records,
            lane = self.disks[target].0.number(),
            "live rows do not wait for the backlog"
        );
        self.current = target;
    }

    /// The batch after `after` in a lane; in the place of one that was lost or refused, its loss.
    pub(crate) fn next(&mut self, lane: Lane, after: Seq, now: Micros) -> Result<Option<Parcel>, DiskError> {
        let parcel = match self.disks.iter_mut().find(|(l, _)| *l == lane) {
            Some((_, spool)) => spool.read(after)?.map(|item| match item {
                Item::Record(r) => Parcel {
                    epoch: r.epoch,
                    seq: r.seq,
                    kind: r.kind,
                    weight: Weights::of(r.weight).of_kind(r.kind),
                    payload: r.payload,
                },
                Item::Hole(hole) => parcel_of(hole, now),
            }),
            None => {
                let epoch = self.memory.epoch();
                self.memory.read(after).map(|r| Parcel {
                    epoch,
                    seq: r.seq,
                    kind: r.kind,
                    weight: r.weight,
                    payload: r.payload.to_vec(),
                })
            }
        };
        Ok(parcel.map(|p| match self.refused.contains(&(lane, p.seq)) {
            true => {
                // a batch of losses tells of events, as far as its weight says
                let events = matches!(p.kind, Kind::Events | Kind::Losses);
                let kind = if events { Kind::Events } else { p.kind };
                let losses = [(kind, p.weight)];
                loss_parcel(p.epoch, p.seq, Stage::Sender, Reason::Refused, &losses, "refused", now)
            }
            false => p,
        }))
    }

    /// The server will never take a batch: from now on its loss is sent in its place.
    pub(crate) fn refuse(&mut self, lane: Lane, seq: Seq, reason: &str) {
        let parcel = self.next(lane, Seq(seq.0.saturating_sub(1)), Micros(0)).ok().flatten();
        let Some(parcel) = parcel.filter(|p| p.seq == seq) else { return };
        tracing::error!(
            lane = lane.number(),
            seq = seq.0,
            events = parcel.weight,
            reason,
            "batch refused for good"
        );
        if self.refused.insert((lane, seq)) {
            self.put_aside(&parcel, lane);
        } else {
            // not even its loss is taken: going on is better than standing still
            self.acknowledge(lane, parcel.epoch, seq);
        }
    }

    /// Keeps a copy of a refused batch for people, as long as there are few.
    fn put_aside(&self, parcel: &Parcel, lane: Lane) {
        let write = || {
            std::fs::create_dir_all(&self.refused_dir)?;
            if std::fs::read_dir(&self.refused_dir)?.count() < REFUSED_KEPT {
                let name = format!("{}-{:016x}-{}.arrows", lane.number(), parcel.epoch.0, parcel.seq.0);
                std::fs::write(self.refused_dir.join(name), &parcel.payload)?;
            }
            Ok::<_, std::io::Error>(())
        };
        if let Err(error) = write() {
            tracing::warn!(%error, "cannot keep a copy of a refused batch");
        }
    }

    /// Where sending from a lane starts.
    pub(crate) fn acknowledged(&self, lane: Lane) -> Seq {
        match self.disks.iter().find(|(l, _)| *l == lane) {
            Some((_, spool)) => spool.acknowledged(),
            None => self.memory.acknowledged(),
        }
    }

    /// The server has everything of a lane's epoch up to a number.
    pub(crate) fn acknowledge(&mut self, lane: Lane, epoch: Epoch, upto: Seq) {
        match self.disks.iter_mut().find(|(l, _)| *l == lane) {
            Some((_, spool)) => spool.acknowledge(epoch, upto),
            None => self.memory.acknowledge(upto),
        }
        self.acknowledgements = self.acknowledgements.wrapping_add(1);
        let done = self.acknowledged(lane);
        self.refused.retain(|(l, seq)| *l != lane || *seq > done);
    }

    /// Whether nothing waits in memory.
    pub(crate) fn memory_is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    /// Records waiting in all lanes, and the bytes of the spool's files.
    pub(crate) fn backlog(&self) -> (u64, u64) {
        self.disks.iter().fold((0, 0), |(records, bytes), (_, spool)| {
            let backlog = spool.backlog();
            (records + backlog.records, bytes + backlog.bytes)
        })
    }

    /// How many records wait, and a number that moves with every acknowledgement.
    pub(crate) fn position(&self) -> (u64, u64) {
        (self.backlog().0.saturating_add(self.memory.size().0), self.acknowledgements)
    }

    /// What waits behind a batch that is being sent: the rest of its lane, and what other lanes hold.
    pub(crate) fn waiting(&self, lane: Lane, sent: Seq) -> Waiting {
        let mut waiting = Waiting { bytes: self.backlog().1, ..Waiting::default() };
        for ((of, spool), ages) in self.disks.iter().zip(&self.ages) {
            let first = if *of == lane { sent } else { spool.acknowledged() }.next();
            let behind = (spool.last().0 + 1).saturating_sub(first.0);
            waiting.batches += behind;
            if behind > 0 {
                let oldest = ages.around(first);
                waiting.oldest = [waiting.oldest, oldest].into_iter().flatten().min();
            }
        }
        if lane != Lane::MEMORY {
            waiting.batches += self.memory.size().0;
        }
        waiting
    }

    /// For `status`.
    pub(crate) fn told(&mut self, now: Micros) -> Value {
        let lanes: Vec<_> = { self.disks.iter().zip(&mut self.ages) }
            .map(|((lane, spool), ages)| {
                let backlog = spool.backlog();
                let oldest = backlog.oldest.and_then(|seq| ages.of(seq));
                json!({
                    "lane": lane.number(),
                    "records": backlog.records,
                    "bytes": backlog.bytes,
                    "oldest_seconds": oldest.map(|at| now.0.saturating_sub(at.0).max(0) / 1_000_000),
                    "acknowledged": spool.acknowledged().0,
                    "last": spool.last().0,
                })
            })
            .collect();
        let (records, bytes) = self.memory.size();
        json!({
            "state": if self.failing.is_some() { "degraded" } else { "good" },
            "error": self.failure,
            "bytes": self.backlog().1,
            "budget": self.budget,
            "lanes": lanes,
            "memory": { "records": records, "bytes": bytes },
        })
    }

    /// Makes room within the budget; false when there is none and nothing may be dropped for it.
    fn make_room(&mut self, needed: u64) -> bool {
        while self.backlog().1.saturating_add(needed) > self.budget {
            if self.when_full == WhenFull::RefuseNewest {
                return false;
            }
            // old lanes first: what they hold is older than anything in the current one
            let lanes = self.disks.len();
            let dropped = (1..=lanes).find_map(|i| {
                let (_, spool) = &mut self.disks[(self.current + i) % lanes];
                // what may be in flight could have arrived; only what was surely not sent is given up
                let after = Seq(spool.acknowledged().0.saturating_add(IN_FLIGHT));
                spool.drop_oldest(after).ok().flatten()
            });
            match dropped {
                Some(dropped) => {
                    let Weights { events, others } = Weights::of(dropped.weight);
                    tracing::error!(events, others, "spool full, oldest rows dropped");
                }
                // the lane says itself whether it has room
                None => return true,
            }
        }
        true
    }

    fn failed(&mut self, error: &DiskError, now: Instant) {
        if self.failing.is_none() {
            tracing::error!(
                op = %error.op, path = %error.path.display(), error = %error.source,
                "the spool's disk fails; rows wait in memory"
            );
        }
        self.failing = Some(now + DISK_AGAIN);
        self.failure = Some(format!("cannot {} {}: {}", error.op, error.path.display(), error.source));
    }
}

/// Segments are small enough for a small budget to make room in steps.
fn segment_bytes(budget: u64) -> u64 {
    (8 << 20).min(budget / 8)
}

/// The lane with the smallest backlog.
fn emptiest(disks: &[(Lane, Spool<RealFs>)]) -> usize {
    (0..disks.len()).min_by_key(|i| disks[*i].1.backlog().records).unwrap_or(0)
}

/// What is sent in the place of records that are gone: the number of events that they held.
fn parcel_of(hole: Hole, now: Micros) -> Parcel {
    let (reason, detail) = (hole.reason(), hole.to_string());
    let Weights { events, others } = Weights::of(hole.weight);
    let losses = [(Kind::Events, events), (Kind::Flows, others)];
    loss_parcel(hole.epoch, hole.last, Stage::Spool, reason, &losses, &detail, now)
}

fn loss_parcel(
    epoch: Epoch,
    seq: Seq,
    stage: Stage,
    reason: Reason,
    lost: &[(Kind, u64)],
    detail: &str,
    now: Micros,
) -> Parcel {
    let mut losses = Losses::default();
    for (kind, count) in lost {
        losses.add_now(now, stage, reason, *kind, *count, detail);
    }
    let payload =
        encode(&losses.batch(), Compression::None).expect("a batch of losses made here can be encoded");
    Parcel { epoch, seq, kind: Kind::Losses, weight: losses.total(), payload }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn lanes(dir: &Path, when_full: WhenFull) -> Lanes {
        let mut epoch = 0;
        let epochs = || {
            epoch += 1;
            Epoch(epoch)
        };
        let settings = Settings {
            dir: dir.into(),
            spool_bytes: 1 << 20,
            memory_bytes: 0,
            sync: Duration::ZERO,
            when_full,
            ..Settings::new(crate::settings::Written::default()).unwrap()
        };
        Lanes::open(&settings, epochs, Instant::now()).unwrap()
    }

    #[test]
    fn a_full_spool_refuses_the_newest_if_it_should() {
        let dir = tempfile::tempdir().unwrap();
        let mut lanes = lanes(dir.path(), WhenFull::RefuseNewest);
        let mut kept = 0;
        let refused = loop {
            match lanes.append(Kind::Flows, 10, b"", &[7; 50_000], Instant::now()) {
                Kept::OnDisk => kept += 1,
                other => break other,
            }
        };
        assert_eq!(refused, Kept::Nowhere(Reason::SpoolFull));
        assert!((15..=20).contains(&kept), "{kept}");
        let first = lanes.next(Lane::DISK[lanes.current], Seq::ZERO, Micros(0)).unwrap().unwrap();
        assert_eq!((first.seq, first.kind, first.weight), (Seq(1), Kind::Flows, 10));
    }

    #[test]
    fn what_waits_is_what_is_behind_the_batch_that_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let mut lanes = lanes(dir.path(), WhenFull::DropOldest);
        for _ in 0..5 {
            assert_eq!(lanes.append(Kind::Events, 10, b"", &[7; 100], Instant::now()), Kept::OnDisk);
        }
        let lane = Lane::DISK[lanes.current];
        let waiting = lanes.waiting(lane, Seq(2));
        assert_eq!((waiting.batches, waiting.oldest.is_some()), (3, true));
        assert!(waiting.bytes > 500, "{waiting:?}");
        let last = lanes.waiting(lane, Seq(5));
        assert_eq!((last.batches, last.oldest), (0, None));
        let elsewhere = lanes.waiting(Lane::MEMORY, Seq(1));
        assert_eq!(elsewhere.batches, 5, "other lanes wait as a whole");
    }

    #[test]
    fn what_a_full_spool_drops_is_told_by_kind() {
        let dir = tempfile::tempdir().unwrap();
        let mut lanes = lanes(dir.path(), WhenFull::DropOldest);
        // so small that more of them have room than may be in flight
        for n in 0..1000 {
            let (kind, weight) = if n % 2 == 0 { (Kind::Events, 100) } else { (Kind::Flows, 7) };
            assert_eq!(lanes.append(kind, weight, b"", &[7; 4_000], Instant::now()), Kept::OnDisk);
            if n % 16 == 15 {
                lanes.sync(Instant::now());
            }
        }
        lanes.sync(Instant::now());
        let lane = Lane::DISK[lanes.current];
        let (mut at, mut read) = (Seq::ZERO, (0, 0));
        let mut hole = None;
        while let Some(parcel) = lanes.next(lane, at, Micros(0)).unwrap() {
            at = parcel.seq;
            match parcel.kind {
                Kind::Events => read.0 += parcel.weight,
                Kind::Flows => read.1 += parcel.weight,
                _ => hole = Some(parcel.weight),
            }
        }
        // the rows of flows that were lost are no events
        let lost = hole.expect("something was dropped");
        assert_eq!(read.0 + lost, 500 * 100);
        assert!(read.1 < 500 * 7 && lost > 0, "{read:?} {lost}");
    }
}
