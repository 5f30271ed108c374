//! The local log: every event once more as a line of a file, for people and tools that read one today.
//!
//! Invariants:
//! - **LL-1** it never holds capture up: batches wait in a short queue, and when that is full they are left out of
//!   the file. What is left out is counted here and said, and is no loss: the rows are in the spool.
//! - **LL-2** lines are whole: a write that fails is taken back to the last whole line, and tried again later.
//! - **LL-3** a file that is over its size is renamed to `.1`, that to `.2`, and so on; the oldest goes.

use crate::namespaces::spawn;
use crate::settings::{LocalLogForm, LocalLogSettings};
use arrow_array::RecordBatch;
use bartizan_decode::text::write::{Events, write_json, write_kernel, write_logemu};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that may wait.
const WAITING: usize = 8;
/// After an error the file is tried again this much later.
const AGAIN: Duration = Duration::from_secs(5);
/// What is left out is said this often.
const SAY: Duration = Duration::from_secs(30);
/// Bytes of lines that are written at once.
const WRITE: usize = 256 << 10;

/// The way to the file.
#[derive(Clone, Debug)]
pub(crate) struct LocalLog {
    lines: SyncSender<RecordBatch>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    reopen: AtomicBool,
    written: AtomicU64,
    left_out: AtomicU64,
}

impl LocalLog {
    /// Starts a thread that writes until every [`LocalLog`] is gone. `None` when no file is wanted.
    pub(crate) fn start(settings: &LocalLogSettings) -> anyhow::Result<Option<(Self, JoinHandle<()>)>> {
        let Some(path) = settings.path.clone() else { return Ok(None) };
        let (lines, wanted) = sync_channel(WAITING);
        let state = Arc::new(State::default());
        let writer = Writer {
            file: Rotated::new(path, settings.max_bytes, settings.keep),
            form: settings.form,
            host: host(),
            zone: TimeZone::system(),
            state: Arc::clone(&state),
            failed: None,
            told: Instant::now(),
            told_left_out: 0,
        };
        let thread = spawn("local-log", move || writer.run(&wanted))?;
        Ok(Some((Self { lines, state }, thread)))
    }

    /// A batch of events; never waits.
    pub(crate) fn offer(&self, batch: &RecordBatch) {
        if self.lines.try_send(batch.clone()).is_err() {
            self.state.left_out.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        }
    }

    /// What can be asked of it, and told to it, without keeping it going.
    pub(crate) fn control(&self) -> Control {
        Control(Arc::clone(&self.state))
    }
}

/// A hand on the local log.
#[derive(Clone, Debug)]
pub(crate) struct Control(Arc<State>);

impl Control {
    /// Opens the file anew before the next line: somebody renamed it.
    pub(crate) fn reopen(&self) {
        self.0.reopen.store(true, Ordering::Release);
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "the status that comes next tells it"))]
    /// Rows written, and rows left out because the file or the queue did not take them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.0.written.load(Ordering::Relaxed), self.0.left_out.load(Ordering::Relaxed))
    }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".into(), |h| h.trim().to_owned())
}

struct Writer {
    file: Rotated,
    form: LocalLogForm,
    host: String,
    zone: TimeZone,
    state: Arc<State>,
    /// The last attempt failed then.
    failed: Option<Instant>,
    told: Instant,
    told_left_out: u64,
}

