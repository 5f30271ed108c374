//! Keeping house: checkpoints, collecting what is no longer needed, finding what is wrong.

use crate::delta::{Action, LogFile, Remove, log_folder, log_path};
use crate::error::LakeError;
use crate::files::{DataFile, relative};
use crate::state::Change;
use crate::table::{Shared, Table};
use crate::write::{info, print_entry, put_entry};
use bartizan_model::Micros;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// What [`Table::collect`] deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Entries and checkpoints that a newer checkpoint covers.
    pub log_files: u64,
    /// Data files that no log names.
    pub data_files: u64,
}

/// One thing that [`Table::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The log names a file that does not exist. Its rows are lost unless it comes back from a backup.
    Missing {
        /// The file.
        path: Path,
        /// How many rows it held, where the log says.
        rows: Option<u64>,
    },
    /// A file is not as long as the log says.
    WrongSize {
        /// The file.
        path: Path,
        /// Bytes by the log.
        expected: u64,
        /// Bytes in fact.
        found: u64,
    },
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: Path,
        /// Why not.
        reason: String,
    },
    /// No log names this data file: the rest of a crash, or newer than a log that came from a backup.
    Unnamed {
        /// The file.
        path: Path,
        /// Bytes.
        size: u64,
    },
    /// The log could not be loaded at a start.
    Log {
        /// Why not.
        reason: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path, rows: Some(n) } => write!(f, "`{path}` is missing, with {n} rows"),
            Self::Missing { path, rows: None } => write!(f, "`{path}` is missing"),
            Self::WrongSize { path, expected, found } => {
                write!(f, "`{path}` has {found} bytes instead of {expected}")
            }
            Self::Unreadable { path, reason } => write!(f, "`{path}` cannot be read: {reason}"),
            Self::Unnamed { path, size } => write!(f, "`{path}` ({size} bytes) is named by no log"),
            Self::Log { reason } => write!(f, "the log cannot be loaded: {reason}"),
        }
    }
}

impl Shared {
    /// Whether a checkpoint is due and nobody writes one; the caller must, then.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        let every = self.options.checkpoint_every;
        let due = {
            let state = self.state();
            every > 0 && state.version - state.checkpoint.max(0) >= every
        };
        due && !self.checkpointing.swap(true, Ordering::Acquire)
    }

    async fn objects(&self, folder: &Path) -> Result<Vec<ObjectMeta>, LakeError> {
        self.store.list(Some(folder)).try_collect().await.map_err(LakeError::store("list", folder))
    }

    async fn delete(&self, path: &Path) -> Result<(), LakeError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(LakeError::store("delete", path)(e)),
        }
    }

    /// Our data files in the table's folder.
    async fn data_objects(&self) -> Result<Vec<ObjectMeta>, LakeError> {
        let mut objects = self.objects(&self.folder).await?;
        objects.retain(|o| is_ours(&self.folder, &o.location));
        Ok(objects)
    }
}

impl Table {
    /// Writes the sum of the log up to now as one file, from which the next start begins, and says up to which
    /// entry. Commits go on meanwhile. Commits start this by themselves; see `Options::checkpoint_every`.
    ///
    /// # Errors
    /// If the file cannot be written; nothing is lost by that.
    pub async fn checkpoint(&self) -> Result<i64, LakeError> {
        let shared = &self.shared;
        shared.check_space()?;
        let (sum, table) = (shared.state().sum(), shared.folder.clone());
        let version = sum.version;
        let encode = move || {
            let snapshot = sum.into_snapshot(&table);
            snapshot.encode().map(|bytes| (bytes, snapshot.len())).map_err(|e| LakeError::Checkpoint {
                table,
                version,
                reason: e.to_string(),
            })
        };
        let (bytes, size) = tokio::task::spawn_blocking(encode).await.map_err(LakeError::Stopped)??;
        let put = async |path: Path, bytes: bytes::Bytes| {
            shared.store.put(&path, bytes.into()).await.map_err(LakeError::store("write", &path))
        };
        put(log_path(&shared.folder, LogFile::Checkpoint(version)), bytes).await?;
        let hint = serde_json::json!({"version": version, "size": size}).to_string();
        put(log_folder(&shared.folder).join("_last_checkpoint"), hint.into()).await?;
        let mut state = shared.state();
        state.checkpoint = state.checkpoint.max(version);
        Ok(version)
    }

    /// Deletes log files that are covered by the last two checkpoints and old enough, and data files that this
    /// process has seen unnamed for long enough. The last checkpoint but one stays, with all entries after it,
    /// so that one damaged checkpoint is no harm.
    ///
    /// # Errors
    /// If the store fails; what was deleted until then was right.
    pub async fn collect(&self, now: Micros) -> Result<Collected, LakeError> {
        let shared = &self.shared;
        let _turn = shared.turn.lock().await;
        shared.catch_up().await?;
        Ok(Collected { log_files: self.collect_log(now).await?, data_files: self.collect_data(now).await? })
    }

