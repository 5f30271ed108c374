use crate::delta::load::{self, Replay, load, unsupported};
use crate::delta::{Metadata, schema};
use crate::error::LakeError;
use crate::files::{DataFile, Files};
use crate::hot::{Hot, HotBatch};
use crate::options::Options;
use crate::partition::Times;
use crate::state::State;
use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{ArrowError, SchemaRef};
use bartizan_model::{BatchId, Micros, Seq, StreamId};
use bartizan_schema::Relation;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// When somebody waits for a commit, it is due at such a part of the size and of the age at which it is otherwise: so many
/// small files more do not matter for as long as a sender catches up.
const HASTENED: (u64, i64) = (4, 10);

/// One Delta table, open for reading and writing. Copies are handles of the same table.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub relation: Relation,
    pub folder: Path,
    pub store: Arc<dyn ObjectStore>,
    pub options: Options,
    state: Mutex<State>,
    /// Held by whoever moves the version.
    pub turn: tokio::sync::Mutex<Turn>,
    pub version: watch::Sender<i64>,
    pub room: Notify,
    pub checkpointing: AtomicBool,
    /// Files that no log names, and when that was first seen.
    pub unnamed: Mutex<HashMap<Path, Micros>>,
    /// Held by the compactor: files that it leaves alone because they cannot be read.
    pub compacting: tokio::sync::Mutex<HashSet<Path>>,
    /// A [`Backlog`].
    pub backlog: AtomicU8,
    /// Who still reads the log, and from which entry on.
    pub holds: Mutex<HashMap<String, i64>>,
    /// How many keep removed files from being deleted.
    pub pins: AtomicUsize,
    /// Somebody waits for the next commit.
    pub hastened: AtomicBool,
}

/// How compaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Backlog {
    /// There is nothing to do, or nobody who does it: whoever waited for it would wait for ever.
    Idle,
    /// The last piece of work was done, and there may be more.
    Worked,
    /// The last piece of work failed. Who appends does not wait for it.
    Stuck,
}

/// What the one who moves the version leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// The fate of the last entry put is not known.
    pub unsure: bool,
    /// Files of entries that failed. They may be deleted only when the number of that entry is taken: until
    /// then a slow store may still bring the entry that names them.
    pub left: Vec<Path>,
}

impl Shared {
    /// The state. A panic while it was held is a bug of ours in code that cannot leave it half changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a batch may come. Where compaction works but does not keep up, commits would make files faster than
    /// they are merged, and every question would pay for that: then who appends waits. Where compaction fails, rows
    /// are worth more than speed.
    fn has_room(&self, state: &State, bytes: u64) -> bool {
        let works = self.backlog.load(Ordering::Acquire) == Backlog::Worked as u8;
        if works && state.fresh >= self.options.fresh_files {
            return false;
        }
        state.hot.is_empty() || state.hot_bytes.saturating_add(bytes) <= self.options.hot_limit
    }
}

/// What became of a batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// It is readable, and in the log with the next commit.
    Appended,
    /// It was here before.
    Duplicate,
    /// There is no room: wait for [`Table::room`] and append it again before any later batch of its stream.
    Busy,
}

/// What a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The entry of the log.
    pub version: i64,
    /// Batches whose marks it carries.
    pub batches: usize,
    /// Rows.
    pub rows: u64,
    /// Data files.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Totals over the hot batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotTotals {
    /// Batches.
    pub batches: usize,
    /// Bytes, as the callers of `append` stated them.
    pub bytes: u64,
    /// When the oldest came. An age of minutes means that commits fail (fault F41).
    pub oldest: Option<Micros>,
}

/// What can be read at a moment: each row once. Later commits, also ones that remove files, do not change it.
#[derive(Debug, Clone)]
pub struct View {
    /// The entry of the log up to which the files reach.
    pub version: i64,
    /// Files that the log names.
    pub files: Files,
    /// Batches that no file holds yet.
    pub hot: Hot,
}

impl View {
    /// The files that may hold a row with `since <= time < until`.
    #[must_use]
    pub fn files_between(&self, since: Micros, until: Micros) -> Vec<Arc<DataFile>> {
        self.files.iter().filter(|f| f.may_hold(since, until)).cloned().collect()
    }