impl Writer {
    fn run(mut self, wanted: &Receiver<RecordBatch>) {
        loop {
            match wanted.recv_timeout(SAY) {
                Ok(batch) => self.batch(&batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.told.elapsed() >= SAY {
                self.say();
            }
        }
        self.say();
    }

    fn batch(&mut self, batch: &RecordBatch) {
        if self.state.reopen.swap(false, Ordering::AcqRel) {
            self.file.close();
            self.failed = None;
        }
        if self.failed.is_some_and(|at| at.elapsed() < AGAIN) {
            self.left_out(batch.num_rows() as u64);
            return;
        }
        let (mut text, mut rows) = (String::new(), 0);
        // one zone for all: rows of a batch are of one moment
        let mut offset = None;
        for event in Events::new(batch).iter() {
            let offset = *offset.get_or_insert_with(|| {
                let time = Timestamp::from_microsecond(event.time().0).unwrap_or_default();
                self.zone.to_offset(time).seconds()
            });
            match self.form {
                LocalLogForm::Logemu => write_logemu(&mut text, event, &self.host, offset),
                LocalLogForm::Kernel => write_kernel(&mut text, event, &self.host, offset),
                LocalLogForm::Json => write_json(&mut text, event, offset),
            }
            rows += 1;
            if text.len() >= WRITE {
                self.write(&text, rows);
                text.clear();
                rows = 0;
            }
        }
        self.write(&text, rows);
    }

    fn write(&mut self, text: &str, rows: u64) {
        if rows == 0 {
            return;
        }
        match self.file.append(text.as_bytes()) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!(path = %self.file.path.display(), "the local log can be written again");
                }
                self.state.written.fetch_add(rows, Ordering::Relaxed);
            }
            Err(error) => {
                if self.failed.is_none() {
                    tracing::error!(path = %self.file.path.display(), %error, "cannot write the local log");
                }
                self.failed = Some(Instant::now());
                self.left_out(rows);
            }
        }
    }

    fn left_out(&self, rows: u64) {
        self.state.left_out.fetch_add(rows, Ordering::Relaxed);
    }

    fn say(&mut self) {
        self.told = Instant::now();
        let all = self.state.left_out.load(Ordering::Relaxed);
        let new = all - std::mem::replace(&mut self.told_left_out, all);
        if new > 0 {
            tracing::warn!(events = new, "left out of the local log; they are in the spool");
        }
    }
}

/// A file that is renamed when it is too long.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<(File, u64)>,
}

impl Rotated {
    const fn new(path: PathBuf, max_bytes: u64, keep: u32) -> Self {
        Self { path, max_bytes, keep, open: None }
    }

    fn close(&mut self) {
        self.open = None;
    }

    /// Appends all of it, or nothing.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, len)| *len > 0 && len + text.len() as u64 > self.max_bytes) {
            self.rotate()?;
        }
        if self.open.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            let len = file.metadata()?.len();
            self.open = Some((file, len));
        }
        let Some((file, len)) = &mut self.open else { return Err(io::Error::other("not open")) };
        if let Err(error) = file.write_all(text) {
            // half a line would be read as one
            drop(file.set_len(*len));
            self.close();
            return Err(error);
        }
        *len += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.close();
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
        for n in (1..self.keep).rev() {
            if numbered(n).exists() {
                std::fs::rename(numbered(n), numbered(n + 1))?;
            }
        }
        std::fs::rename(&self.path, numbered(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_decode::columns::EventColumns;
    use bartizan_decode::text::Line;
    use bartizan_model::Micros;
    use std::path::Path;

    fn batch(rows: usize) -> RecordBatch {
        let mut columns = EventColumns::new(rows);
        for n in 0..rows {
            let line = format!(
                "drop: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID={n} PROTO=2 "
            );
            let line = Line::parse(line.as_bytes()).unwrap();
            columns.push_line(&line, Micros(1_700_000_000_000_000), "kmsg").unwrap();
        }
        columns.finish()
    }

    fn settings(path: &Path, max_bytes: u64, keep: u32) -> LocalLogSettings {
        LocalLogSettings { path: Some(path.into()), form: LocalLogForm::Kernel, max_bytes, keep }
    }

    fn lines(path: &Path) -> usize {
        std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }

    #[test]
    fn lines_are_written_and_the_file_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("firewall.log");
        let (log, thread) = LocalLog::start(&settings(&path, 1 << 20, 2)).unwrap().unwrap();
        let control = log.control();
        log.offer(&batch(3));
        while control.counts().0 < 3 {
            std::thread::yield_now();
        }
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        control.reopen();
        log.offer(&batch(2));
        drop(log);
        thread.join().unwrap();
        assert_eq!((lines(&dir.path().join("old")), lines(&path)), (3, 2));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(" kernel: drop: IN=eth0 OUT= MAC= SRC=192.0.2.1 "), "{text}");
    }

    #[test]
    fn files_are_renamed_by_size_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = Rotated::new(path.clone(), 10, 2);
        for text in ["1234567\n", "abc\n", "def\n", "ghi\n", "0123456789abcdef\n", "x\n"] {
            file.append(text.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        assert_eq!(
            (read("log"), read("log.1"), read("log.2")),
            ("x\n".into(), "0123456789abcdef\n".into(), "ghi\n".into())
        );
        assert!(!dir.path().join("log.3").exists());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("log");
        let (log, thread) = LocalLog::start(&settings(&path, 1 << 20, 2)).unwrap().unwrap();
        for _ in 0..100 {
            log.offer(&batch(1));
        }
        let control = log.control();
        drop(log);
        thread.join().unwrap();
        assert_eq!(control.counts(), (0, 100));
    }
}
