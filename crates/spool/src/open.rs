//! Opening: from whatever a crash, a power cut, a bad disk or a stranger left, without a hand.
//!
//! Only names and sizes of the segments are looked at, and the last segment that holds a record is scanned in
//! full. Nothing is removed and nothing is cut here: this life writes to new segments only.

use crate::error::{DiskError, Op, SpoolError};
use crate::fs::{Access, Entry, Fs, FsFile};
use crate::hint::{HINT_NAME, Hint};
use crate::layout::{self, RECORD_HEADER, SEGMENT_HEADER, SEQ_LIMIT, SegmentKey};
use crate::scan::{self, Window};
use crate::spool::{Config, Segment, Spool, Unproven};
use crate::trim::Quarantine;
use bartizan_model::{Epoch, Seq};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::time::Instant;

/// Names of foreign files that are kept for the report.
const FOREIGN_NAMED: usize = 8;
/// `EIO`: the one error of a file that waiting does not cure.
const EIO: i32 = 5;

/// What was found at opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segment files.
    pub segments: usize,
    /// Up to where the last life is known to have been acknowledged.
    pub acknowledged: Seq,
    /// The newest record of earlier lives.
    pub last: Seq,
    /// Bytes scanned.
    pub scanned_bytes: u64,
    /// Bytes at the very end that belong to no record with a whole header: an append that was cut off, or
    /// damage. They were never acknowledged as durable, or they are damaged beyond counting; the note that was
    /// given back is older than they are, so what they reported can be found out again from it.
    pub tail_bytes: u64,
    /// Whether what was found is durable. If not, it is read only after a [`Spool::sync`] that succeeds.
    pub durable: bool,
    /// Files that are not ours, which are left alone.
    pub foreign_files: usize,
    /// The names of the first few of them.
    pub foreign_names: Vec<String>,
}

impl<F: Fs> Spool<F> {
    /// Opens the spool in `config.dir`, which is made if it is not there.
    ///
    /// `fresh_epoch` names the records of this life. It must never have been used and must be random: it is also
    /// what a payload would have to guess to be taken for a record. It is used up only if something is appended.
    ///
    /// # Errors
    /// Another process has it open, the sizes do not fit, or the directory cannot be read. Never the content.
    pub fn open(
        config: Config,
        fs: F,
        fresh_epoch: Epoch,
        now: Instant,
    ) -> Result<(Self, Recovery), SpoolError> {
        config.check()?;
        let dir = &config.dir;
        fs.create_dir(dir).map_err(DiskError::wrap(Op::CreateDir, dir))?;
        let lock = fs.lock_dir(dir).map_err(DiskError::wrap(Op::Lock, dir))?;
        let lock = lock.ok_or_else(|| SpoolError::Locked { dir: dir.clone() })?;
        let (segments, quarantine, mut recovery) =
            sort_out(fs.list(dir).map_err(DiskError::wrap(Op::List, dir))?);
        if segments.iter().any(|s| s.key.epoch == fresh_epoch) {
            return Err(SpoolError::EpochUsed { epoch: fresh_epoch, dir: dir.clone() });
        }
        let mut spool = Self {
            fs,
            epoch: fresh_epoch,
            segment_bytes_total: segments.iter().map(|s| s.bytes).sum(),
            segments,
            quarantine,
            hint: Hint::new(),
            active: None,
            broken: false,
            unproven: None,
            next_seq: 1,
            weight: 0,
            durable: 0,
            durable_weight: 0,
            pending: Vec::new(),
            pending_since: None,
            last_attempt: now,
            last_note: None,
            anchor: None,
            acked: 0,
            removed_epoch: None,
            cursor: None,
            read_failures: 0,
            config,
            _lock: lock,
        };
        spool.order_namesakes();
        spool.find_end(&mut recovery)?;
        if let Err(error) = spool.harden() {
            tracing::warn!(error = %error.source, path = %error.path.display(), op = %error.op, "spool not durable yet");
        }
        spool.acked = spool.segments.front().map_or(spool.durable, |s| s.key.first - 1).min(spool.durable);
        if let Some((epoch, seq)) = Hint::read(&spool.fs, &spool.config.dir)
            && let Some(known) = spool.place_of(epoch, seq)
        {
            spool.acked = spool.acked.max(known);
            spool.remove_acknowledged();
        }
        recovery.acknowledged = spool.acknowledged();
        recovery.last = spool.last();
        recovery.durable = spool.unproven.is_none();
        debug_assert_eq!(spool.check(), Ok(()));
        Ok((spool, recovery))
    }

    /// Of segments that begin at one number all but one hold no record, because their lives ended before anything
    /// of them was durable. They go before the one that does, where they are empty stretches.
    fn order_namesakes(&mut self) {
        let firsts = self.segments.iter().zip(self.segments.iter().skip(1));
        let shared: Vec<u64> =
            { firsts }.filter(|(a, b)| a.key.first == b.key.first).map(|(a, _)| a.key.first).collect();
        let mut segments: Vec<_> = self.segments.drain(..).collect();
        segments.sort_by_cached_key(|s| {
            let first = s.key.first;
            (
                first,
                shared.binary_search(&first).is_ok() && holds_record(&self.fs, &self.config, s),
                s.key.epoch,
            )
        });
        self.segments = segments.into();
    }

