//! The spool's state, and what can be asked of it without touching the disk.

use crate::error::{DiskError, Op, SpoolError};
use crate::fs::{Access, Fs};
use crate::hint::Hint;
use crate::layout::{SEGMENT_HEADER, SEQ_LIMIT, SegmentKey};
use crate::read::Cursor;
use crate::trim::Quarantine;
use bartizan_model::{Epoch, Kind, Seq};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The sizes and times of a spool.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its directory, of which it owns every file that has its form of name. Made if it is not there.
    pub dir: PathBuf,
    /// Bytes after which a new segment is begun. Room is made by whole segments.
    pub segment_bytes: u64,
    /// Bytes that the directory's files may take; at least four segments.
    pub budget_bytes: u64,
    /// Bytes appended after which they are made durable without being asked.
    pub sync_bytes: u64,
    /// How long an appended record may wait to be made durable: what a power cut may cost.
    pub sync_interval: Duration,
}

impl Config {
    /// Segments of 8 MiB, durable within 200 ms or 1 MiB.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, budget_bytes: u64) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 8 << 20,
            budget_bytes,
            sync_bytes: 1 << 20,
            sync_interval: Duration::from_millis(200),
        }
    }
}

/// What a record says beside its payload.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The table that the payload belongs to.
    pub kind: Kind,
    /// Events in the record, or lost events that it reports: what its loss would cost.
    pub weight: u64,
    /// The caller's own state as of this record, at most [`MAX_NOTE`](crate::MAX_NOTE) bytes; the newest one
    /// is given back after a restart.
    pub note: &'a [u8],
}

/// What is waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records appended and not acknowledged. A hole counts as the records that it replaces.
    pub records: u64,
    /// Bytes of all files of the spool.
    pub bytes: u64,
    /// The oldest record that is not acknowledged, if there is one.
    pub oldest: Option<Seq>,
}

/// One segment file, oldest first in the list.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) key: SegmentKey,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Whether damage was met in it: kept in quarantine instead of removed.
    pub(crate) damaged: bool,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active<H> {
    pub(crate) file: H,
    /// Bytes written.
    pub(crate) len: u64,
    /// Bytes of it known to be durable.
    pub(crate) durable_len: u64,
    /// Whether its name in the directory is not known to be durable.
    pub(crate) unnamed: bool,
}

/// The durable queue; see the crate's documentation.
pub struct Spool<F: Fs> {
    pub(crate) fs: F,
    pub(crate) config: Config,
    pub(crate) epoch: Epoch,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) segment_bytes_total: u64,
    pub(crate) quarantine: Quarantine,
    pub(crate) hint: Hint<F::File>,

    /// The last segment in the list, while it is ours and sound.
    pub(crate) active: Option<Active<F::File>>,
    /// The active segment can no longer be trusted: what is pending goes to a new one.
    pub(crate) broken: bool,
    /// Stretches of an earlier life's last segment that may not be on the disk yet; see `harden`.
    pub(crate) unproven: Option<Unproven>,
    pub(crate) next_seq: u64,
    /// Cumulative weight of all records before `next_seq`.
    pub(crate) weight: u64,
    pub(crate) durable: u64,
    pub(crate) durable_weight: u64,
    /// The bytes of all records after `durable`, to be written again if the disk fails.
    pub(crate) pending: Vec<u8>,
    pub(crate) pending_since: Option<Instant>,
    pub(crate) last_attempt: Instant,
    pub(crate) last_note: Option<Vec<u8>>,
    /// The segment of the newest durable record, which is never removed.
    pub(crate) anchor: Option<SegmentKey>,

    pub(crate) acked: u64,
    /// The epoch of segments that were removed, which may come back after a power cut.
    pub(crate) removed_epoch: Option<Epoch>,
    pub(crate) cursor: Option<Cursor<F::File>>,
    pub(crate) read_failures: u32,
    /// Last field: the directory is let go after everything else.
    pub(crate) _lock: F::Lock,
}

/// What an earlier life left at its end.
#[derive(Debug)]
pub(crate) struct Unproven {
    /// Its segments and the stretches of them that hold whole records.
    pub(crate) segments: Vec<(SegmentKey, Vec<std::ops::Range<u64>>)>,
}

impl<F: Fs> Spool<F> {
    /// The epoch of the records appended in this life.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest record that survives a power cut.
    #[must_use]
    pub const fn durable(&self) -> Seq {
        Seq(self.durable)
    }

    /// The newest record appended.
    #[must_use]
    pub const fn last(&self) -> Seq {
        Seq(self.next_seq - 1)
    }

    /// Up to where everything is acknowledged: reading starts here.
    #[must_use]
    pub const fn acknowledged(&self) -> Seq {
        Seq(self.acked)
    }

    /// The note of the newest record, of this life or an earlier one, acknowledged or not.
    #[must_use]
    pub fn last_note(&self) -> Option<&[u8]> {
        self.last_note.as_deref()
    }

