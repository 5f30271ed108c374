//! Finding records in the bytes of a file, whole or damaged, with bounded memory.

use crate::fs::FsFile;
use crate::layout::{self, RECORD_HEADER, RECORD_MAGIC, RecordHead};
use bartizan_model::Epoch;
use std::io;
use std::ops::Range;

/// Bytes read at once while walking from header to header.
const FILL: usize = 16 << 10;
/// The unit in which an unreadable stretch is given up.
const BLOCK: usize = 4 << 10;
/// Tries before an unreadable block is given up.
const TRIES: usize = 3;

/// A file's bytes up to a limit, through one small buffer.
///
/// A `lossy` one reads zeros where the disk gives errors: checksums turn these into counted damage, so that one
/// bad sector cannot stop a lane for ever.
#[derive(Debug, Default)]
pub(crate) struct Window {
    buf: Vec<u8>,
    start: u64,
    pub(crate) lossy: bool,
    /// Whether zeros were read that way.
    pub(crate) gave_up: bool,
}

impl Window {
    pub(crate) fn new(lossy: bool) -> Self {
        Self { lossy, ..Self::default() }
    }

    /// The bytes from `at` on that are in the buffer: at least `min`, fewer only where `limit` or the file ends.
    pub(crate) fn get(&mut self, file: &impl FsFile, at: u64, min: usize, limit: u64) -> io::Result<&[u8]> {
        let left = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let have = |w: &Self| {
            let skip = at.checked_sub(w.start).and_then(|n| usize::try_from(n).ok());
            skip.filter(|&n| n <= w.buf.len()).map(|n| n..w.buf.len().min(n.saturating_add(left)))
        };
        if let Some(range) = have(self).filter(|r| r.len() >= min.min(left)) {
            return Ok(&self.buf[range]);
        }
        self.buf.clear();
        self.buf.resize(min.max(FILL).min(left), 0);
        self.start = at;
        let mut buf = std::mem::take(&mut self.buf);
        let filled = self.fill(file, at, &mut buf)?;
        buf.truncate(filled);
        self.buf = buf;
        Ok(&self.buf)
    }

    /// Reads until `out` is full or the file ends; returns how many bytes were read.
    pub(crate) fn fill(&mut self, file: &impl FsFile, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        let mut tries = 0;
        while done < out.len() {
            // One block at a time after an error, so that its neighbours are kept.
            let end = if tries == 0 { out.len() } else { out.len().min(done + BLOCK) };
            match file.read_at(&mut out[done..end], at + done as u64) {
                Ok(0) => break,
                Ok(n) => (done, tries) = (done + n, 0),
                Err(e) if !self.lossy => return Err(e),
                Err(_) if tries < TRIES => tries += 1,
                Err(_) => {
                    out[done..end].fill(0);
                    self.gave_up = true;
                    (done, tries) = (end, 0);
                }
            }
        }
        Ok(done)
    }

    /// Whether a record's payload is in the file as it was written.
    pub(crate) fn payload_is_whole(
        &mut self,
        file: &impl FsFile,
        record: &Found,
        limit: u64,
    ) -> io::Result<bool> {
        let (mut at, end) = (record.at + record.head.head_len(), record.at + record.head.len());
        let mut crc = 0;
        while at < end {
            let bytes = self.get(file, at, 1, limit.min(end))?;
            if bytes.is_empty() {
                return Ok(false);
            }
            crc = crc32c::crc32c_append(crc, bytes);
            at += bytes.len() as u64;
        }
        Ok(crc == record.head.payload_crc)
    }
}

/// A whole header and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) at: u64,
    pub(crate) head: RecordHead,
}

/// The first whole record header at or after `from` whose sequence number is in `seqs`.
///
/// In an undamaged file it stands at `from`. Elsewhere the bytes are searched for one; the epoch, which is random
/// and in no payload, keeps a payload from posing as a record.
pub(crate) fn find_record(
    file: &impl FsFile,
    window: &mut Window,
    from: u64,
    limit: u64,
    epoch: Epoch,
    seqs: &Range<u64>,
) -> io::Result<Option<Found>> {
    let mut at = from;
    loop {
        let bytes = window.get(file, at, RECORD_HEADER, limit)?;
        if bytes.len() < RECORD_HEADER {
            return Ok(None);
        }
        let Some(skip) = bytes.windows(RECORD_MAGIC.len()).position(|w| w == RECORD_MAGIC) else {
            at += (bytes.len() - (RECORD_MAGIC.len() - 1)) as u64;
            continue;
        };
        at += skip as u64;
        let bytes = window.get(file, at, RECORD_HEADER, limit)?;
        if let Some(head) = layout::peek_record(bytes, epoch).filter(|h| seqs.contains(&h.seq)) {
            let whole = window.get(file, at, RECORD_HEADER + head.note_len, limit)?;
            if layout::head_is_whole(whole, &head) {
                return Ok(Some(Found { at, head }));
            }
        }
        at += 1;
    }
}
