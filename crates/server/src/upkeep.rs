//! Background work on the lake, in one place: a thread of its own that gives way to everything else.
//!
//! - One round is one piece of each kind of work, in this order: compact; roll, which derives from its files; retain;
//!   vacuum.
//!   A round that found something to do is followed by the next one at once, else after [`PAUSE`].
//! - The thread, and those that its runtime starts for blocking work, have [`NICE`]; beside that they use at most
//!   the share of one core that is set, by pausing.
//! - A piece that fails is told and tried again after [`AFTER_ERROR`]; the other kinds of work go on.
//! - Nothing waits for it but senders who are too fast for it (`lake::Options::fresh_files`).
//!
//! It can be killed at any moment: every piece is one entry of a log, or none.

use crate::keeper::Keeper;
use crate::settings::Settings;
use anyhow::Context as _;
use bartizan_lake::{Compact, LakeError, RollOptions, Tables};
use bartizan_model::Micros;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long it rests when there is nothing to do.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a kind of work rests after an error.
const AFTER_ERROR: Duration = Duration::from_secs(60);
/// Its priority: about a tenth of an ordinary thread's share when cores are scarce. Not the least one, because it holds
/// a table's turn for a moment, for which commits wait.
const NICE: i32 = 10;

/// What the work needs.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) tables: Tables,
    pub(crate) keeper: Keeper,
    pub(crate) compact: Compact,
    /// Percent of one core.
    pub(crate) cpu_percent: u32,
}

type Piece = Pin<Box<dyn Future<Output = anyhow::Result<bool>>>>;

/// One kind of work. A piece answers whether there may be more to do.
struct Kind {
    name: &'static str,
    piece: fn(Work, Micros) -> Piece,
    rests_until: Option<Instant>,
}

impl Work {
    pub(crate) fn new(settings: &Settings, tables: Tables, keeper: Keeper) -> Self {
        Self { tables, keeper, compact: settings.compact.clone(), cpu_percent: settings.compact_cpu_percent }
    }
}

/// Starts the thread; it ends after `stop` becomes true, when the piece at hand is done.
pub(crate) fn start(work: Work, stop: watch::Receiver<bool>) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_name("upkeep")
        .on_thread_start(give_way)
        .build()
        .context("cannot start the upkeep's runtime")?;
    let thread = std::thread::Builder::new().name("upkeep".into()).spawn(move || {
        give_way();
        runtime.block_on(run(work, stop));
        // A read that hangs must not keep the server from ending.
        runtime.shutdown_background();
    });
    thread.context("cannot start the upkeep's thread")
}

fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the upkeep's thread keeps its priority");
    }
}

