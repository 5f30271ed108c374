//! Writing: append, group commit, and starting over in a new segment when the disk fails.
//!
//! A failed sync leaves pages that the kernel calls clean and that are not on the disk; a second sync of the same
//! file would succeed and prove nothing (fsyncgate). So after any failure the segment is given up at its last
//! durable byte, and what was pending is written again, from memory, to a new one.

use crate::error::{AppendError, DiskError, Op};
use crate::fs::{Access, Fs, FsFile};
use crate::layout::{self, MAX_NOTE, MAX_PAYLOAD, RecordHead, SEGMENT_HEADER, SEQ_LIMIT, SegmentKey};
use crate::spool::{Active, Head, Segment, Spool};
use bartizan_model::Seq;
use std::io;
use std::time::Instant;

impl<F: Fs> Spool<F> {
    /// Takes a record. It is durable, and readable, once [`Spool::durable`] has reached its number: after the
    /// next [`Spool::sync`], or at once when `sync_bytes` are pending.
    ///
    /// # Errors
    /// The record was not taken and nothing has changed; [`AppendError`] says whether trying again can help.
    pub fn append(&mut self, head: Head<'_>, payload: &[u8], now: Instant) -> Result<Seq, AppendError> {
        let len = (layout::RECORD_HEADER + head.note.len().saturating_add(payload.len())) as u64;
        if payload.len() > MAX_PAYLOAD || head.note.len() > MAX_NOTE || len > self.config.budget_bytes / 4 {
            return Err(AppendError::TooLarge { payload: payload.len(), note: head.note.len() });
        }
        if self.next_seq + 1 >= SEQ_LIMIT {
            return Err(AppendError::Exhausted);
        }
        // Nothing is taken while the disk fails or too much is pending: memory stays bounded (SP-7).
        if self.unproven.is_some() || self.broken || self.pending.len() as u64 >= self.config.sync_bytes {
            self.sync(now)?;
        }
        let rotate = self
            .active
            .as_ref()
            .is_none_or(|a| a.len > SEGMENT_HEADER && a.len.saturating_add(len) > self.config.segment_bytes);
        let needed = len + if rotate { SEGMENT_HEADER } else { 0 };
        let free = self.config.budget_bytes.saturating_sub(self.bytes());
        if needed > free {
            return Err(AppendError::Full { needed, free });
        }
        if rotate {
            // A segment is left only when it is durable: every segment but the last one is.
            self.sync(now)?;
            self.start_segment()?;
        }
        let record = RecordHead {
            epoch: self.epoch,
            seq: self.next_seq,
            before: self.weight,
            weight: head.weight,
            kind: head.kind,
            note_len: head.note.len(),
            payload_len: payload.len(),
            payload_crc: crc32c::crc32c(payload),
        };
        self.write_record(&record, head.note, payload)?;
        self.next_seq += 1;
        self.weight = record.after();
        self.last_note.get_or_insert_default().clear();
        self.last_note.get_or_insert_default().extend_from_slice(head.note);
        self.pending_since.get_or_insert(now);
        if (self.pending.len() as u64 >= self.config.sync_bytes || self.config.sync_interval.is_zero())
            && let Err(error) = self.sync(now)
        {
            // The record is taken and kept in memory; the next call tries again and reports.
            tracing::warn!(error = %error.source, path = %error.path.display(), op = %error.op, "spool not durable");
        }
        debug_assert_eq!(self.check(), Ok(()));
        Ok(record.seq())
    }

