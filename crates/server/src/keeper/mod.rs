//! The lake's keeper: what is asked of the lake's files, one piece of work at a time.
//!
//! Work that was begun is done, whether or not anybody still listens; a listener that does not read for long is taken
//! for one that has gone. The work itself is the lake's: what can go wrong in the middle of it is its affair.

mod copy;
mod look;
mod merging;
mod retention;
mod rules;
mod steady;

pub(crate) use copy::RESTORING;
pub use copy::{Restored, check_backup, restore_backup, verify_stopped};
pub(crate) use rules::Retain;
pub use rules::{RetainError, WrittenKeep, WrittenRetain};

use async_trait::async_trait;
use bartizan_api::{
    HoldInfo, LakeKeeper, LakeLine, LakeRefusal, LakeStatus, LakeTask, Names, NewHold, Retention,
    TableStatus, Unavailable,
};
use bartizan_catalog::{Catalog, CatalogError, Hold};
use bartizan_lake::{Compact, Space as _, Tables};
use object_store::path::Path as ObjectPath;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use crate::space::DiskSpace;

/// Lines that may wait for a listener.
const LINES: usize = 256;
/// Addresses that are erased at once.
const ADDRESSES: usize = 1000;
/// How long work waits for a listener.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the keeper does by itself.
const UPKEEP: &str = "upkeep";
/// How long a piece of it is waited for.
const UPKEEP_TAKES: Duration = Duration::from_secs(60);
/// How often a listener is told how far it is.
const NOW_AND_THEN: Duration = Duration::from_secs(1);

/// Keeps the lake.
#[derive(Clone)]
pub(crate) struct Keeper {
    tables: Tables,
    catalog: Catalog,
    names: Arc<dyn Names>,
    retain: Arc<Retain>,
    compact: Compact,
    dir: PathBuf,
    /// The files of the configuration, the first one first.
    files: Arc<Vec<PathBuf>>,
    space: Arc<DiskSpace>,
    steady: Arc<tokio::sync::Mutex<Option<steady::Steady>>>,
    /// Files that retention leaves alone because they cannot be read.
    unreadable: Arc<tokio::sync::Mutex<HashSet<ObjectPath>>>,
    doing: Arc<Mutex<Option<&'static str>>>,
    /// When the keeper looks by itself for what may go: by rules, and files.
    looks: Arc<[Mutex<Option<Instant>>; 2]>,
}

impl Keeper {
    /// The keeper of a server's lake.
    ///
    /// # Errors
    /// If a rule's filter is wrong.
    pub(crate) fn new(
        tables: Tables,
        catalog: Catalog,
        names: Arc<dyn Names>,
        retain: Retain,
        compact: Compact,
        dir: &Path,
    ) -> Result<Self, RetainError> {
        retain.policies(&[], &names.context())?;
        Ok(Self {
            tables,
            catalog,
            names,
            retain: Arc::new(retain),
            compact,
            dir: dir.to_owned(),
            files: Arc::default(),
            space: Arc::new(DiskSpace(dir.join("lake"))),
            steady: Arc::default(),
            unreadable: Arc::default(),
            doing: Arc::default(),
            looks: Arc::default(),
        })
    }

    /// With the configuration's files, which a backup has beside everything else.
    #[must_use]
    pub(crate) fn with_files(self, files: Vec<PathBuf>) -> Self {
        Self { files: Arc::new(files), ..self }
    }

    /// Whether it is time to look; then the next time is after `every`.
    fn is_time(&self, look: usize, every: Duration) -> bool {
        let mut next = self.looks[look].lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = next.is_none_or(|next| Instant::now() >= next);
        if is_time {
            *next = Some(Instant::now() + every);
        }
        is_time
    }

    fn now_doing(&self) -> Option<&'static str> {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn to work, if nobody has it.
    fn turn(&self, what: &'static str) -> Result<Turn, LakeRefusal> {
        let mut doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        match *doing {
            Some(other) => Err(LakeRefusal::Busy(other)),
            None => {
                *doing = Some(what);
                Ok(Turn(Arc::clone(&self.doing)))
            }
        }
    }