    async fn collect_log(&self, now: Micros) -> Result<u64, LakeError> {
        let shared = &self.shared;
        let known = shared.state().checkpoint;
        let log: Vec<(LogFile, ObjectMeta)> = shared
            .objects(&log_folder(&shared.folder))
            .await?
            .into_iter()
            .filter_map(|o| Some((LogFile::of(o.location.filename()?)?, o)))
            .collect();
        let spare = log.iter().filter_map(|(file, _)| match file {
            LogFile::Checkpoint(v) if *v < known => Some(*v),
            _ => None,
        });
        let Some(spare) = spare.max() else { return Ok(0) };
        let held = shared.held();
        let mut deleted = 0;
        for (file, object) in log {
            let covered = match file {
                LogFile::Entry(v) => v <= spare && held.is_none_or(|held| v < held),
                LogFile::Checkpoint(v) => v < spare,
            };
            if covered && is_older(&object, now, shared.options.log_age) {
                shared.delete(&object.location).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    async fn collect_data(&self, now: Micros) -> Result<u64, LakeError> {
        let shared = &self.shared;
        let age = shared.options.orphan_age;
        let unnamed = self.unnamed().await?;
        let ripe: Vec<Path> = {
            let mut seen = shared.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::take(&mut *seen);
            *seen = unnamed
                .iter()
                .map(|o| (o.location.clone(), before.get(&o.location).copied().unwrap_or(now)))
                .collect();
            unnamed
                .iter()
                .filter(|o| is_older(o, now, age))
                .map(|o| &o.location)
                .filter(|path| seen.get(*path).is_some_and(|first| now.0.saturating_sub(first.0) >= age))
                .cloned()
                .collect()
        };
        for path in &ripe {
            shared.delete(path).await?;
        }
        Ok(ripe.len() as u64)
    }

    /// Our data files that neither the log nor its removals name.
    async fn unnamed(&self) -> Result<Vec<ObjectMeta>, LakeError> {
        let mut objects = self.shared.data_objects().await?;
        let state = self.shared.state();
        let named: HashSet<&Path> =
            state.files.iter().map(|f| f.path()).chain(state.removed.keys()).collect();
        objects.retain(|o| !named.contains(&o.location));
        drop(named);
        Ok(objects)
    }

    /// Compares log and files and lists what does not fit; with `deep`, every file is read. Changes nothing.
    ///
    /// # Errors
    /// If the store cannot list the files.
    pub async fn verify(&self, deep: bool) -> Result<Vec<Problem>, LakeError> {
        let mut problems = Vec::new();
        if let Err(error) = self.reload().await {
            problems.push(Problem::Log { reason: error.to_string() });
        }
        let view = self.view();
        let listed = self.shared.objects(&self.shared.folder).await?;
        let sizes: HashMap<&Path, u64> = listed.iter().map(|o| (&o.location, o.size)).collect();
        for file in view.files.iter() {
            let path = file.path().clone();
            match sizes.get(file.path()) {
                None => problems.push(Problem::Missing { path, rows: file.rows() }),
                Some(found) if *found != file.size() => {
                    problems.push(Problem::WrongSize { path, expected: file.size(), found: *found });
                }
                Some(_) if deep => {
                    if let Err(error) = self.read(file).await {
                        let source =
                            std::error::Error::source(&error).map_or(String::new(), |s| format!(": {s}"));
                        problems.push(Problem::Unreadable { path, reason: format!("{error}{source}") });
                    }
                }
                Some(_) => {}
            }
        }
        let unnamed = self.unnamed().await?;
        problems.extend(unnamed.into_iter().map(|o| Problem::Unnamed { path: o.location, size: o.size }));
        Ok(problems)
    }

    /// Takes files that do not exist out of the log, so that questions which would need them are answered
    /// without them, and says which. The person who asks for this has decided that they will not come back.
    ///
    /// # Errors
    /// If the store fails or other writers keep winning the next entry; then nothing was changed.
    pub async fn forget_missing(&self, now: Micros) -> Result<Vec<Arc<DataFile>>, LakeError> {
        let shared = &self.shared;
        let mut turn = shared.turn.lock().await;
        loop {
            let version = shared.catch_up().await?;
            let there: HashSet<Path> =
                shared.objects(&shared.folder).await?.into_iter().map(|o| o.location).collect();
            let files = self.view().files;
            let missing: Vec<_> = files.iter().filter(|f| !there.contains(f.path())).cloned().collect();
            if missing.is_empty() {
                return Ok(missing);
            }
            let at = Some(now.0.div_euclid(1000));
            let mut actions = vec![info("FSCK", now)];
            actions.extend(missing.iter().map(|f| {
                let path = relative(&shared.folder, f.path());
                Action::Remove(Remove { path, deletion_timestamp: at, data_change: true })
            }));
            turn.unsure = true;
            let put = put_entry(&*shared.store, &shared.folder, version + 1, print_entry(&actions)?).await?;
            turn.unsure = false;
            if put {
                let removed = missing.iter().map(|f| (f.path().clone(), at)).collect();
                shared.advance([Change {
                    version: version + 1,
                    removed,
                    foreign: true,
                    ..Change::default()
                }]);
                return Ok(missing);
            }
        }
    }
}

/// Whether a data file has a name as we give them: `date=DAY/part-UUID.parquet`. Others are not touched.
fn is_ours(table: &Path, path: &Path) -> bool {
    let Some(parts) = path.prefix_match(table) else { return false };
    let parts: Vec<_> = parts.collect();
    let [day, name] = parts.as_slice() else { return false };
    let uuid = name.as_ref().strip_prefix("part-").and_then(|n| n.strip_suffix(".parquet"));
    day.as_ref().starts_with("date=") && uuid.is_some_and(|u| uuid::Uuid::try_parse(u).is_ok())
}

fn is_older(object: &ObjectMeta, now: Micros, age: i64) -> bool {
    now.0.saturating_sub(object.last_modified.timestamp_micros()) >= age
}
