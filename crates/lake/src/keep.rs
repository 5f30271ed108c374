//! Keeping house: checkpoints, and deleting what is no longer needed.
//!
//! Three kinds of files are no longer needed, each after an age of its own ([`crate::Options`]):
//! - log entries and checkpoints that a newer checkpoint covers;
//! - data files that no log names: what a crash left, or newer than a log that came from a backup. They are deleted
//!   only after a week of being seen so (fault F39);
//! - data files that an entry has removed. Readers with an older view may still read them, so they stay for a grace
//!   that outlives every question; and as long as somebody follows the log ([`Table::hold`]) from an entry that added
//!   them; and as long as anybody has pinned the table ([`Table::pin`]).
//!
//! A file that is deleted and comes back (a power cut undoes a deletion that was not synced) is deleted again.

use crate::delta::load::{parse_entry, read_entry};
use crate::delta::{Action, LogFile, data_path, log_folder, log_path};
use crate::error::LakeError;
use crate::table::{Shared, Table};
use bartizan_model::Micros;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Serialize;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Objects that are read or deleted at the same time.
const AT_ONCE: usize = 16;

/// What [`Table::collect`] deleted, or would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Entries and checkpoints that a newer checkpoint covers.
    pub log_files: u64,
    /// Data files that no log names.
    pub data_files: u64,
    /// Data files that an entry removed.
    pub removed_files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Collected {
    fn add(&mut self, bytes: u64, count: impl FnOnce(&mut Self) -> &mut u64) {
        *count(self) += 1;
        self.bytes += bytes;
    }
}

