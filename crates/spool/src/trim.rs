//! Making room: removing what is acknowledged, dropping the oldest, keeping damaged segments for a while.

use crate::error::{DiskError, Op};
use crate::fs::{Access, Entry, Fs, FsFile};
use crate::layout::{self, SEGMENT_HEADER, SegmentKey};
use crate::spool::{Config, Spool};
use bartizan_model::{Epoch, Seq};
use std::collections::VecDeque;

/// What was dropped to make room. It is for the log: [`Spool::read`] gives a [`Hole`](crate::Hole) for it, which
/// is what is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The first record.
    pub first: Seq,
    /// The last record.
    pub last: Seq,
    /// The sum of their weights.
    pub weight: u64,
}

/// Copies of damaged segments, oldest first: the segments themselves, renamed when their time has come.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    files: VecDeque<(String, u64)>,
}

impl Quarantine {
    const SUFFIX: &str = ".bad";
    const MOST: usize = 4;

    /// Whether a file is one of these; if so it is taken in.
    pub(crate) fn admit(&mut self, entry: &Entry) -> bool {
        let ours = entry.name.strip_suffix(Self::SUFFIX).and_then(SegmentKey::parse).is_some();
        if ours {
            self.files.push_back((entry.name.clone(), entry.len));
            self.files.make_contiguous().sort();
        }
        ours
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, (_, len)| sum.saturating_add(*len))
    }

    /// A file to remove so that one of `len` bytes may come in.
    fn excess(&self, config: &Config, len: u64) -> Option<&str> {
        let over =
            self.files.len() >= Self::MOST || self.bytes().saturating_add(len) > config.budget_bytes / 8;
        self.files.front().filter(|_| over).map(|(name, _)| name.as_str())
    }
}

impl<F: Fs> Spool<F> {
    /// Notes that the server has committed everything of `epoch` up to `upto`, and everything before that, and
    /// removes the segments that hold nothing else. An epoch or number that is not known here changes nothing,
    /// or as much as is known.
    pub fn acknowledge(&mut self, epoch: Epoch, upto: Seq) {
        let Some(known) = self.place_of(epoch, upto) else { return };
        if known <= self.acked {
            return;
        }
        self.acked = known;
        self.hint.write(&self.fs, &self.config.dir, epoch, upto);
        self.remove_acknowledged();
        debug_assert_eq!(self.check(), Ok(()));
    }

    /// How far an acknowledgement reaches in this lane; `None` if its epoch has no segment here.
    pub(crate) fn place_of(&self, epoch: Epoch, upto: Seq) -> Option<u64> {
        let index = self.segments.iter().rposition(|s| s.key.epoch == epoch)?;
        let (end, _) = self.end_of(index);
        Some(upto.0.min(end - 1).min(self.durable))
    }

    /// Removes every segment in front that holds only acknowledged records. The one with the newest durable
    /// record stays (SP-6), and so does the last one.
    pub(crate) fn remove_acknowledged(&mut self) {
        while self.segments.len() > 1
            && self.segments[1].key.first <= self.acked + 1
            && Some(self.segments[0].key) != self.anchor
        {
            if let Err(error) = self.remove_segment(0) {
                // It stays in the list and the next acknowledgement tries again.
                tracing::warn!(error = %error.source, path = %error.path.display(), op = %error.op, "segment not removed");
                return;
            }
        }
    }

