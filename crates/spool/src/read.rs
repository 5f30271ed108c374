//! Reading: record by record, and a hole where records were lost.

use crate::error::{DiskError, Op};
use crate::fs::{Fs, FsFile};
use crate::layout::{self, SEGMENT_HEADER, SegmentKey};
use crate::scan::{self, Found, Window};
use crate::spool::Spool;
use bartizan_model::{Epoch, Kind, Reason, Seq};
use std::fmt;

/// Failed reads of one place, one after the other, after which what cannot be read there is given up as damage.
const PATIENCE: u32 = 3;
/// Payloads up to this many bytes are taken from the window instead of being read by themselves.
const SMALL: usize = 8 << 10;

/// What stands at a place of the lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(Record),
    /// Records that are lost.
    Hole(Hole),
}

impl Item {
    /// The life that wrote it; with [`Item::last`] the name of the batch that it is sent as.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Record(r) => r.epoch,
            Self::Hole(h) => h.epoch,
        }
    }

    /// Its (last) sequence number: where reading goes on.
    #[must_use]
    pub const fn last(&self) -> Seq {
        match self {
            Self::Record(r) => r.seq,
            Self::Hole(h) => h.last,
        }
    }

    /// Its weight, in events.
    #[must_use]
    pub const fn weight(&self) -> u64 {
        match self {
            Self::Record(r) => r.weight,
            Self::Hole(h) => h.weight,
        }
    }
}

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The life that wrote it.
    pub epoch: Epoch,
    /// Its number.
    pub seq: Seq,
    /// The table that it belongs to.
    pub kind: Kind,
    /// Events in it, or lost events that it reports.
    pub weight: u64,
    /// The caller's note.
    pub note: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A stretch of the lane whose records are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The life that wrote the first of them.
    pub epoch: Epoch,
    /// The first.
    pub first: Seq,
    /// The last: the number under which the hole is sent and acknowledged.
    pub last: Seq,
    /// The sum of their weights; 0 where a bad sector hid the newest records of a life, whose weight nothing tells.
    pub weight: u64,
    /// Why.
    pub cause: Cause,
}

impl Hole {
    /// The ledger's word for why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self.cause {
            Cause::Dropped => Reason::SpoolFull,
            Cause::Damaged => Reason::SpoolDamaged,
        }
    }
}

/// For the ledger's `detail`.
impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.cause {
            Cause::Dropped => "dropped to stay within the budget",
            Cause::Damaged => "damaged",
        };
        write!(f, "spool records {} to {} {what}", self.first.0, self.last.0)
    }
}

/// Why there is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// They were dropped to make room.
    Dropped,
    /// Their bytes are not what was written, or are not there.
    Damaged,
}

/// Where the next read goes on.
#[derive(Debug)]
pub(crate) struct Cursor<H> {
    key: SegmentKey,
    /// `None` for a segment that cannot be opened, which is then all hole.
    file: Option<H>,
    window: Window,
    at: u64,
    /// The sequence number that should stand at `at`.
    expected: u64,
    /// Cumulative weight before `expected`.
    before: u64,
}

impl<F: Fs> Spool<F> {
    /// The first record or hole after `after` and after what is acknowledged; `None` if nothing more is durable.
    ///
    /// A hole is to be sent as a batch that reports its weight as lost, under (`epoch`, `last`), and is read
    /// until it is acknowledged like a record. Reading on from [`Item::last`] needs no search.
    ///
    /// # Errors
    /// Those of the disk. The same place may be read again; what fails three times in a row is a hole then.
    pub fn read(&mut self, after: Seq) -> Result<Option<Item>, DiskError> {
        let start = after.0.max(self.acked).saturating_add(1);
        if start > self.durable {
            return Ok(None);
        }
        let lossy = self.read_failures >= PATIENCE;
        let item = self.read_at(start, lossy);
        match &item {
            Ok(_) => self.read_failures = 0,
            Err(_) => self.read_failures = self.read_failures.saturating_add(1),
        }
        debug_assert!(
            !matches!(&item, Ok(Some(i)) if i.last().0 < start || i.last().0 > self.durable),
            "SP-4: only what is durable is read"
        );
        item
    }

    fn read_at(&mut self, start: u64, lossy: bool) -> Result<Option<Item>, DiskError> {
        let kept = self.cursor.take();
        let mut cursor =
            match kept.filter(|c| c.expected == start && !lossy && self.index_of(c.key).is_some()) {
                Some(cursor) => cursor,
                None => {
                    // The last segment that begins at or before `start`.
                    let index = self.segments.partition_point(|s| s.key.first <= start).saturating_sub(1);
                    match self.enter(index, lossy)? {
                        Some(cursor) => cursor,
                        None => return Ok(None),
                    }
                }
            };
        let item = self.advance(&mut cursor, start)?;
        // A lossy window is for one place only.
        cursor.window.lossy = false;
        self.cursor = cursor.file.is_some().then_some(cursor);
        Ok(item)
    }

