//! The commit: from hot batches to files and an entry of the log.

use crate::delta::load::{check_protocol, parse_entry, read_entry, settle, unsupported};
use crate::delta::time::day_text;
use crate::delta::{
    Action, CommitInfo, LogFile, Metadata, Protocol, Txn, data_path, log_path, print, schema,
};
use crate::encode::encode;
use crate::error::LakeError;
use crate::files::DataFile;
use crate::hot::Hot;
use crate::partition::{Part, split};
use crate::state::{Change, txn};
use crate::table::{Committed, Shared, Table, Turn};
use arrow_array::RecordBatch;
use bartizan_model::{Micros, Seq, StreamId};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Lost races after which a commit gives up and leaves it to the next.
const ATTEMPTS: u32 = 100;
/// Files of one commit that are made at the same time.
const FILES_AT_ONCE: usize = 2;
/// Rows of a day from which on a commit makes so many files of them at least: one would be made on one core alone, and
/// commits wait for each other.
const SHARED_ROWS: usize = 65_536;

impl Table {
    /// Moves all rows that are hot now to files, and their streams' marks with them, in one entry of the log.
    /// Nothing if nothing is hot. Safe to cancel: the next commit finds out what became of this one.
    ///
    /// # Errors
    /// See [`LakeError::kind`]; all rows stay hot, and a later commit takes them.
    pub async fn commit(&self, now: Micros) -> Result<Option<Committed>, LakeError> {
        let committed = self.shared.commit(now).await?;
        if committed.is_some() && self.shared.wants_checkpoint() {
            let table = self.clone();
            tokio::spawn(async move {
                if let Err(error) = table.checkpoint().await {
                    tracing::warn!(table = %table.shared.folder, %error, "checkpoint put off");
                }
                table.shared.checkpointing.store(false, Ordering::Release);
            });
        }
        Ok(committed)
    }
}

impl Shared {
    async fn commit(&self, now: Micros) -> Result<Option<Committed>, LakeError> {
        let mut turn = self.turn.lock().await;
        self.settle_turn(&mut turn).await?;
        // Who comes from here on waits for the next one.
        self.hastened.store(false, Ordering::Relaxed);
        let mut lost = 0;
        while lost < ATTEMPTS {
            let (mut version, _, hot) = self.state().view();
            if hot.is_empty() {
                return Ok(None);
            }
            self.check_space()?;
            let jobs = self.plan(&hot).await?;
            let paths: Vec<Path> = jobs.iter().map(|job| job.path.clone()).collect();
            let made = futures::stream::iter(jobs).map(|job| self.make_file(job, now));
            let files: Vec<DataFile> = match made.buffered(FILES_AT_ONCE).try_collect().await {
                Ok(files) => files,
                Err(error) => {
                    self.discard(&paths).await;
                    return Err(error);
                }
            };
            let marks = marks(&hot);
            let entry = self.entry(&marks, &files, now)?;
            turn.left.extend_from_slice(&paths);
            while lost < ATTEMPTS {
                turn.unsure = true;
                if put_entry(&*self.store, &self.folder, version + 1, entry.clone()).await? {
                    turn.unsure = false;
                    let committed = Committed {
                        version: version + 1,
                        batches: hot.len(),
                        rows: files.iter().filter_map(DataFile::rows).sum(),
                        files: files.len(),
                        bytes: files.iter().map(DataFile::size).sum(),
                    };
                    let txns = actions(&marks, now);
                    self.advance([Change { version: version + 1, files, txns, ..Change::default() }]);
                    let mut left = std::mem::take(&mut turn.left);
                    left.retain(|path| !paths.contains(path));
                    self.discard(&left).await;
                    return Ok(Some(committed));
                }
                lost += 1;
                version = self.catch_up().await?;
                turn.unsure = false;
                if hot.iter().any(|b| self.state().is_committed(b.id())) {
                    // Another writer has some of these batches, or it was ours after all: begin again with
                    // what is left.
                    self.discard(&std::mem::take(&mut turn.left)).await;
                    break;
                }
            }
        }
        Err(LakeError::Contended { table: self.folder.clone(), attempts: ATTEMPTS })
    }

