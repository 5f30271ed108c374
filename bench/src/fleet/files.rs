//! The files of a fleet on disk: what agents have in their spools, and what other stores load.
//!
//! Hours are made by two threads; only the numbering of batches waits for the hours before. A file `wire/hNNN.wire`
//! holds the batches of an hour as the server receives them, each behind its head:
//!
//! ```text
//! u32 bytes of the batch | u8 host | u64 seq | u32 rows | i64 received | the batch, an Arrow IPC stream packed with zstd
//! ```
//! All of it little-endian. Read again by [`Spooled`].

use super::peers::{json, parquet, tsv};
use super::{Batching, Fleet, Plan, Senders, ranges};
use anyhow::{Context as _, Result, bail};
use bartizan_model::Micros;
use bartizan_wire::Encoder;
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

const WORKERS: usize = 2;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Batches of agents.
    Wire,
    /// For ClickHouse and DuckDB.
    Parquet,
    /// For VictoriaLogs.
    Json,
    /// For PostgreSQL.
    Tsv,
}

impl Form {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Parquet => "parquet",
            Self::Json => "json",
            Self::Tsv => "tsv",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self> {
        let known =
            [Self::Wire, Self::Parquet, Self::Json, Self::Tsv].into_iter().find(|form| form.name() == name);
        known.with_context(|| format!("there is no form `{name}`; there are wire, parquet, json, tsv"))
    }
}

/// Writes the hours of a fleet into `dir/FORM/`, and `dir/ranges.tsv`; what is there already stays. Returns how many
/// events there are.
pub(crate) fn write(plan: Plan, batching: Batching, dir: &Path, form: Form) -> Result<u64> {
    write_last(plan, batching, dir, form, plan.days * 24)
}

/// The same of the last hours only.
pub(crate) fn write_last(plan: Plan, batching: Batching, dir: &Path, form: Form, hours: u32) -> Result<u64> {
    let folder = dir.join(form.name());
    let mark = folder.join("complete");
    let what = format!("{plan:?} {batching:?} last {hours} hours");
    if let Ok(known) = fs::read_to_string(&mark)
        && let Some((events, same)) = known.split_once(' ')
        && same == what
    {
        return Ok(events.parse()?);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    fs::write(dir.join("ranges.tsv"), ranges())?;
    let fleet = Fleet::new(plan);
    let first = fleet.hours() - hours.min(fleet.hours());
    let work = Work {
        fleet: &fleet,
        folder: &folder,
        form,
        next: AtomicU32::new(first),
        turn: Mutex::new((first, Senders::new(batching))),
        turned: Condvar::new(),
    };
    let events = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| work.hours())).collect();
        workers.into_iter().try_fold(0, |sum, worker| match worker.join() {
            Ok(events) => Ok(sum + events?),
            Err(_) => bail!("a worker of the generator panicked"),
        })
    })?;
    fs::write(mark, format!("{events} {what}"))?;
    Ok(events)
}

struct Work<'a> {
    fleet: &'a Fleet,
    folder: &'a Path,
    form: Form,
    next: AtomicU32,
    /// Whose hour is to be numbered.
    turn: Mutex<(u32, Senders)>,
    turned: Condvar,
}

impl Work<'_> {
    fn hours(&self) -> Result<u64> {
        let mut all = 0;
        loop {
            let hour = self.next.fetch_add(1, Ordering::Relaxed);
            if hour >= self.fleet.hours() {
                return Ok(all);
            }
            let events = self.fleet.hour(hour);
            all += events.len() as u64;
            let path = self.folder.join(format!("h{hour:03}.{}", self.form.name()));
            let file = || File::create(&path).map(|file| BufWriter::with_capacity(1 << 20, file));
            match self.form {
                Form::Parquet => parquet(self.fleet, &events, &path)?,
                Form::Wire => {
                    let sent = self.in_turn(hour, |senders| senders.cut(&events));
                    let (mut out, mut encoder) = (file()?, Encoder::default());
                    for batch in sent {
                        let rows = batch.events.len() as u32;
                        let packed = encoder.encode(&batch.wire())?;
                        out.write_all(&(packed.len() as u32).to_le_bytes())?;
                        out.write_all(&[batch.host])?;
                        out.write_all(&batch.seq.to_le_bytes())?;
                        out.write_all(&rows.to_le_bytes())?;
                        out.write_all(&batch.received.0.to_le_bytes())?;
                        out.write_all(packed)?;
                    }
                    out.flush()?;
                }
                Form::Json | Form::Tsv => {
                    let mut out = file()?;
                    for event in &events {
                        let line = if self.form == Form::Json { json } else { tsv };
                        line(self.fleet, event, &mut out)?;
                    }
                    out.flush()?;
                }
            }
        }
    }

    /// Runs when all hours before have run.
    fn in_turn<T>(&self, hour: u32, run: impl FnOnce(&mut Senders) -> T) -> T {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turn =
            self.turned.wait_while(turn, |(next, _)| *next != hour).unwrap_or_else(PoisonError::into_inner);
        let result = run(&mut turn.1);
        turn.0 += 1;
        self.turned.notify_all();
        result
    }
}