    /// Drops the oldest segment of which surely nothing was sent: all of its records are after `after`. `None` if
    /// there is none: the segments that are written to, partly acknowledged or last are never dropped.
    ///
    /// After a restart `after` has to cover what an earlier life may have sent without an answer, or that is
    /// counted as lost although the server has it: the records that may be in flight at a time.
    ///
    /// # Errors
    /// Those of the disk; nothing was dropped then.
    pub fn drop_oldest(&mut self, after: Seq) -> Result<Option<Dropped>, DiskError> {
        let after = after.0.max(self.acked);
        let droppable = |i: usize| {
            let s = &self.segments[i];
            s.key.first > after
                && Some(s.key) != self.anchor
                && s.bytes > SEGMENT_HEADER
                && (s.key.first + 1..=self.durable + 1).contains(&self.segments[i + 1].key.first)
        };
        let last = self.segments.len().saturating_sub(1);
        let Some(mut index) = (0..last).find(|&i| droppable(i)) else { return Ok(None) };
        // Its empty namesakes go first: once it is cut, nothing would tell which of them the hole belongs to.
        let first = self.segments[index].key.first;
        let empty = self.segments.partition_point(|s| s.key.first < first);
        if empty < index {
            for _ in empty..index {
                self.remove_segment(empty)?;
            }
            self.fs.sync_dir(&self.config.dir).map_err(DiskError::wrap(Op::SyncDir, &self.config.dir))?;
            index = empty;
        }
        let weight = layout::weight_between(self.weight_before(index), self.weight_before(index + 1));
        let key = self.segments[index].key;
        let dropped =
            Dropped { first: Seq(key.first), last: Seq(self.segments[index + 1].key.first - 1), weight };
        self.cursor = None;

        // What remains of a run of dropped segments is the header of the first: with the next segment its name
        // says which records are gone and what they weighed. It was not read yet, so it may still grow.
        let joins = index
            .checked_sub(1)
            .map(|i| &self.segments[i])
            .is_some_and(|s| s.bytes == SEGMENT_HEADER && s.key.first > after && s.key.epoch == key.epoch);
        if joins {
            self.remove_segment(index)?;
        } else {
            self.cut_to_header(index)?;
        }
        Ok(Some(dropped))
    }

    fn cut_to_header(&mut self, index: usize) -> Result<(), DiskError> {
        let key = self.segments[index].key;
        let path = self.path(key);
        let file = self.fs.open(&path, Access::Write).map_err(DiskError::wrap(Op::Open, &path))?;
        file.set_len(SEGMENT_HEADER).map_err(DiskError::wrap(Op::Truncate, &path))?;
        let segment = &mut self.segments[index];
        self.segment_bytes_total -= segment.bytes - SEGMENT_HEADER;
        segment.bytes = SEGMENT_HEADER;
        segment.damaged = false;
        Ok(())
    }

    fn remove_segment(&mut self, index: usize) -> Result<(), DiskError> {
        let segment = &self.segments[index];
        let (key, bytes, damaged) = (segment.key, segment.bytes, segment.damaged);
        let path = self.path(key);
        // A power cut may bring back removed names in any choice. Within an epoch that is harmless: the server has
        // its high-water mark. But a hole may not reach over a whole epoch, whose mark it would not be held to.
        if self.removed_epoch.is_some_and(|epoch| epoch != key.epoch) {
            self.fs.sync_dir(&self.config.dir).map_err(DiskError::wrap(Op::SyncDir, &self.config.dir))?;
        }
        self.removed_epoch = Some(key.epoch);
        if damaged && bytes <= self.config.budget_bytes / 8 {
            while let Some(name) = self.quarantine.excess(&self.config, bytes) {
                let old = self.config.dir.join(name);
                self.remove_file(&old)?;
                self.quarantine.files.pop_front();
            }
            let name = key.file_name() + Quarantine::SUFFIX;
            let to = self.config.dir.join(&name);
            self.fs.rename(&path, &to).map_err(DiskError::wrap(Op::Rename, &path))?;
            self.quarantine.files.push_back((name, bytes));
        } else {
            self.remove_file(&path)?;
        }
        self.segments.remove(index);
        self.segment_bytes_total -= bytes;
        Ok(())
    }

    fn remove_file(&self, path: &std::path::Path) -> Result<(), DiskError> {
        match self.fs.remove(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(DiskError::wrap(Op::Remove, path)(e)),
            _ => Ok(()),
        }
    }
}