    /// What is waiting.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let records = self.last().0.saturating_sub(self.acked);
        Backlog { records, bytes: self.bytes(), oldest: (records > 0).then(|| Seq(self.acked + 1)) }
    }

    /// When [`Spool::sync`] should be called next; `None` while there is nothing to make durable.
    #[must_use]
    pub fn sync_due(&self) -> Option<Instant> {
        if self.broken || self.unproven.is_some() {
            // After a failure: again, but not at once.
            let waits = self.unproven.is_some() || !self.pending.is_empty();
            return waits
                .then(|| self.last_attempt + self.config.sync_interval.max(Duration::from_millis(100)));
        }
        self.pending_since.map(|since| since + self.config.sync_interval)
    }

    /// Whether the last attempt to write failed: appends will try again, and fail until the disk recovers.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        self.broken || self.unproven.is_some()
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.segment_bytes_total.saturating_add(self.quarantine.bytes())
    }

    pub(crate) fn path(&self, key: SegmentKey) -> PathBuf {
        self.config.dir.join(key.file_name())
    }

    /// Where a segment is in the list.
    pub(crate) fn index_of(&self, key: SegmentKey) -> Option<usize> {
        let from = self.segments.partition_point(|s| s.key.first < key.first);
        let mut same = self.segments.range(from..).take_while(|s| s.key.first == key.first);
        same.position(|s| s.key == key).map(|offset| from + offset)
    }

    /// One past the last sequence number of a segment, and the bytes of it that may be read.
    pub(crate) fn end_of(&self, index: usize) -> (u64, u64) {
        let bytes = match &self.active {
            Some(active) if index + 1 == self.segments.len() => active.durable_len,
            _ => self.segments[index].bytes,
        };
        let end = self.segments.get(index + 1).map_or(self.durable + 1, |next| next.key.first);
        (end.min(self.durable + 1), bytes)
    }

    /// Cumulative weight before the segment at `index`, or of all that is durable if there is none there.
    pub(crate) fn weight_before(&self, index: usize) -> u64 {
        self.segments.get(index).map_or(self.durable_weight, |s| s.key.before)
    }

    /// Opens a segment for reading; a lossy reader takes one that cannot be opened for an empty one.
    pub(crate) fn open_segment(&self, index: usize, lossy: bool) -> Result<Option<F::File>, DiskError> {
        let path = self.path(self.segments[index].key);
        match self.fs.open(&path, Access::Read) {
            Ok(file) => Ok(Some(file)),
            Err(_) if lossy => Ok(None),
            Err(e) => Err(DiskError::wrap(Op::Open, &path)(e)),
        }
    }

    /// Other sizes and times from now on; what they do not allow together stays as it was. More than
    /// `budget_bytes` may be there already: then nothing is taken until the oldest were dropped.
    pub fn set_limits(&mut self, budget_bytes: u64, segment_bytes: u64, sync_interval: Duration) {
        let config = Config { budget_bytes, segment_bytes, sync_interval, ..self.config.clone() };
        match config.check() {
            Ok(()) => self.config = config,
            Err(error) => tracing::warn!(%error, "the spool's limits stay"),
        }
    }

    /// The rules that hold between calls, by their names in the crate's documentation.
    ///
    /// # Errors
    /// The first one that does not hold.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        let rule = |holds: bool, text: &str| if holds { Ok(()) } else { Err(format!("{text}: {self:?}")) };
        rule(self.durable < self.next_seq && self.acked <= self.durable, "SP-4: acked <= durable <= last")?;
        rule(self.next_seq <= SEQ_LIMIT, "SP-8: sequence numbers stay below their limit")?;
        let ordered = self.segments.iter().zip(self.segments.iter().skip(1));
        rule({ ordered }.all(|(a, b)| a.key.first <= b.key.first), "SP-2: segments are in order")?;
        rule(
            self.anchor.is_none_or(|a| self.segments.iter().any(|s| s.key == a)),
            "SP-6: the newest durable record is there",
        )?;
        rule(
            self.segment_bytes_total == self.segments.iter().map(|s| s.bytes).sum::<u64>(),
            "SP-8: bytes are those of the segments",
        )?;
        rule(
            self.active.is_none() || self.segments.back().is_some_and(|s| s.key.epoch == self.epoch),
            "SP-3: only segments of this life are written to",
        )?;
        let undurable = self.next_seq - 1 - self.durable;
        rule(self.unproven.is_some() || (undurable == 0) == self.pending.is_empty(), "SP-7: pending is kept")
    }
}

impl Config {
    pub(crate) const fn check(&self) -> Result<(), SpoolError> {
        match self.segment_bytes.checked_mul(4) {
            Some(least) if least <= self.budget_bytes && self.segment_bytes > SEGMENT_HEADER => Ok(()),
            _ => Err(SpoolError::Budget { budget: self.budget_bytes, segment: self.segment_bytes }),
        }
    }
}

impl<F: Fs> std::fmt::Debug for Spool<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("dir", &self.config.dir)
            .field("epoch", &self.epoch)
            .field("segments", &self.segments)
            .field("acked", &self.acked)
            .field("durable", &self.durable)
            .field("next_seq", &self.next_seq)
            .field("pending", &self.pending.len())
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