    /// Finds out what became of the last entry, if that is not known.
    pub(crate) async fn settle_turn(&self, turn: &mut Turn) -> Result<(), LakeError> {
        if turn.unsure {
            let before = self.state().version;
            if self.catch_up().await? > before {
                self.discard(&std::mem::take(&mut turn.left)).await;
            }
            turn.unsure = false;
        }
        Ok(())
    }

    /// Applies the entries that others have put.
    pub(crate) async fn catch_up(&self) -> Result<i64, LakeError> {
        let before = self.state().version;
        let (mut changes, mut last) = (Vec::new(), None);
        for version in before + 1.. {
            let Some(text) = read_entry(&*self.store, &self.folder, version).await? else { break };
            changes.push(self.change_of(version, &text)?);
            last = Some((version, text));
        }
        let Some((version, text)) = last else { return Ok(before) };
        settle(&*self.store, &self.folder, version, text).await?;
        self.advance(changes);
        Ok(version)
    }

    fn change_of(&self, version: i64, text: &[u8]) -> Result<Change, LakeError> {
        let mut change = Change { version, foreign: true, ..Change::default() };
        for action in parse_entry(&self.folder, version, text)? {
            match action {
                Action::CommitInfo(_) => {}
                Action::Protocol(p) => check_protocol(&self.folder, &p)?,
                Action::MetaData(m) => {
                    schema::upgrade(self.relation, &m).map_err(|what| unsupported(&self.folder, what))?;
                    change.metadata = Some(m);
                }
                Action::Txn(txn) => change.txns.push(txn),
                Action::Add(add) => change.files.push(
                    DataFile::from_add(&self.folder, &add).map_err(|what| unsupported(&self.folder, what))?,
                ),
                Action::Remove(remove) => {
                    let path = data_path(&self.folder, &remove.path);
                    change.removed.extend(path.map(|p| (p, remove.deletion_timestamp)));
                }
            }
        }
        Ok(change)
    }

    /// Moves the state, all at once for a reader, and wakes who waits.
    pub(crate) fn advance(&self, changes: impl IntoIterator<Item = Change>) {
        let version = {
            let mut state = self.state();
            changes.into_iter().for_each(|change| state.apply(change));
            state.version
        };
        self.version.send_replace(version);
        self.room.notify_waiters();
    }

    pub(crate) fn check_space(&self) -> Result<(), LakeError> {
        self.check_space_for(0)
    }

    /// Whether so many bytes may be written beside the reserve.
    pub(crate) fn check_space_for(&self, bytes: u64) -> Result<(), LakeError> {
        let Some(space) = &self.options.space else { return Ok(()) };
        let free = space.space().map_err(LakeError::Space)?.free;
        let reserve = self.options.reserve.saturating_add(bytes);
        if free < reserve { Err(LakeError::Reserve { free, reserve }) } else { Ok(()) }
    }

    /// Which rows go to which file.
    async fn plan(&self, hot: &Hot) -> Result<Vec<Job>, LakeError> {
        let (hot, folder, most) = (hot.clone(), self.folder.clone(), self.options.file_rows.max(1));
        let plan = move || {
            let mut parts = BTreeMap::new();
            for batch in hot.iter().flat_map(|b| b.rows()) {
                split(batch, &mut parts)?;
            }
            let jobs = parts.into_iter().flat_map(|(part, rows)| {
                let folder = &folder;
                let all: usize = rows.iter().map(RecordBatch::num_rows).sum();
                let files = if all < SHARED_ROWS { 1 } else { FILES_AT_ONCE };
                let most = most.min(all.div_ceil(files)).max(1);
                cut(rows, most).into_iter().filter_map(move |rows| Job::new(folder, part, rows))
            });
            Ok(jobs.collect())
        };
        tokio::task::spawn_blocking(plan).await.map_err(LakeError::Stopped)?
    }

    async fn make_file(&self, job: Job, now: Micros) -> Result<DataFile, LakeError> {
        let (relation, path, rows) = (self.relation, job.path.clone(), job.rows);
        let encoded = tokio::task::spawn_blocking(move || encode(relation, &rows, &path))
            .await
            .map_err(LakeError::Stopped)??;
        self.put_file(job.path, job.part.day, encoded, now).await
    }

