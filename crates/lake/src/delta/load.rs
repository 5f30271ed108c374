//! From the log in the object store to the state in memory.
//!
//! The newest checkpoint that can be read, then every entry after it, without a hole. A damaged checkpoint is
//! passed over for an older one or the log's beginning, as long as all entries from there on exist; a damaged
//! entry is an error, never skipped.

use super::{Action, LogFile, Metadata, Protocol, checkpoint, data_path, log_folder, log_path, parse};
use crate::error::LakeError;
use crate::files::DataFile;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Entries that are read at the same time.
const READ_AHEAD: usize = 16;

/// The sum of a log, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The last entry.
    pub version: i64,
    /// The entry that the checkpoint reached which was read, or -1.
    pub checkpoint: i64,
    pub protocol: Option<Protocol>,
    pub metadata: Option<Metadata>,
    /// By application: version and last update.
    pub txns: BTreeMap<String, (i64, Option<i64>)>,
    pub files: HashMap<Path, DataFile>,
    /// Removed files and when (milliseconds), which readers with older snapshots may still use.
    pub removed: BTreeMap<Path, Option<i64>>,
}

impl Replay {
    fn apply(&mut self, table: &Path, action: Action) -> Result<(), LakeError> {
        match action {
            Action::CommitInfo(_) => {}
            Action::Protocol(p) => {
                check_protocol(table, &p)?;
                self.protocol = Some(p);
            }
            Action::MetaData(m) => self.metadata = Some(m),
            Action::Txn(t) => {
                self.txns.insert(t.app_id, (t.version, t.last_updated));
            }
            Action::Add(add) => {
                let file = DataFile::from_add(table, &add).map_err(|what| unsupported(table, what))?;
                self.removed.remove(file.path());
                self.files.insert(file.path().clone(), file);
            }
            Action::Remove(remove) => {
                if let Some(path) = data_path(table, &remove.path) {
                    self.files.remove(&path);
                    self.removed.insert(path, remove.deletion_timestamp);
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn unsupported(table: &Path, what: String) -> LakeError {
    LakeError::Unsupported { table: table.clone(), what }
}

pub(crate) fn check_protocol(table: &Path, p: &Protocol) -> Result<(), LakeError> {
    if p.is_known() {
        return Ok(());
    }
    let what = format!("reader version {}, writer version {}", p.min_reader_version, p.min_writer_version);
    Err(unsupported(table, what))
}

/// The sum of a table's log, or nothing if there is no table.
pub(crate) async fn load(store: &dyn ObjectStore, table: &Path) -> Result<Option<Replay>, LakeError> {
    let (entries, checkpoints) = list(store, table).await?;
    if entries.is_empty() && checkpoints.is_empty() {
        return Ok(None);
    }
    let mut replay = newest_checkpoint(store, table, &entries, &checkpoints).await?;
    let last = entries.last().copied().unwrap_or(-1).max(replay.checkpoint);
    let first = replay.checkpoint + 1;
    if let Some(missing) = (first..=last).find(|v| !entries.contains(v)) {
        return Err(LakeError::Gap { table: table.clone(), version: missing });
    }
    let mut texts = futures::stream::iter(first..=last)
        .map(|version| async move { (version, read_entry(store, table, version).await) })
        .buffered(READ_AHEAD);
    let mut newest = None;
    while let Some((version, text)) = texts.next().await {
        let text = text?.ok_or_else(|| LakeError::Gap { table: table.clone(), version })?;
        for action in parse_entry(table, version, &text)? {
            replay.apply(table, action)?;
        }
        newest = Some((version, text));
    }
    if let Some((version, text)) = newest {
        settle(store, table, version, text).await?;
    }
    replay.version = last;
    Ok(Some(replay))
}

/// The versions of the entries and of the checkpoints that exist.
pub(crate) async fn list(
    store: &dyn ObjectStore,
    table: &Path,
) -> Result<(BTreeSet<i64>, BTreeSet<i64>), LakeError> {
    let folder = log_folder(table);
    let (mut entries, mut checkpoints) = (BTreeSet::new(), BTreeSet::new());
    let mut objects = store.list(Some(&folder));
    while let Some(object) = objects.try_next().await.map_err(LakeError::store("list", &folder))? {
        match object.location.filename().and_then(LogFile::of) {
            Some(LogFile::Entry(v)) => entries.insert(v),
            Some(LogFile::Checkpoint(v)) => checkpoints.insert(v),
            None => false,
        };
    }
    Ok((entries, checkpoints))
}

async fn newest_checkpoint(
    store: &dyn ObjectStore,
    table: &Path,
    entries: &BTreeSet<i64>,
    checkpoints: &BTreeSet<i64>,
) -> Result<Replay, LakeError> {
    let mut first_error = None;
    for version in checkpoints.iter().rev().copied() {
        match read_checkpoint(store, table, version).await {
            Ok(replay) => return Ok(replay),
            Err(error @ LakeError::Unsupported { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%table, version, error = %error, "checkpoint passed over");
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if !entries.contains(&0) => Err(error),
        _ => Ok(Replay { version: -1, checkpoint: -1, ..Replay::default() }),
    }
}

async fn read_checkpoint(store: &dyn ObjectStore, table: &Path, version: i64) -> Result<Replay, LakeError> {
    let path = log_path(table, LogFile::Checkpoint(version));
    let got = store.get(&path).await.map_err(LakeError::store("open", &path))?;
    let bytes = got.bytes().await.map_err(LakeError::store("read", &path))?;
    let decoded =
        tokio::task::spawn_blocking(move || checkpoint::decode(bytes)).await.map_err(LakeError::Stopped)?;
    let actions =
        decoded.map_err(|reason| LakeError::Checkpoint { table: table.clone(), version, reason })?;
    let mut replay = Replay { version, checkpoint: version, ..Replay::default() };
    for action in actions {
        replay.apply(table, action)?;
    }
    if replay.protocol.is_none() || replay.metadata.is_none() {
        let reason = "it lacks the protocol or the metadata".to_owned();
        return Err(LakeError::Checkpoint { table: table.clone(), version, reason });
    }
    Ok(replay)
}

/// The text of an entry, or nothing if it does not exist.
pub(crate) async fn read_entry(
    store: &dyn ObjectStore,
    table: &Path,
    version: i64,
) -> Result<Option<Bytes>, LakeError> {
    let path = log_path(table, LogFile::Entry(version));
    let got = match store.get(&path).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        other => other.map_err(LakeError::store("open", &path))?,
    };
    got.bytes().await.map(Some).map_err(LakeError::store("read", &path))
}

pub(crate) fn parse_entry(table: &Path, version: i64, text: &[u8]) -> Result<Vec<Action>, LakeError> {
    let damaged = |reason: String| LakeError::Entry { table: table.clone(), version, reason };
    if text.trim_ascii().is_empty() {
        return Err(damaged("it is empty".to_owned()));
    }
    parse(text).map_err(|e| damaged(e.to_string()))
}

/// Makes sure that an entry which was read is also durable, before anything is acknowledged because of it: its
/// writer may have died between naming it and syncing its folder. Putting the same bytes under the same name,
/// if it is free, does that (see `DurableLocal`), and does no harm in any store.
pub(crate) async fn settle(
    store: &dyn ObjectStore,
    table: &Path,
    version: i64,
    text: Bytes,
) -> Result<(), LakeError> {
    let path = log_path(table, LogFile::Entry(version));
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(&path, text.into(), options).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(e) => Err(LakeError::store("settle", &path)(e)),
    }
}