    /// The turn to work, after what the keeper does by itself; other work is not waited for.
    async fn next_turn(&self, what: &'static str) -> Result<Turn, LakeRefusal> {
        let began = Instant::now();
        loop {
            match self.turn(what) {
                Err(LakeRefusal::Busy(UPKEEP)) if began.elapsed() < UPKEEP_TAKES => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => return other,
            }
        }
    }

    /// Does work beside the asker, who is told of it.
    fn spawn<F, E>(&self, turn: Turn, work: impl FnOnce(Self, Listener) -> F) -> mpsc::Receiver<LakeLine>
    where
        F: Future<Output = Result<End, E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        let (tell, told) = mpsc::channel(LINES);
        let work = work(self.clone(), Listener { tell: tell.clone(), last: None });
        tokio::spawn(async move {
            let line = match work.await {
                Ok(End { complete, sums }) => LakeLine::End(complete, sums),
                Err(error) => {
                    let text = chain(&error);
                    tracing::error!(error = text, "work on the lake failed");
                    LakeLine::Failed(text)
                }
            };
            drop(turn);
            let _ = tell.send_timeout(line, PATIENCE).await;
        });
        told
    }
}

/// Ends when it is dropped.
struct Turn(Arc<Mutex<Option<&'static str>>>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// How work ended.
struct End {
    complete: bool,
    sums: Map<String, Value>,
}

impl End {
    /// With sums that are an object.
    fn new(complete: bool, sums: Value) -> Self {
        let Value::Object(sums) = sums else { return Self { complete, sums: Map::new() } };
        Self { complete, sums }
    }
}

/// Who asked for work.
struct Listener {
    tell: mpsc::Sender<LakeLine>,
    last: Option<Instant>,
}

impl Listener {
    /// Tells of one thing.
    async fn item(&self, item: &impl Serialize) {
        let item = serde_json::to_value(item).unwrap_or_default();
        let _ = self.tell.send_timeout(LakeLine::Item(item), PATIENCE).await;
    }

    /// Tells how far it is, now and then, if there is room for it.
    fn progress(&mut self, text: impl FnOnce() -> String) {
        if self.last.is_none_or(|last| last.elapsed() >= NOW_AND_THEN) {
            self.last = Some(Instant::now());
            let _ = self.tell.try_send(LakeLine::Progress(text()));
        }
    }
}

#[async_trait]
impl LakeKeeper for Keeper {
    async fn status(&self) -> Result<LakeStatus, LakeRefusal> {
        let now = bartizan_clock::now();
        let mut tables = Vec::new();
        for table in self.tables.all() {
            let view = table.view();
            let (rows, bytes) = view
                .files
                .iter()
                .fold((0, 0), |(rows, bytes), file| (rows + file.rows().unwrap_or(0), bytes + file.size()));
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let bytes_per_row = if rows == 0 { 0.0 } else { bytes as f64 / rows as f64 };
            tables.push(TableStatus {
                table: table.relation().to_string(),
                version: view.version,
                files: view.files.len() as u64,
                rows,
                bytes,
                bytes_per_row: (bytes_per_row * 10.0).round() / 10.0,
                hot_rows: view.rows() - rows,
                removed: table.removed(now).await.map_or(0, |(all, _)| all),
            });
        }
        let mut more = Map::new();
        if let Ok(left) = self.space.space() {
            more.insert("free".to_owned(), left.free.into());
        }
        more.insert("bytes".to_owned(), tables.iter().map(|t| t.bytes).sum::<u64>().into());
        Ok(LakeStatus { tables, doing: self.now_doing(), more })
    }

    fn retention(&self) -> Retention {
        self.retain.told()
    }

    async fn holds(&self) -> Result<Vec<HoldInfo>, LakeRefusal> {
        let holds = self.catalog.holds().await.map_err(unavailable)?;
        let info = |hold: Hold| HoldInfo {
            name: hold.name,
            table: hold.table,
            filter: hold.filter,
            comment: hold.comment,
            created: hold.created,
        };
        Ok(holds.into_iter().map(info).collect())
    }

    async fn hold(&self, new: NewHold) -> Result<(), LakeRefusal> {
        let question = |text: String| LakeRefusal::Question(text);
        if new.name.is_empty() || new.name.len() > 64 || new.comment.len() > 1000 {
            return Err(question("`name` has 1 to 64 bytes, `comment` at most 1000".to_owned()));
        }
        let relation = rules::relation(&new.table)
            .ok_or_else(|| question(format!("there is no table `{}`", new.table)))?;
        rules::rows(relation, &new.filter, &self.names.context()).map_err(question)?;
        let created = bartizan_clock::now();
        let NewHold { name, table, filter, comment } = new;
        // from here on no piece of retention begins that does not know of it; one that has begun is waited for
        let turn = self.next_turn("hold").await?;
        let hold = Hold { name, table, filter, comment, created };
        let is_new = self.catalog.add_hold(&hold).await.map_err(unavailable)?;
        drop(turn);
        if is_new { Ok(()) } else { Err(question(format!("there is a hold `{}` already", hold.name))) }
    }

    async fn release(&self, name: &str) -> Result<bool, LakeRefusal> {
        self.catalog.release_hold(name).await.map_err(unavailable)
    }

    async fn erasures(&self) -> Result<Vec<Value>, LakeRefusal> {
        let erasures = self.catalog.erasures().await.map_err(unavailable)?;
        Ok(erasures.iter().map(retention::told).collect())
    }

    async fn begin(&self, task: LakeTask) -> Result<mpsc::Receiver<LakeLine>, LakeRefusal> {
        match task {
            LakeTask::Verify(verify) => {
                let turn = self.next_turn("verify").await?;
                Ok(self.spawn(turn, |keeper, listener| look::verify(keeper, listener, verify)))
            }
            LakeTask::Compact => {
                let turn = self.next_turn("compact").await?;
                Ok(self.spawn(turn, merging::compact))
            }
            LakeTask::Vacuum(dry) => {
                let turn = self.next_turn("vacuum").await?;
                Ok(self.spawn(turn, |keeper, listener| look::vacuum(keeper, listener, dry.dry_run)))
            }
            LakeTask::Retain(dry) => {
                let turn = self.next_turn("retain").await?;
                Ok(self.spawn(turn, |keeper, listener| retention::retain(keeper, listener, dry.dry_run)))
            }
            LakeTask::Erase(asked) => {
                let addresses = asked.addresses.iter().map(|text| {
                    let wrong = || LakeRefusal::Question(format!("`{text}` is no address"));
                    text.parse::<IpAddr>().map_err(|_| wrong())
                });
                let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
                if addresses.is_empty() || addresses.len() > ADDRESSES {
                    return Err(LakeRefusal::Question(format!(
                        "1 to {ADDRESSES} addresses are erased at once"
                    )));
                }
                let turn = self.next_turn("erase").await?;
                Ok(self.spawn(turn, |keeper, listener| retention::erase(keeper, listener, asked, addresses)))
            }
            LakeTask::Backup(asked) => {
                let to = PathBuf::from(asked.to);
                if !to.is_absolute() || to.starts_with(&self.dir) || self.dir.starts_with(&to) {
                    let text = "`to` is an absolute path outside of the server's directory";
                    return Err(LakeRefusal::Question(text.to_owned()));
                }
                let turn = self.next_turn("backup").await?;
                Ok(self.spawn(turn, |keeper, listener| copy::backup(keeper, listener, to)))
            }
        }
    }
}

fn unavailable(error: CatalogError) -> LakeRefusal {
    LakeRefusal::Unavailable(Unavailable(Box::new(error)))
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

/// An object of a table and something else of it.
fn of_table(table: impl std::fmt::Display, what: &impl Serialize) -> Value {
    let mut object = json!({ "table": table.to_string() });
    if let (Value::Object(object), Ok(Value::Object(more))) = (&mut object, serde_json::to_value(what)) {
        object.extend(more);
    }
    object
}