    fn entry(
        &self,
        marks: &BTreeMap<StreamId, Seq>,
        files: &[DataFile],
        now: Micros,
    ) -> Result<Bytes, LakeError> {
        let mut all = vec![info("WRITE", now)];
        all.extend(actions(marks, now).into_iter().map(Action::Txn));
        all.extend(files.iter().map(|f| Action::Add(f.to_add(&self.folder, true))));
        print_entry(&all)
    }

    /// Deletes files of a commit that did not come to be, as far as no entry names them. What stays behind is
    /// collected later.
    pub(crate) async fn discard(&self, paths: &[Path]) {
        if paths.is_empty() {
            return;
        }
        let named: Vec<Path> = {
            let state = self.state();
            state.files.iter().map(|f| f.path()).filter(|p| paths.contains(p)).cloned().collect()
        };
        for path in paths.iter().filter(|p| !named.contains(p)) {
            match self.store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::debug!(%path, %error, "unnamed file left behind"),
            }
        }
    }
}

/// Puts the entry that makes or changes a table, if no entry of that number is there.
pub(crate) async fn put_definition(
    store: &dyn ObjectStore,
    table: &Path,
    version: i64,
    metadata: Metadata,
    now: Micros,
) -> Result<(), LakeError> {
    let operation = if version == 0 { "CREATE TABLE" } else { "ADD COLUMNS" };
    let mut all = vec![info(operation, now)];
    if version == 0 {
        all.push(Action::Protocol(Protocol::OURS));
    }
    all.push(Action::MetaData(metadata));
    put_entry(store, table, version, print_entry(&all)?).await.map(|_| ())
}

/// Puts an entry where none is; false if there is one.
pub(crate) async fn put_entry(
    store: &dyn ObjectStore,
    table: &Path,
    version: i64,
    text: Bytes,
) -> Result<bool, LakeError> {
    let path = log_path(table, LogFile::Entry(version));
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&path, text.into(), options).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(e) => Err(LakeError::store("write", &path)(e)),
    }
}

pub(crate) fn info(operation: &'static str, now: Micros) -> Action {
    Action::CommitInfo(CommitInfo {
        timestamp: now.0.div_euclid(1000),
        operation,
        operation_parameters: BTreeMap::new(),
        engine_info: crate::ENGINE,
    })
}

pub(crate) fn print_entry(actions: &[Action]) -> Result<Bytes, LakeError> {
    let text = print(actions).map_err(|e| LakeError::Rows { reason: e.to_string() })?;
    Ok(text.into())
}

/// One file to be made.
struct Job {
    part: Part,
    path: Path,
    rows: Vec<RecordBatch>,
}

impl Job {
    /// Nothing if the day has no name, which `append` has made sure of.
    fn new(table: &Path, part: Part, rows: Vec<RecordBatch>) -> Option<Self> {
        let path = new_path(table, part.day);
        debug_assert!(path.is_some(), "a day outside the calendar");
        Some(Self { part, path: path?, rows })
    }
}

/// The place of a data file that does not exist yet; nothing if the day has no name.
pub(crate) fn new_path(table: &Path, day: i64) -> Option<Path> {
    let name = format!("part-{}.parquet", uuid::Uuid::new_v4());
    Some(table.clone().join(format!("date={}", day_text(day)?)).join(name))
}

/// Batches in groups of at most so many rows.
fn cut(batches: Vec<RecordBatch>, most: usize) -> Vec<Vec<RecordBatch>> {
    let (mut groups, mut group, mut room) = (Vec::new(), Vec::new(), most);
    for mut batch in batches {
        while batch.num_rows() > 0 {
            let rows = batch.num_rows().min(room);
            group.push(batch.slice(0, rows));
            batch = batch.slice(rows, batch.num_rows() - rows);
            room -= rows;
            if room == 0 {
                groups.push(std::mem::take(&mut group));
                room = most;
            }
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

/// The last number of each stream.
fn marks(hot: &Hot) -> BTreeMap<StreamId, Seq> {
    let mut marks = BTreeMap::new();
    for batch in hot.iter() {
        let mark = marks.entry(batch.id().stream).or_insert(Seq::ZERO);
        *mark = batch.id().seq.max(*mark);
    }
    marks
}

fn actions(marks: &BTreeMap<StreamId, Seq>, now: Micros) -> Vec<Txn> {
    marks.iter().map(|(stream, seq)| txn(stream, *seq, Some(now.0.div_euclid(1000)))).collect()
}