    /// Makes everything appended durable, and so readable.
    ///
    /// # Errors
    /// Nothing is lost: what is pending stays in memory and goes to a new segment with the next call, which
    /// [`Spool::sync_due`] asks for.
    pub fn sync(&mut self, now: Instant) -> Result<(), DiskError> {
        self.last_attempt = now;
        self.harden()?;
        if self.broken {
            self.start_over()?;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let Some(active) = &mut self.active else {
            debug_assert!(false, "SP-7: pending records without a segment");
            return Ok(());
        };
        let key = self.segments.back().expect("the active segment is in the list").key;
        let synced = active.file.sync().map_err(|e| (Op::Sync, e)).and_then(|()| {
            if active.unnamed {
                self.fs.sync_dir(&self.config.dir).map_err(|e| (Op::SyncDir, e))
            } else {
                Ok(())
            }
        });
        if let Err((op, source)) = synced {
            self.broken = true;
            let path = if op == Op::Sync { self.path(key) } else { self.config.dir.clone() };
            return Err(DiskError { op, path, source });
        }
        active.unnamed = false;
        active.durable_len = active.len;
        self.durable = self.next_seq - 1;
        self.durable_weight = self.weight;
        self.anchor = Some(key);
        self.pending.clear();
        self.pending
            .shrink_to(usize::try_from(self.config.sync_bytes.saturating_mul(2)).unwrap_or(usize::MAX));
        self.pending_since = None;
        debug_assert_eq!(self.check(), Ok(()));
        Ok(())
    }

    /// Makes the last segment of an earlier life durable. Its pages may be clean without being on the disk, if
    /// that life ended after a failed sync: so what is whole is written again in place, which marks it dirty.
    pub(crate) fn harden(&mut self) -> Result<(), DiskError> {
        let Some(unproven) = &self.unproven else { return Ok(()) };
        let mut buf = vec![0; 256 << 10];
        for (key, ranges) in unproven.segments.iter().filter(|(_, ranges)| !ranges.is_empty()) {
            let path = self.path(*key);
            let file = self.fs.open(&path, Access::Write).map_err(DiskError::wrap(Op::Open, &path))?;
            for range in ranges {
                let mut at = range.start;
                while at < range.end {
                    let want = buf.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
                    let n = file.read_at(&mut buf[..want], at).map_err(DiskError::wrap(Op::Read, &path))?;
                    if n == 0 {
                        break;
                    }
                    file.write_at(&buf[..n], at).map_err(DiskError::wrap(Op::Write, &path))?;
                    at += n as u64;
                }
            }
            file.sync().map_err(DiskError::wrap(Op::Sync, &path))?;
        }
        self.fs.sync_dir(&self.config.dir).map_err(DiskError::wrap(Op::SyncDir, &self.config.dir))?;
        self.unproven = None;
        self.durable = self.next_seq - 1;
        self.durable_weight = self.weight;
        Ok(())
    }

    /// Adds a record to what is pending and to the active segment, or leaves both as they were.
    fn write_record(&mut self, record: &RecordHead, note: &[u8], payload: &[u8]) -> Result<(), DiskError> {
        let mark = self.pending.len();
        layout::encode_record(record, note, payload, &mut self.pending);
        let active = self.active.as_mut().expect("append made sure of an active segment");
        let segment = self.segments.back_mut().expect("the active segment is in the list");
        if let Err(source) = active.file.write_at(&self.pending[mark..], active.len) {
            // Without this, the end of this record could follow a shorter one. If even that fails, start over.
            self.broken = active.file.set_len(active.len).is_err();
            self.pending.truncate(mark);
            let path = self.config.dir.join(segment.key.file_name());
            return Err(DiskError { op: Op::Write, path, source });
        }
        active.len += record.len();
        segment.bytes = active.len;
        self.segment_bytes_total += record.len();
        Ok(())
    }

    /// Gives up the active segment at its last durable byte and writes what is pending to a new one.
    fn start_over(&mut self) -> Result<(), DiskError> {
        if let Some(active) = self.active.take() {
            let segment = self.segments.back_mut().expect("the active segment is in the list");
            if segment.key.first > self.durable {
                // Nothing in it is durable, so the new one takes its place and its name.
                let gone = self.segments.pop_back().expect("it was there a line ago");
                self.segment_bytes_total -= gone.bytes;
                self.cursor = None;
                let _ = self.fs.remove(&self.config.dir.join(gone.key.file_name()));
            } else if active.file.set_len(active.durable_len).is_ok() {
                self.segment_bytes_total -= segment.bytes - active.durable_len;
                segment.bytes = active.durable_len;
            }
            // If it was not cut: readers stop where the next segment begins.
        }
        let key = SegmentKey { first: self.durable + 1, epoch: self.epoch, before: self.durable_weight };
        let active = self.make_segment(key, &self.pending)?;
        self.push_segment(key, active);
        self.broken = false;
        Ok(())
    }

    /// Begins a new active segment; everything before it is durable.
    fn start_segment(&mut self) -> Result<(), DiskError> {
        debug_assert!(self.pending.is_empty(), "SP-1: a segment is left only when it is durable");
        let key = SegmentKey { first: self.next_seq, epoch: self.epoch, before: self.weight };
        // Given up even if making the next one fails: that may leave its file behind, and a later life would take
        // the records before it to end there.
        self.active = None;
        let active = self.make_segment(key, &[])?;
        self.push_segment(key, active);
        Ok(())
    }

    fn push_segment(&mut self, key: SegmentKey, active: Active<F::File>) {
        self.segment_bytes_total += active.len;
        self.segments.push_back(Segment { key, bytes: active.len, damaged: false });
        self.active = Some(active);
    }

    /// Makes a segment file with a header and `records`; leaves no file if that fails, where the disk allows.
    fn make_segment(&self, key: SegmentKey, records: &[u8]) -> Result<Active<F::File>, DiskError> {
        let path = self.path(key);
        let file = match self.fs.create(&path) {
            // Left by a failure of our own life: it is not in the list, and nobody else has this epoch.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.fs.remove(&path).map_err(DiskError::wrap(Op::Remove, &path))?;
                self.fs.create(&path)
            }
            other => other,
        }
        .map_err(DiskError::wrap(Op::Create, &path))?;
        let written = file
            .write_at(&layout::encode_segment_header(key), 0)
            .and_then(|()| if records.is_empty() { Ok(()) } else { file.write_at(records, SEGMENT_HEADER) });
        if let Err(source) = written {
            let _ = self.fs.remove(&path);
            return Err(DiskError { op: Op::Write, path, source });
        }
        let len = SEGMENT_HEADER + records.len() as u64;
        Ok(Active { file, len, durable_len: 0, unnamed: true })
    }
}