    /// The hot batches that may hold such a row.
    #[must_use]
    pub fn hot_between(&self, since: Micros, until: Micros) -> Vec<Arc<HotBatch>> {
        self.hot.iter().filter(|b| b.may_hold(since, until)).cloned().collect()
    }
}

impl Table {
    /// Opens a table, in the folder of its name, and makes it if there is none.
    ///
    /// # Errors
    /// If the store fails, the log is damaged, or the table needs what this version does not know.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        relation: impl Into<Relation>,
        options: Options,
        now: Micros,
    ) -> Result<Self, LakeError> {
        let relation = relation.into();
        let folder = Path::from(relation.as_str());
        let (replay, metadata) = Self::load_or_make(&*store, &folder, relation, now).await?;
        let state = State::new(replay, metadata);
        Ok(Self {
            shared: Arc::new(Shared {
                relation,
                folder,
                store,
                options,
                version: watch::Sender::new(state.version),
                state: Mutex::new(state),
                turn: tokio::sync::Mutex::default(),
                room: Notify::new(),
                checkpointing: AtomicBool::new(false),
                unnamed: Mutex::default(),
                compacting: tokio::sync::Mutex::default(),
                backlog: AtomicU8::new(Backlog::Idle as u8),
                holds: Mutex::default(),
                pins: AtomicUsize::new(0),
                hastened: AtomicBool::new(false),
            }),
        })
    }

    async fn load_or_make(
        store: &dyn ObjectStore,
        folder: &Path,
        relation: Relation,
        now: Micros,
    ) -> Result<(Replay, Metadata), LakeError> {
        loop {
            let (version, metadata) = match load(store, folder).await? {
                None => (0, schema::new_metadata(relation, now)),
                Some(replay) => {
                    let found = replay.metadata.clone().filter(|_| replay.protocol.is_some());
                    let found = found.ok_or_else(|| unsupported(folder, "a log without metadata".into()))?;
                    match schema::upgrade(relation, &found).map_err(|what| unsupported(folder, what))? {
                        None => return Ok((replay, found)),
                        Some(upgraded) => (replay.version + 1, upgraded),
                    }
                }
            };
            // Whoever comes first: the next turn of the loop reads what there is then.
            crate::write::put_definition(store, folder, version, metadata, now).await?;
        }
    }

    /// Which table it is.
    #[must_use]
    pub fn relation(&self) -> Relation {
        self.shared.relation
    }

    /// Where its files are.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.shared.store
    }

    /// Takes a batch: rows in the table's schema, complete, and their weight in bytes. A batch without rows
    /// only moves its stream's mark. Batches of a stream come in the order of their numbers; a number that is
    /// not above all before it is a duplicate.
    ///
    /// # Errors
    /// [`LakeError::Rows`] if the rows are not in the schema, `received` is no sane time, or the number of the
    /// batch is above 2^63 - 1.
    pub fn append(
        &self,
        id: BatchId,
        rows: Vec<RecordBatch>,
        bytes: u64,
        now: Micros,
    ) -> Result<Append, LakeError> {
        if i64::try_from(id.seq.0).is_err() {
            return Err(LakeError::Rows { reason: format!("the batch number {}", id.seq.0) });
        }
        let time = check_rows(self.shared.relation, &rows)?;
        let mut state = self.shared.state();
        if id.seq <= state.received(&id.stream) {
            return Ok(Append::Duplicate);
        }
        if !self.shared.has_room(&state, bytes) {
            return Ok(Append::Busy);
        }
        state.heat(HotBatch::new(id, rows, bytes, now, time));
        Ok(Append::Appended)
    }

    /// Waits until a batch of so many bytes has room.
    pub async fn room(&self, bytes: u64) {
        loop {
            let mut changed = std::pin::pin!(self.shared.room.notified());
            changed.as_mut().enable();
            {
                let state = self.shared.state();
                if self.shared.has_room(&state, bytes) {
                    return;
                }
            }
            changed.await;
        }
    }

    /// What can be read now.
    #[must_use]
    pub fn view(&self) -> View {
        let (version, files, hot) = self.shared.state().view();
        View { version, files, hot }
    }

    /// The last batch of a stream that is in the log, for good: it may be acknowledged.
    #[must_use]
    pub fn committed(&self, stream: &StreamId) -> Seq {
        self.shared.state().committed(stream)
    }

    /// The last batch of a stream that is in the log or hot.
    #[must_use]
    pub fn received(&self, stream: &StreamId) -> Seq {
        self.shared.state().received(stream)
    }

    /// The newest entry of the log, as it changes. Look at [`Table::committed`] after each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<i64> {
        self.shared.version.subscribe()
    }

    /// Totals over what is not committed.
    #[must_use]
    pub fn hot(&self) -> HotTotals {
        let state = self.shared.state();
        HotTotals {
            batches: state.hot.len(),
            bytes: state.hot_bytes,
            oldest: state.hot.iter().next().map(|b| b.arrived()),
        }
    }

    /// Lets the next commit come sooner: somebody may soon send no more before he hears of one.
    pub fn hasten(&self) {
        self.shared.hastened.store(true, Ordering::Relaxed);
    }

    /// Whether a commit is due, by size or by age; sooner, where [`Table::hasten`] was called since the last one.
    #[must_use]
    pub fn is_due(&self, now: Micros) -> bool {
        let (hot, options) = (self.hot(), &self.shared.options);
        let (bytes, age) = match self.shared.hastened.load(Ordering::Relaxed) {
            true => (options.commit_bytes / HASTENED.0, options.commit_age / HASTENED.1),
            false => (options.commit_bytes, options.commit_age),
        };
        hot.oldest.is_some_and(|oldest| hot.bytes >= bytes || now.0.saturating_sub(oldest.0) >= age)
    }

    /// All rows of a file, in the table's schema; columns that the file is too old for are null.
    ///
    /// # Errors
    /// [`LakeError::MissingFile`], or if the file cannot be read or understood.
    pub async fn read(&self, file: &DataFile) -> Result<Vec<RecordBatch>, LakeError> {
        let path = file.path().clone();
        let got = match self.shared.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Err(LakeError::MissingFile { path }),
            other => other.map_err(LakeError::store("open", &path))?,
        };
        let bytes = got.bytes().await.map_err(LakeError::store("read", &path))?;
        let relation = self.shared.relation;
        tokio::task::spawn_blocking(move || {
            ParquetRecordBatchReaderBuilder::try_new(bytes)
                .and_then(|b| b.with_batch_size(65_536).build())
                .and_then(|reader| reader.map(|batch| Ok(conform(&relation.schema(), &batch?)?)).collect())
                .map_err(|source| LakeError::Parquet { path, source })
        })
        .await
        .map_err(LakeError::Stopped)?
    }

    /// Takes over what other writers have committed since, and says the newest entry.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn refresh(&self) -> Result<i64, LakeError> {
        let _turn = self.shared.turn.lock().await;
        self.shared.catch_up().await
    }

    /// Finds out what became of the last entry, if putting it failed in a way that tells nothing. What is prepared
    /// from a view that is older than such an entry is refused ([`LakeError::Replaced`]).
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(crate) async fn settle(&self) -> Result<(), LakeError> {
        self.shared.settle_turn(&mut *self.shared.turn.lock().await).await
    }

    /// Reads the log anew, as after a start.
    pub(crate) async fn reload(&self) -> Result<Replay, LakeError> {
        let replay = load::load(&*self.shared.store, &self.shared.folder).await?;
        Ok(replay.unwrap_or_else(|| Replay { version: -1, ..Replay::default() }))
    }
}

/// The bounds of the rows' times, if the rows are as they should be.
fn check_rows(relation: Relation, rows: &[RecordBatch]) -> Result<Option<(Micros, Micros)>, LakeError> {
    let schema = relation.schema();
    let mut all: Option<(i64, i64)> = None;
    for batch in rows {
        let fields = batch.schema_ref();
        if !Arc::ptr_eq(fields, &schema) && fields.fields() != schema.fields() {
            return Err(LakeError::Rows { reason: format!("not in the schema of `{relation}`") });
        }
        if let Some(times) = Times::of(batch)? {
            let (min, max) = all.unwrap_or(times.time);
            all = Some((min.min(times.time.0), max.max(times.time.1)));
        }
    }
    Ok(all.map(|(min, max)| (Micros(min), Micros(max))))
}

/// The columns of a schema in its types; those that the rows do not have are null.
pub(crate) fn conform(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => arrow_cast::cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