    /// Finds the newest record and what follows from it: the next number, the weight and the note.
    fn find_end(&mut self, recovery: &mut Recovery) -> Result<(), SpoolError> {
        let mut scanned = Vec::new();
        for index in (0..self.segments.len()).rev() {
            let segment = &self.segments[index];
            let (key, bytes) = (segment.key, segment.bytes);
            let path = self.path(key);
            // What reaches into the next segment was given up when that was begun.
            let end = self.segments.get(index + 1).map_or(SEQ_LIMIT - 1, |next| next.key.first);
            let scan = match self.fs.open(&path, Access::Read) {
                Ok(file) => scan_segment(&file, key, bytes, end).map_err(DiskError::wrap(Op::Read, &path))?,
                Err(e) if e.raw_os_error() == Some(EIO) => Scan { unreadable: true, ..Scan::default() },
                Err(e) => return Err(DiskError::wrap(Op::Open, &path)(e).into()),
            };
            recovery.scanned_bytes += bytes;
            recovery.tail_bytes += bytes.saturating_sub(scan.end);
            self.segments[index].damaged = scan.damaged;
            if scan.unreadable {
                // There may be records that will be readable another time: stay above them.
                let most = bytes / RECORD_HEADER as u64 + 1;
                self.next_seq = self.next_seq.max(key.first.saturating_add(most).min(SEQ_LIMIT - 1));
            }
            let found = scan.last.is_some();
            scanned.push((key, scan));
            if found {
                break;
            }
        }
        // Oldest first: the segment with the newest record, then those that hold none.
        scanned.reverse();
        let Some((oldest, _)) = scanned.first() else { return Ok(()) };
        self.durable = oldest.first - 1;
        self.durable_weight = oldest.before;
        for (key, scan) in &mut scanned {
            self.next_seq = self.next_seq.max(key.first);
            self.weight = key.before;
            if let Some(last) = scan.last.take() {
                self.next_seq = self.next_seq.max(last.seq.saturating_add(1).min(SEQ_LIMIT));
                self.weight = last.after;
                self.last_note = Some(last.note);
                self.anchor = Some(*key);
            }
        }
        let segments = scanned.into_iter().map(|(key, scan)| (key, scan.whole)).collect();
        self.unproven = Some(Unproven { segments });
        Ok(())
    }
}

/// Tells segments, quarantine and strangers apart by their names.
fn sort_out(entries: Vec<Entry>) -> (VecDeque<Segment>, Quarantine, Recovery) {
    let (mut segments, mut quarantine, mut recovery) =
        (Vec::new(), Quarantine::default(), Recovery::default());
    for entry in entries {
        match SegmentKey::parse(&entry.name).filter(|_| entry.is_file) {
            Some(key) => segments.push(Segment { key, bytes: entry.len, damaged: false }),
            None if entry.is_file && (entry.name == HINT_NAME || quarantine.admit(&entry)) => {}
            None => {
                recovery.foreign_files += 1;
                recovery.foreign_names.push(entry.name);
            }
        }
    }
    segments.sort_by_key(|s| s.key);
    recovery.segments = segments.len();
    recovery.foreign_names.sort();
    recovery.foreign_names.truncate(FOREIGN_NAMED);
    (segments.into(), quarantine, recovery)
}

fn holds_record<F: Fs>(fs: &F, config: &Config, segment: &Segment) -> bool {
    let key = segment.key;
    let Ok(file) = fs.open(&config.dir.join(key.file_name()), Access::Read) else { return false };
    let mut window = Window::new(true);
    let seqs = key.first..SEQ_LIMIT - 1;
    scan::find_record(&file, &mut window, SEGMENT_HEADER, segment.bytes, key.epoch, &seqs)
        .is_ok_and(|found| found.is_some())
}

/// What one segment holds.
#[derive(Default)]
struct Scan {
    last: Option<Last>,
    /// The stretches that are as they were written.
    whole: Vec<Range<u64>>,
    /// Where the last record ends.
    end: u64,
    damaged: bool,
    /// Whether the disk gave errors.
    unreadable: bool,
}

/// The newest record of a segment.
struct Last {
    seq: u64,
    after: u64,
    note: Vec<u8>,
}

fn scan_segment(file: &impl FsFile, key: SegmentKey, bytes: u64, end: u64) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut window = Window::new(true);
    let header = window.get(file, 0, SEGMENT_HEADER as usize, bytes)?;
    if header.starts_with(&layout::encode_segment_header(key)) {
        scan.keep(0..SEGMENT_HEADER);
        scan.end = SEGMENT_HEADER;
    }
    scan.damaged = scan.end == 0 && bytes > 0;
    let (mut at, mut next) = (SEGMENT_HEADER, key.first);
    while let Some(found) = scan::find_record(file, &mut window, at, bytes, key.epoch, &(next..end))? {
        let head = found.head;
        let front = window.get(file, found.at, head.head_len() as usize, bytes)?;
        let note = front.get(RECORD_HEADER..head.head_len() as usize).unwrap_or_default().to_vec();
        let payload_whole = window.payload_is_whole(file, &found, bytes)?;
        scan.keep(found.at..found.at + if payload_whole { head.len() } else { head.head_len() });
        scan.damaged |= found.at != at || !payload_whole;
        // A record whose header is whole counts even if its payload is lost: it is a hole of known weight, and
        // its note agrees with the weights.
        scan.last = Some(Last { seq: head.seq, after: head.after(), note });
        (at, next) = (found.at + head.len(), head.seq + 1);
        scan.end = at;
    }
    scan.damaged |= scan.end < bytes;
    scan.unreadable = window.gave_up;
    Ok(scan)
}

impl Scan {
    fn keep(&mut self, range: Range<u64>) {
        match self.whole.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.whole.push(range),
        }
    }
}