/// One batch as the server receives it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) host: u8,
    pub(crate) seq: u64,
    pub(crate) rows: u32,
    pub(crate) received: Micros,
    pub(crate) packed: Bytes,
}

/// The batches of `dir/wire/`, in the order of receipt within each hour.
#[derive(Debug)]
pub(crate) struct Spooled {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<BufReader<File>>,
}

impl Spooled {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir.join(Form::Wire.name()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == Form::Wire.name()) {
                files.push(path);
            }
        }
        files.sort();
        Ok(Self { files: files.into_iter(), open: None })
    }

    fn read(&mut self) -> Result<Option<Received>> {
        loop {
            let Some(file) = &mut self.open else {
                let Some(path) = self.files.next() else { return Ok(None) };
                self.open = Some(BufReader::with_capacity(1 << 20, File::open(path)?));
                continue;
            };
            let mut head = [0; 25];
            match file.read_exact(&mut head) {
                Ok(()) => {}
                Err(end) if end.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.open = None;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let (bytes, rest) = head.split_at(4);
            let mut packed = vec![0; u32::from_le_bytes(bytes.try_into()?) as usize];
            file.read_exact(&mut packed)?;
            return Ok(Some(Received {
                host: rest[0],
                seq: u64::from_le_bytes(rest[1..9].try_into()?),
                rows: u32::from_le_bytes(rest[9..13].try_into()?),
                received: Micros(i64::from_le_bytes(rest[13..21].try_into()?)),
                packed: packed.into(),
            }));
        }
    }
}

impl Iterator for Spooled {
    type Item = Result<Received>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { events: 20_000.0, days: 1, seed: 42 };
        let events = write(plan, Batching::bulk(plan), dir.path(), Form::Wire).unwrap();
        let (fleet, mut senders) = (Fleet::new(plan), Senders::new(Batching::bulk(plan)));
        let want: Vec<_> = (0..fleet.hours()).flat_map(|hour| senders.cut(&fleet.hour(hour))).collect();
        let read: Vec<_> = Spooled::open(dir.path()).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(read.len(), want.len());
        assert_eq!(read.iter().map(|r| u64::from(r.rows)).sum::<u64>(), events);
        for (read, want) in read.iter().zip(&want) {
            assert_eq!((read.host, read.seq, read.received), (want.host, want.seq, want.received));
            assert_eq!(read.packed, Encoder::default().encode(&want.wire()).unwrap());
        }
        // a second time nothing is made
        let before = fs::metadata(dir.path().join("wire/h000.wire")).unwrap().modified().unwrap();
        assert_eq!(write(plan, Batching::bulk(plan), dir.path(), Form::Wire).unwrap(), events);
        assert_eq!(fs::metadata(dir.path().join("wire/h000.wire")).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn lines_for_others_hold_every_event() {
        let dir = tempfile::tempdir().unwrap();
        let plan = Plan { events: 20_000.0, days: 1, seed: 42 };
        for form in [Form::Json, Form::Tsv, Form::Parquet] {
            let events = write(plan, Batching::bulk(plan), dir.path(), form).unwrap();
            let files = fs::read_dir(dir.path().join(form.name())).unwrap().count();
            assert_eq!(files, 25, "24 hours and the mark");
            if form == Form::Json {
                let lines: Vec<String> = (0..24)
                    .map(|h| fs::read_to_string(dir.path().join(format!("json/h{h:03}.json"))).unwrap())
                    .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
                    .collect();
                assert_eq!(lines.len() as u64, events);
                for line in lines {
                    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
                    assert!(
                        value["timestamp"].as_str().is_some_and(|t| t.ends_with('Z') && t.len() == 27),
                        "{line}"
                    );
                }
            }
        }
    }
}