    /// A cursor at the beginning of the segment at `index`.
    fn enter(&mut self, index: usize, lossy: bool) -> Result<Option<Cursor<F::File>>, DiskError> {
        let Some(segment) = self.segments.get(index) else { return Ok(None) };
        let (key, expected) = (segment.key, segment.key.first);
        let before = key.before;
        let file = self.open_segment(index, lossy)?;
        Ok(Some(Cursor { key, file, window: Window::new(lossy), at: SEGMENT_HEADER, expected, before }))
    }

    /// The next item that ends at or after `start`.
    fn advance(&mut self, cursor: &mut Cursor<F::File>, start: u64) -> Result<Option<Item>, DiskError> {
        loop {
            let Some(index) = self.index_of(cursor.key) else { return Ok(None) };
            let (seq_end, limit) = self.end_of(index);
            if cursor.expected >= seq_end {
                match self.enter(index + 1, cursor.window.lossy)? {
                    Some(next) => *cursor = next,
                    None => return Ok(None),
                }
                continue;
            }
            let path = self.path(cursor.key);
            let found = match &cursor.file {
                None => None,
                Some(file) => {
                    let (seqs, epoch) = (cursor.expected..seq_end, cursor.key.epoch);
                    scan::find_record(file, &mut cursor.window, cursor.at, limit, epoch, &seqs)
                        .map_err(DiskError::wrap(Op::Read, &path))?
                }
            };
            let item = match found {
                Some(found) if found.head.seq == cursor.expected => {
                    cursor.at = found.at;
                    self.take(cursor, &found, limit, start)?
                }
                Some(found) => {
                    cursor.at = found.at;
                    Some(Item::Hole(self.hole(index, cursor, found.head.seq, found.head.before)))
                }
                None => {
                    let after = self.weight_before(index + 1);
                    cursor.at = limit.max(SEGMENT_HEADER);
                    Some(Item::Hole(self.hole(index, cursor, seq_end, after)))
                }
            };
            if let Some(item) = item.filter(|i| i.last().0 >= start) {
                return Ok(Some(item));
            }
        }
    }

    /// The hole from where the cursor is to `end`, where the cumulative weight is `after`; moves the cursor there.
    fn hole(&mut self, index: usize, cursor: &mut Cursor<F::File>, end: u64, after: u64) -> Hole {
        let segment = &mut self.segments[index];
        let dropped = segment.bytes == SEGMENT_HEADER && cursor.expected == cursor.key.first;
        segment.damaged |= !dropped;
        let hole = Hole {
            epoch: cursor.key.epoch,
            first: Seq(cursor.expected),
            last: Seq(end - 1),
            weight: layout::weight_between(cursor.before, after),
            cause: if dropped { Cause::Dropped } else { Cause::Damaged },
        };
        cursor.expected = end;
        cursor.before = after;
        hole
    }

    /// The record found at the cursor, or a hole if its payload is damaged, or nothing if it is not yet `start`.
    fn take(
        &mut self,
        cursor: &mut Cursor<F::File>,
        found: &Found,
        limit: u64,
        start: u64,
    ) -> Result<Option<Item>, DiskError> {
        let head = found.head;
        let path = self.path(cursor.key);
        let Some(file) = &cursor.file else { return Ok(None) };
        let mut record = None;
        if head.seq >= start {
            let front = cursor
                .window
                .get(file, found.at, head.head_len() as usize, limit)
                .map_err(DiskError::wrap(Op::Read, &path))?;
            let note =
                front.get(layout::RECORD_HEADER..head.head_len() as usize).unwrap_or_default().to_vec();
            let payload = read_payload(file, &mut cursor.window, found, limit)
                .map_err(DiskError::wrap(Op::Read, &path))?;
            record = payload.map(|payload| Record {
                epoch: head.epoch,
                seq: head.seq(),
                kind: head.kind,
                weight: head.weight,
                note,
                payload,
            });
        }
        cursor.at = found.at + head.len();
        if head.seq >= start && record.is_none() {
            let index = self.index_of(cursor.key).unwrap_or_default();
            cursor.before = head.before;
            return Ok(Some(Item::Hole(self.hole(index, cursor, head.seq + 1, head.after()))));
        }
        cursor.expected = head.seq + 1;
        cursor.before = head.after();
        Ok(record.map(Item::Record))
    }
}

/// The payload, if it is in the file as it was written. Its length is within [`layout::MAX_PAYLOAD`].
fn read_payload(
    file: &impl FsFile,
    window: &mut Window,
    found: &Found,
    limit: u64,
) -> std::io::Result<Option<Vec<u8>>> {
    let (at, len) = (found.at + found.head.head_len(), found.head.payload_len);
    if at + len as u64 > limit {
        return Ok(None);
    }
    let payload = if len <= SMALL {
        let bytes = window.get(file, at, len, limit)?;
        bytes.get(..len).map(<[u8]>::to_vec)
    } else {
        let mut payload = vec![0; len];
        (window.fill(file, at, &mut payload)? == len).then_some(payload)
    };
    Ok(payload.filter(|p| crc32c::crc32c(p) == found.head.payload_crc))
}
