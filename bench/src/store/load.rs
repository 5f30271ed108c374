//! Loading in bulk: what agents have in their spools, into committed files. Two threads take batches as the server
//! does, each those of half of the hosts, and a third commits by size.

use super::Paths;
use crate::fleet::{Fleet, Received, Spooled};
use crate::machine::{cpu_seconds, peak_megabytes};
use anyhow::{Context as _, Result, anyhow};
use bartizan_enrich::{Database, Places};
use bartizan_ingest::{Receipt, Whose, complete, memory_of};
use bartizan_lake::{Append, Options, Table};
use bartizan_model::{BatchId, Epoch, Kind, Micros, Seq, StreamId};
use bartizan_prefix::Dialects;
use bartizan_wire::{Limits, decode, messages};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Threads that take batches.
const TAKERS: usize = 2;
/// Batches that wait for each.
const QUEUE: usize = 64;
/// How often the committer looks.
const LOOK: Duration = Duration::from_millis(2);

/// The server's settings as they come, but for the age: the fleet's time goes by a thousand times faster.
pub(super) fn options() -> Options {
    Options { hot_limit: 512 << 20, commit_bytes: 128 << 20, commit_age: i64::MAX, ..Options::default() }
}

/// Loads all of the fleet into the lake, and says what that took.
pub(super) fn run(paths: &Paths) -> Result<Value> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(TAKERS + 1).enable_all().build()?;
    runtime.block_on(async {
        let tables = paths.tables(options()).await?;
        let receiver = Arc::new(Receiver::new(paths)?);
        let (begun, cpu) = (Instant::now(), cpu_seconds(std::process::id())?);
        let feed = Feed { paths, receiver, epoch: Epoch(1), pace: None, stop: None };
        let loaded = feed.run(tables.of(Kind::Events)).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = cpu_seconds(std::process::id())? - cpu;
        let view = tables.of(Kind::Events).view();
        let bytes: u64 = view.files.iter().map(|f| f.size()).sum();
        let record = json!({
            "rows": loaded.rows, "batches": loaded.batches, "seconds": seconds, "cpu_s": cpu, "bytes": bytes,
            "files": view.files.len(), "memory_mb": peak_megabytes(std::process::id())?,
        });
        // for the part that asks while events come
        std::fs::write(paths.root.join("load.json"), record.to_string())?;
        Ok(record)
    })
}

/// What goes into a table, how fast.
pub(super) struct Feed<'a> {
    pub(super) paths: &'a Paths,
    pub(super) receiver: Arc<Receiver>,
    /// Of the streams; another one makes the same batches new ones.
    pub(super) epoch: Epoch,
    /// Rows a second.
    pub(super) pace: Option<f64>,
    /// Ends it early.
    pub(super) stop: Option<&'a AtomicBool>,
}

/// Commits when that is due, and all that is left when everything was taken.
async fn commit(table: Table, now: Micros, taken: Arc<AtomicBool>) -> Result<()> {
    loop {
        let last = taken.load(Ordering::Acquire);
        if last || table.is_due(now) {
            table.commit(now).await?;
        } else {
            tokio::time::sleep(LOOK).await;
        }
        if last {
            return Ok(());
        }
    }
}

pub(super) struct Loaded {
    pub(super) rows: u64,
    pub(super) batches: u64,
}

impl Feed<'_> {
    /// Until all is committed.
    pub(super) async fn run(&self, table: &Table) -> Result<Loaded> {
        let taken = Arc::new(AtomicBool::new(false));
        let commit = tokio::spawn(commit(table.clone(), self.paths.now(), Arc::clone(&taken)));
        let loaded = self.take(table).await;
        taken.store(true, Ordering::Release);
        commit.await.context("the committer ended")??;
        loaded
    }

    async fn take(&self, table: &Table) -> Result<Loaded> {
        let (rows, batches) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut queues = Vec::new();
        let mut takers = Vec::new();
        for _ in 0..TAKERS {
            let (queue, mut batches) = mpsc::channel::<Received>(QUEUE);
            queues.push(queue);
            let (table, receiver, epoch) = (table.clone(), Arc::clone(&self.receiver), self.epoch);
            takers.push(tokio::spawn(async move {
                while let Some(batch) = batches.recv().await {
                    receiver.accept(&table, epoch, batch).await?;
                }
                anyhow::Ok(())
            }));
        }
        let begun = Instant::now();
        for batch in Spooled::open(&self.paths.fleet)? {
            let batch = batch?;
            if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                break;
            }
            let so_far = rows.fetch_add(batch.rows.into(), Ordering::Relaxed);
            batches.fetch_add(1, Ordering::Relaxed);
            if let Some(pace) = self.pace {
                let due = Duration::from_secs_f64(so_far as f64 / pace);
                tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            }
            let queue = &queues[usize::from(batch.host) % TAKERS];
            if queue.send(batch).await.is_err() {
                break; // the taker says why
            }
        }
        drop(queues);
        for taker in takers {
            taker.await.context("a taker ended")??;
        }
        Ok(Loaded { rows: rows.into_inner(), batches: batches.into_inner() })
    }
}

/// What the server knows: whose streams there are, prefixes, countries.
pub(super) struct Receiver {
    fleet: Fleet,
    dialects: Dialects,
    places: Places,
}

impl Receiver {
    pub(super) fn new(paths: &Paths) -> Result<Self> {
        let ranges = std::fs::read(paths.fleet.join("ranges.tsv"))?;
        let places = Places::new(vec![Arc::new(Database::read(&ranges, paths.now())?)]);
        Ok(Self { fleet: Fleet::new(paths.plan), dialects: Dialects::built_in(), places })
    }

    /// A batch as the wire brings it becomes rows of the table.
    async fn accept(&self, table: &Table, epoch: Epoch, batch: Received) -> Result<()> {
        let rows = decode(Kind::Events, &messages(&batch.packed)?, &Limits::default())?;
        let stream = StreamId { epoch, ..self.fleet.stream(batch.host) };
        let id = BatchId { stream, seq: Seq(batch.seq) };
        let host = Whose::Host(self.fleet.host(batch.host.into()));
        let bytes = memory_of(Kind::Events, &rows);
        let receipt = Receipt { host, id, received: batch.received, places: &self.places };
        let rows = complete(Kind::Events, &rows, receipt, &self.dialects)?;
        loop {
            match table.append(id, vec![rows.clone()], bytes, batch.received)? {
                Append::Appended => return Ok(()),
                Append::Busy => table.room(bytes).await,
                Append::Duplicate => return Err(anyhow!("batch {id:?} was there already")),
            }
        }
    }
}

/// The time after the last event, when all is received.
pub(super) const fn after(end: Micros) -> Micros {
    Micros(end.0 + 3_600_000_000)
}