async fn run(work: Work, mut stop: watch::Receiver<bool>) {
    let mut kinds = kinds();
    while !*stop.borrow_and_update() {
        let began = Instant::now();
        let more = round(&work, &mut kinds).await;
        let rest = if more { rest(began.elapsed(), work.cpu_percent) } else { PAUSE };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            // an error means that the server is gone
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// All kinds of work, in their order.
fn kinds() -> Vec<Kind> {
    let kind = |name, piece| Kind { name, piece, rests_until: None };
    vec![
        kind("compact", |work, now| Box::pin(async move { Ok(compact(work, now).await?) })),
        kind("roll", |work, now| Box::pin(async move { Ok(roll(work, now).await?) })),
        kind("retain", |work, _| Box::pin(async move { Ok(work.keeper.keep().await?) })),
        kind("vacuum", |work, _| Box::pin(async move { Ok(work.keeper.vacuum().await?) })),
    ]
}

/// One piece of each kind; whether any of them may have more to do.
async fn round(work: &Work, kinds: &mut [Kind]) -> bool {
    let mut more = false;
    for kind in kinds {
        if kind.rests_until.is_some_and(|until| Instant::now() < until) {
            continue;
        }
        match (kind.piece)(work.clone(), bartizan_clock::now()).await {
            Ok(again) => more |= again,
            Err(error) => {
                tracing::warn!(work = kind.name, error = format!("{error:#}"), "put off");
                kind.rests_until = Some(Instant::now() + AFTER_ERROR);
            }
        }
    }
    more
}

/// How long to pause after work of a length, to use so many percent of the time.
fn rest(worked: Duration, percent: u32) -> Duration {
    let percent = percent.clamp(1, 100);
    worked * (100 - percent) / percent
}

/// A piece of compaction of each table. One table that cannot be compacted does not keep the others waiting.
async fn compact(work: Work, now: Micros) -> Result<bool, LakeError> {
    // What an interrupted retention left must not meet files that are replaced.
    work.tables.settle_history(now).await?;
    let (mut more, mut failed) = (false, None);
    for table in work.tables.iter() {
        match table.compact(&work.compact, now).await {
            Ok(None) => {}
            Ok(Some(done)) => {
                tracing::debug!(table = %table.relation(), ?done, "compacted");
                more = true;
            }
            // Another compactor was first: there may be more, and it is not ours to repeat.
            Err(LakeError::Replaced { .. }) => more = true,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(more), Err)
}

/// The rollups of one data file.
async fn roll(work: Work, now: Micros) -> Result<bool, LakeError> {
    let rolled = work.tables.roll(RollOptions::default(), now).await?;
    if rolled.made + rolled.removed > 0 {
        tracing::debug!(?rolled, "rolled");
    }
    Ok(rolled.more)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn work(tables: Tables, dir: &std::path::Path) -> Work {
        let catalog = bartizan_catalog::Catalog::open(&dir.join("catalog.db")).await.unwrap();
        let names = std::sync::Arc::new(std::sync::Arc::new(bartizan_filter::Context::default()));
        let retain = crate::keeper::Retain::default();
        let keeper = Keeper::new(tables.clone(), catalog, names, retain, Compact::default(), dir).unwrap();
        Work { tables, keeper, compact: Compact::default(), cpu_percent: 100 }
    }

    #[test]
    fn the_pause_makes_the_share() {
        let second = Duration::from_secs(1);
        assert_eq!(rest(second, 100), Duration::ZERO);
        assert_eq!(rest(second, 50), second);
        assert_eq!(rest(second, 20), 4 * second);
        assert_eq!(rest(second, 0), 99 * second);
    }

    #[tokio::test]
    async fn a_kind_that_fails_rests_and_the_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let store: std::sync::Arc<dyn object_store::ObjectStore> =
            std::sync::Arc::new(bartizan_lake::DurableLocal::new(dir.path()).unwrap());
        let tables = Tables::open(&store, &bartizan_lake::Options::default(), Micros(0)).await.unwrap();
        let work = work(tables, dir.path()).await;
        let fails: fn(Work, Micros) -> Piece =
            |_, _| Box::pin(async { Err(LakeError::Rows { reason: "no".into() }.into()) });
        let works: fn(Work, Micros) -> Piece = |_, _| Box::pin(async { Ok(true) });
        let kind = |piece| Kind { name: "k", piece, rests_until: None };
        let mut kinds = [kind(fails), kind(works)];
        assert!(round(&work, &mut kinds).await, "the second has more");
        assert!(kinds[0].rests_until.is_some() && kinds[1].rests_until.is_none());
        assert!(!round(&work, &mut kinds[..1]).await, "it rests");
    }

    #[test]
    fn the_thread_gives_way_and_ends_when_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let work = runtime.block_on(async {
            let store: std::sync::Arc<dyn object_store::ObjectStore> =
                std::sync::Arc::new(bartizan_lake::DurableLocal::new(dir.path()).unwrap());
            let tables = Tables::open(&store, &bartizan_lake::Options::default(), Micros(0)).await.unwrap();
            work(tables, dir.path()).await
        });
        let (stop, stopped) = watch::channel(false);
        let thread = start(work, stopped).unwrap();
        stop.send_replace(true);
        thread.join().unwrap();
    }
}
