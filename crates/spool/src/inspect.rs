//! Looking at a lane from outside: read-only, without its lock, whether its owner writes at the moment or nobody
//! does.
//!
//! What a running owner does meanwhile is not mistaken for damage: a segment that is gone was acknowledged, and a
//! record that is cut off at the very end of the newest segment is being written, or was when its life ended.

use crate::error::{DiskError, Op};
use crate::fs::{Access, Fs, FsFile};
use crate::hint::Hint;
use crate::layout::{self, RECORD_HEADER, SEGMENT_HEADER, SEQ_LIMIT, SegmentKey};
use crate::read::Record;
use crate::scan::{self, Window};
use bartizan_model::{Epoch, Seq};
use std::io;
use std::ops::Range;
use std::path::Path;

/// A lane's files, and up to where its last life was acknowledged as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Its segments, oldest first.
    pub segments: Vec<SegmentView>,
    /// Epoch and number up to which everything is acknowledged.
    pub acknowledged: Option<(Epoch, Seq)>,
    /// Segments put aside because damage was met in them.
    pub quarantined: Vec<String>,
}

/// A segment as its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its file's name.
    pub file: String,
    /// The life that wrote it.
    pub epoch: Epoch,
    /// The number of its first record.
    pub first: Seq,
    /// The number after its last one; `None` for the newest segment, whose end only its content tells.
    pub end: Option<Seq>,
    /// Bytes.
    pub bytes: u64,
    before: u64,
}

/// What reading a whole segment showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentReport {
    /// Records that are whole.
    pub records: u64,
    /// The sum of their weights.
    pub weight: u64,
    /// Stretches of the file that should hold records and do not hold them whole.
    pub damaged: Vec<Range<u64>>,
    /// Numbers of records that are missing for that.
    pub missing: u64,
    /// Whether its records were dropped to make room: that is no damage.
    pub dropped: bool,
    /// Bytes at the end of the newest segment that are no whole record yet.
    pub unfinished: u64,
    /// Whether the file was gone when it was to be read: acknowledged meanwhile.
    pub gone: bool,
}

/// The files of the lane in a directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn lane<F: Fs>(fs: &F, dir: &Path) -> Result<LaneView, DiskError> {
    let entries = fs.list(dir).map_err(DiskError::wrap(Op::List, dir))?;
    let mut found: Vec<_> = entries
        .iter()
        .filter(|e| e.is_file)
        .filter_map(|e| SegmentKey::parse(&e.name).map(|key| (key, e)))
        .collect();
    found.sort_by_key(|(key, _)| *key);
    let nexts = found.iter().skip(1).map(|(key, _)| Some(Seq(key.first))).chain([None]);
    let segments = { found.iter().zip(nexts) }
        .map(|((key, entry), end)| SegmentView {
            file: entry.name.clone(),
            epoch: key.epoch,
            first: Seq(key.first),
            end,
            bytes: entry.len,
            before: key.before,
        })
        .collect();
    let mut quarantined: Vec<_> =
        entries.iter().filter(|e| e.name.ends_with(".seg.bad")).map(|e| e.name.clone()).collect();
    quarantined.sort();
    Ok(LaneView { segments, acknowledged: Hint::read(fs, dir), quarantined })
}

/// Reads a whole segment and hands out its records.
///
/// # Errors
/// Those of the disk, and those of `each`.
pub fn segment<F: Fs>(
    fs: &F,
    dir: &Path,
    view: &SegmentView,
    mut each: impl FnMut(Record) -> io::Result<()>,
) -> Result<SegmentReport, DiskError> {
    let path = dir.join(&view.file);
    let file = match fs.open(&path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(SegmentReport { gone: true, ..SegmentReport::default() });
        }
        Err(e) => return Err(DiskError::wrap(Op::Open, &path)(e)),
    };
    read(&file, view, &mut each).map_err(DiskError::wrap(Op::Read, &path))
}

fn read(
    file: &impl FsFile,
    view: &SegmentView,
    each: &mut impl FnMut(Record) -> io::Result<()>,
) -> io::Result<SegmentReport> {
    let mut report = SegmentReport::default();
    // A newest segment may have grown since it was listed; what was there then is looked at.
    let limit = view.bytes;
    let end = view.end.map_or(SEQ_LIMIT - 1, |end| end.0);
    if limit <= SEGMENT_HEADER && view.end.is_some_and(|end| end > view.first) {
        report.dropped = true;
        return Ok(report);
    }
    let mut window = Window::new(false);
    let (mut at, mut next) = (SEGMENT_HEADER, view.first.0);
    while next < end {
        let Some(found) = scan::find_record(file, &mut window, at, limit, view.epoch, &(next..end))? else {
            break;
        };
        let head = found.head;
        if found.at > at || head.seq > next {
            report.damaged.push(at..found.at);
            report.missing += head.seq - next;
        }
        let stop = found.at + head.len();
        let cut = stop > limit;
        if !cut && window.payload_is_whole(file, &found, limit)? {
            let (mut note, mut payload) = (vec![0; head.note_len], vec![0; head.payload_len]);
            window.fill(file, found.at + RECORD_HEADER as u64, &mut note)?;
            window.fill(file, found.at + head.head_len(), &mut payload)?;
            report.records += 1;
            report.weight = report.weight.saturating_add(head.weight);
            each(Record {
                epoch: view.epoch,
                seq: head.seq(),
                kind: head.kind,
                weight: head.weight,
                note,
                payload,
            })?;
        } else if cut && view.end.is_none() {
            report.unfinished = limit - found.at;
            return Ok(report);
        } else {
            report.damaged.push(found.at..stop.min(limit));
            report.missing += 1;
        }
        (at, next) = (stop.min(limit), head.seq + 1);
    }
    match view.end {
        // records up to the next segment should be here
        Some(end) if next < end.0 => {
            report.damaged.push(at..limit);
            report.missing += end.0 - next;
        }
        Some(_) => {}
        None => tail(file, &mut window, view.epoch, at, limit, &mut report)?,
    }
    Ok(report)
}

/// The end of the newest segment: a record that is not finished is shorter than its header and note, or all zeros;
/// anything else that is no record is damage.
fn tail(
    file: &impl FsFile,
    window: &mut Window,
    epoch: Epoch,
    at: u64,
    limit: u64,
    report: &mut SegmentReport,
) -> io::Result<()> {
    let rest = limit.saturating_sub(at);
    let mut place = at;
    let mut zeros = true;
    while place < limit && zeros {
        let bytes = window.get(file, place, 1, limit)?;
        zeros = bytes.iter().all(|b| *b == 0);
        place += bytes.len().max(1) as u64;
    }
    // a length that says more than there is may be damaged itself: then the bytes of the payload are there
    let bytes = window.get(file, at, RECORD_HEADER, limit)?;
    let begun = layout::peek_record(bytes, epoch)
        .is_some_and(|head| rest < head.head_len() && rest < (RECORD_HEADER + head.payload_len) as u64);
    if zeros || rest < RECORD_HEADER as u64 || begun {
        report.unfinished = rest;
    } else {
        report.damaged.push(at..limit);
        report.missing += 1;
    }
    Ok(())
}

impl SegmentView {
    /// Cumulative weight of all records of the lane before it.
    #[must_use]
    pub const fn weight_before(&self) -> u64 {
        self.before
    }
}