/// Keeps the files of every view that is taken after it from being deleted, until it is dropped.
#[derive(Debug)]
pub struct Pin(Arc<Shared>);

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
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

    pub(crate) async fn objects(&self, folder: &Path) -> Result<Vec<ObjectMeta>, LakeError> {
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

    /// Keeps files from being deleted; see [`Pin`].
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.shared.pins.fetch_add(1, Ordering::SeqCst);
        Pin(Arc::clone(&self.shared))
    }

    /// Deletes log files that are covered by the last two checkpoints and old enough, data files that were removed
    /// long enough ago, and data files that this process has seen unnamed for long enough. The last checkpoint but
    /// one stays, with all entries after it, so that one damaged checkpoint is no harm.
    ///
    /// # Errors
    /// If the store fails; what was deleted until then was right.
    pub async fn collect(&self, now: Micros) -> Result<Collected, LakeError> {
        let mut collected = Collected::default();
        {
            let _turn = self.shared.turn.lock().await;
            self.shared.catch_up().await?;
            self.collect_log(now, &mut collected).await?;
            self.collect_unnamed(now, &mut collected).await?;
        }
        self.collect_removed(now, &mut collected).await?;
        Ok(collected)
    }

    /// How many data files were removed and are not deleted yet, and how many of them [`Table::collect`] would delete
    /// now.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn removed(&self, now: Micros) -> Result<(u64, u64), LakeError> {
        let all = self.shared.state().removed.len() as u64;
        Ok((all, self.ripe(now).await?.len() as u64))
    }

    async fn collect_log(&self, now: Micros, collected: &mut Collected) -> Result<(), LakeError> {
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
        let Some(spare) = spare.max() else { return Ok(()) };
        let held = shared.held();
        for (file, object) in log {
            let covered = match file {
                LogFile::Entry(v) => v <= spare && held.is_none_or(|held| v < held),
                LogFile::Checkpoint(v) => v < spare,
            };
            if covered && is_older(&object, now, shared.options.log_age) {
                shared.delete(&object.location).await?;
                collected.add(object.size, |c| &mut c.log_files);
            }
        }
        Ok(())
    }

    async fn collect_unnamed(&self, now: Micros, collected: &mut Collected) -> Result<(), LakeError> {
        let shared = &self.shared;
        let age = shared.options.orphan_age;
        let unnamed = self.unnamed().await?;
        let ripe: Vec<&ObjectMeta> = {
            let mut seen = shared.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::take(&mut *seen);
            *seen = unnamed
                .iter()
                .map(|o| (o.location.clone(), before.get(&o.location).copied().unwrap_or(now)))
                .collect();
            unnamed
                .iter()
                .filter(|o| is_older(o, now, age))
                .filter(|o| seen.get(&o.location).is_some_and(|first| now.0.saturating_sub(first.0) >= age))
                .collect()
        };
        for object in ripe {
            shared.delete(&object.location).await?;
            collected.add(object.size, |c| &mut c.data_files);
        }
        Ok(())
    }

    async fn collect_removed(&self, now: Micros, collected: &mut Collected) -> Result<(), LakeError> {
        let shared = &self.shared;
        let ripe = self.ripe(now).await?;
        if ripe.is_empty() {
            return Ok(());
        }
        let there: std::collections::HashMap<Path, u64> =
            shared.data_objects().await?.into_iter().map(|o| (o.location, o.size)).collect();
        for path in ripe {
            if shared.pins.load(Ordering::SeqCst) > 0 {
                return Ok(());
            }
            if let Some(size) = there.get(&path) {
                shared.delete(&path).await?;
                collected.add(*size, |c| &mut c.removed_files);
            }
            shared.state().removed.remove(&path);
        }
        Ok(())
    }

    /// Deletes removed files whatever their age, as far as nobody has pinned the table or follows the entries that
    /// added them; which of them are still there.
    pub(crate) async fn expunge(&self, files: &[Path]) -> Result<Vec<Path>, LakeError> {
        let shared = &self.shared;
        let followed = self.followed().await?;
        let mut left = Vec::new();
        for path in files {
            let is_live = shared.state().files.iter().any(|f| f.path() == path);
            if is_live || followed.contains(path) || shared.pins.load(Ordering::SeqCst) > 0 {
                left.push(path.clone());
                continue;
            }
            shared.delete(path).await?;
            shared.state().removed.remove(path);
        }
        Ok(left)
    }

    /// The removed files that nobody needs any more.
    async fn ripe(&self, now: Micros) -> Result<Vec<Path>, LakeError> {
        let shared = &self.shared;
        if shared.pins.load(Ordering::SeqCst) > 0 {
            return Ok(Vec::new());
        }
        let age = shared.options.removed_age;
        let is_old = |at: i64| now.0.saturating_sub(at.saturating_mul(1000)) >= age;
        let mut ripe: Vec<Path> = {
            let state = shared.state();
            let old = state.removed.iter().filter(|(_, at)| at.is_none_or(is_old));
            old.map(|(path, _)| path.clone()).collect()
        };
        if !ripe.is_empty() {
            let followed = self.followed().await?;
            ripe.retain(|path| !followed.contains(path));
        }
        Ok(ripe)
    }

    /// The files that the entries name which somebody still reads.
    async fn followed(&self) -> Result<HashSet<Path>, LakeError> {
        let shared = &self.shared;
        let (Some(held), last) = (shared.held(), shared.state().version) else { return Ok(HashSet::new()) };
        let entries = futures::stream::iter(held.max(0)..=last).map(async |version| {
            let text = read_entry(&*shared.store, &shared.folder, version).await?;
            // an entry that is not kept any more is read by nobody
            text.map_or(Ok(Vec::new()), |text| parse_entry(&shared.folder, version, &text))
        });
        let mut paths = HashSet::new();
        let mut entries = std::pin::pin!(entries.buffered(AT_ONCE));
        while let Some(actions) = entries.try_next().await? {
            let adds = actions.into_iter().filter_map(|action| match action {
                Action::Add(add) if add.data_change => data_path(&shared.folder, &add.path),
                _ => None,
            });
            paths.extend(adds);
        }
        Ok(paths)
    }

    /// Our data files that neither the log nor its removals name.
    pub(crate) async fn unnamed(&self) -> Result<Vec<ObjectMeta>, LakeError> {
        let mut objects = self.shared.data_objects().await?;
        let state = self.shared.state();
        let named: HashSet<&Path> =
            state.files.iter().map(|f| f.path()).chain(state.removed.keys()).collect();
        objects.retain(|o| !named.contains(&o.location));
        drop(named);
        Ok(objects)
    }
}

/// Whether a data file has a name as we give them: `date=DAY/part-UUID.parquet`. Others are not touched.
pub(crate) fn is_ours(table: &Path, path: &Path) -> bool {
    let Some(parts) = path.prefix_match(table) else { return false };
    let parts: Vec<_> = parts.collect();
    let [day, name] = parts.as_slice() else { return false };
    let uuid = name.as_ref().strip_prefix("part-").and_then(|n| n.strip_suffix(".parquet"));
    day.as_ref().starts_with("date=") && uuid.is_some_and(|u| uuid::Uuid::try_parse(u).is_ok())
}

fn is_older(object: &ObjectMeta, now: Micros, age: i64) -> bool {
    now.0.saturating_sub(object.last_modified.timestamp_micros()) >= age
}
