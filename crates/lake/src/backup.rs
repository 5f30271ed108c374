//! A consistent copy of the lake somewhere else, made while it is written, and the way back.
//!
//! ```text
//! BACKUP/manifest.json                       what belongs to it, with size and checksum; written last
//! BACKUP/lake/TABLE/date=DAY/part-UUID.parquet
//! BACKUP/lake/TABLE/_delta_log/N.checkpoint.parquet    the table as of its entry N
//! BACKUP/server-UUID/...                     what others added: the catalog, keys
//! ```
//!
//! Invariants
//! - B1, a moment: a table is copied as of one entry of its log; `events` before the rollups that are made from it, so
//!   that what a reader may see of a running lake is what it may see of the copy.
//! - B2, whole or not there: the manifest is replaced by the next in one step, and names only what is there and synced.
//!   A backup that was interrupted is the one before it, with some files that it does not need.
//! - B3, known bytes: a file is copied if its bytes are those that its log names; what is damaged already is told, and
//!   not copied. A restore takes only bytes that the manifest knows.
//! - Files never change, so the second backup to a place copies what is new.
//!
//! Files that readers of the moment need are not deleted meanwhile ([`Table::pin`]).

use crate::delta::{LogFile, log_path};
use crate::error::LakeError;
use crate::files::tag;
use crate::table::Table;
use crate::tables::Tables;
use bartizan_model::Micros;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";
/// The folder of the tables.
const LAKE: &str = "lake";
/// How the folder begins that has what is beside the lake. Each backup has its own: the one before is not touched.
const BESIDE: &str = "server-";
/// The form of the manifest.
const FORMAT: u32 = 1;

/// Why a backup or a restore did not happen.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no finished backup.
    #[error("there is no `{MANIFEST}`: this is no backup, or it was never finished")]
    NoManifest,
    /// The manifest is not what was written.
    #[error("`{MANIFEST}` is damaged: {0}")]
    Manifest(String),
    /// Files are not what was written.
    #[error("{} files of the backup are missing or damaged, the first is `{}`", .0.len(), .0.first().map_or("", String::as_str))]
    Damaged(Vec<String>),
    /// The copy does not have what the manifest says.
    #[error("after the restore `{table}` has {found} rows instead of {expected}")]
    Rows {
        /// The table.
        table: String,
        /// Rows by the manifest.
        expected: u64,
        /// Rows in fact.
        found: u64,
    },
    /// A place refused an operation.
    #[error("cannot {operation} `{path}`")]
    Store {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which object.
        path: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Bytes.
    pub size: u64,
    /// CRC-32C of them.
    pub crc32c: String,
}

/// One table of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCopy {
    /// The entry of its log that it is as of.
    pub version: i64,
    /// Data files.
    pub files: u64,
    /// Rows, by the log.
    pub rows: u64,
    /// Files that could not be copied because they are missing or damaged.
    pub damaged: Vec<String>,
}

/// What belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// When it was begun, in microseconds since 1970.
    pub made: i64,
    /// What made it.
    pub engine: String,
    /// The tables.
    pub tables: BTreeMap<String, TableCopy>,
    /// Every file, from the backup's root.
    pub files: BTreeMap<String, Copied>,
    /// CRC-32C of all this, printed with this text empty.
    crc32c: String,
}

/// What a backup copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there from the backup before.
    pub kept: u64,
}

impl Manifest {
    /// Files that are not of the lake, by the names that they had there.
    pub fn beside(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|name| match name.split_once('/') {
            Some((folder, rest)) if folder.starts_with(BESIDE) => Some(rest),
            _ => None,
        })
    }

    /// That of the backup at a place; nothing if there is none.
    ///
    /// # Errors
    /// If it is damaged, or the place does not answer.
    pub async fn read(from: &dyn ObjectStore) -> Result<Option<Self>, BackupError> {
        let path = Path::from(MANIFEST);
        let got = match from.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(failed("open", &path))?,
        };
        let bytes = got.bytes().await.map_err(failed("read", &path))?;
        let wrong = |text: String| BackupError::Manifest(text);
        let read: Self = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if read.format != FORMAT {
            return Err(wrong(format!(
                "its form is {}, and this program knows {FORMAT}: run a newer one",
                read.format
            )));
        }
        if read.sealed().crc32c == read.crc32c {
            Ok(Some(read))
        } else {
            Err(wrong("it is not what was written".to_owned()))
        }
    }

    fn sealed(&self) -> Self {
        let mut plain = Self { crc32c: String::new(), ..self.clone() };
        let text = serde_json::to_vec(&plain).unwrap_or_default();
        plain.crc32c = checksum(&text);
        plain
    }
}

/// A backup that is being made.
#[derive(Debug)]
pub struct Backup {
    to: Arc<dyn ObjectStore>,
    before: BTreeMap<String, Copied>,
    manifest: Manifest,
    /// The folder of what is beside the lake. Of a name that no backup had: a moment may come twice.
    beside: String,
    moved: Moved,
}

impl Backup {
    /// Begins one, to a place where none is, or one that it takes the place of.
    ///
    /// # Errors
    /// If the place does not answer. A damaged manifest there is as none.
    pub async fn begin(to: Arc<dyn ObjectStore>, now: Micros) -> Result<Self, BackupError> {
        let before = match Manifest::read(&*to).await {
            Ok(manifest) => manifest.map(|m| m.files).unwrap_or_default(),
            Err(BackupError::Manifest(_)) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let manifest = Manifest {
            format: FORMAT,
            made: now.0,
            engine: crate::ENGINE.to_owned(),
            tables: BTreeMap::new(),
            files: BTreeMap::new(),
            crc32c: String::new(),
        };
        let beside = format!("{BESIDE}{}", uuid::Uuid::new_v4());
        Ok(Self { to, before, manifest, beside, moved: Moved::default() })
    }

    /// The folder of what others add, from the backup's root.
    #[must_use]
    pub fn beside(&self) -> &str {
        &self.beside
    }

    /// Adds a file of others.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn add_beside(&mut self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        self.add(&format!("{}/{name}", self.beside), bytes).await
    }

    async fn add(&mut self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        let path = Path::from(name);
        let copied = Copied { size: bytes.len() as u64, crc32c: checksum(&bytes) };
        self.to.put(&path, bytes.into()).await.map_err(failed("write", &path))?;
        self.moved.files += 1;
        self.moved.bytes += copied.size;
        self.manifest.files.insert(path.to_string(), copied);
        Ok(())
    }

    /// Copies all tables. `tell` hears how much was copied.
    ///
    /// # Errors
    /// If a place does not answer. A damaged file of the lake is no error.
    pub async fn add_lake(
        &mut self,
        tables: &Tables,
        mut tell: impl FnMut(&Moved),
    ) -> Result<(), BackupError> {
        let pins: Vec<_> = tables.all().map(Table::pin).collect();
        // B1: all of them now, in the order of `all`
        let moments: Vec<_> = tables.all().map(|table| (table, table.shared.state().sum())).collect();
        for (table, sum) in moments {
            let mut copy = TableCopy { version: sum.version, files: 0, rows: 0, damaged: Vec::new() };
            for file in sum.files() {
                copy.files += 1;
                copy.rows += file.rows().unwrap_or(0);
                let name = format!("{LAKE}/{}", file.path());
                if !self.has(&name, file.size(), file.tag(tag::CRC32C)).await? {
                    match table.shared.whole(file).await {
                        Ok(bytes) => self.add(&name, bytes).await?,
                        Err(error @ (LakeError::MissingFile { .. } | LakeError::Checksum { .. })) => {
                            tracing::error!(%error, "not in the backup");
                            copy.damaged.push(file.path().to_string());
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                tell(&self.moved);
            }
            let folder = table.shared.folder.clone();
            let (version, snapshot) = (sum.version, sum.portable().into_snapshot(&folder));
            let encode = move || snapshot.encode().map_err(|e| e.to_string());
            let bytes = tokio::task::spawn_blocking(encode).await.map_err(LakeError::Stopped)?;
            let bytes =
                bytes.map_err(|reason| LakeError::Checkpoint { table: folder.clone(), version, reason })?;
            let path = log_path(&folder, LogFile::Checkpoint(version));
            self.add(&format!("{LAKE}/{path}"), bytes).await?;
            self.manifest.tables.insert(table.relation().to_string(), copy);
        }
        drop(pins);
        Ok(())
    }

    /// Whether the backup before has a file, and it is there still.
    async fn has(&mut self, name: &str, size: u64, crc32c: Option<&str>) -> Result<bool, BackupError> {
        let Some(before) = self.before.get(name) else { return Ok(false) };
        if before.size != size || crc32c.is_some_and(|crc| crc != before.crc32c) {
            return Ok(false);
        }
        let path = Path::from(name);
        match self.to.head(&path).await {
            Ok(found) if found.size == size => {
                self.moved.kept += 1;
                self.manifest.files.insert(name.to_owned(), before.clone());
                Ok(true)
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }

    /// Makes it the backup, and deletes what it does not need. What it has, and what was copied for it.
    ///
    /// # Errors
    /// If the manifest cannot be written: then the backup before is still the one that counts.
    pub async fn finish(self) -> Result<(Manifest, Moved), BackupError> {
        let manifest = self.manifest.sealed();
        let text = serde_json::to_vec(&manifest).map_err(|e| BackupError::Manifest(e.to_string()))?;
        let path = Path::from(MANIFEST);
        self.to.put(&path, text.into()).await.map_err(failed("write", &path))?;
        let names: HashSet<&str> = manifest.files.keys().map(String::as_str).collect();
        let is_known = |name: &str| self.before.contains_key(name) || is_of_a_lake(name);
        let needless = |name: &str| name != MANIFEST && !names.contains(name) && is_known(name);
        let root = Path::default();
        let found: Vec<_> = self.to.list(None).try_collect().await.map_err(failed("list", &root))?;
        for object in found.iter().filter(|o| needless(o.location.as_ref())) {
            if let Err(error) = self.to.delete(&object.location).await {
                tracing::warn!(path = %object.location, %error, "left in the backup");
            }
        }
        Ok((manifest, self.moved))
    }
}

/// Whether each file of a backup is what was written; the names of those that are not.
///
/// # Errors
/// If there is no backup, or the place does not answer.
pub async fn verify_backup(
    from: &dyn ObjectStore,
    mut tell: impl FnMut(&Moved),
) -> Result<(Manifest, Vec<String>), BackupError> {
    let manifest = Manifest::read(from).await?.ok_or(BackupError::NoManifest)?;
    let (mut wrong, mut moved) = (Vec::new(), Moved::default());
    for (name, copied) in &manifest.files {
        if read(from, name, copied).await?.is_none() {
            wrong.push(name.clone());
        }
        moved.files += 1;
        moved.bytes += copied.size;
        tell(&moved);
    }
    Ok((manifest, wrong))
}

/// Copies a backup to a place. What is there is overwritten.
///
/// # Errors
/// If there is no backup, any of its files is not what was written, or a place does not answer. What was copied until
/// then is not to be used.
pub async fn restore(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    mut tell: impl FnMut(&Moved),
) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(from).await?.ok_or(BackupError::NoManifest)?;
    let (mut wrong, mut moved) = (Vec::new(), Moved::default());
    for (name, copied) in &manifest.files {
        let Some(bytes) = read(from, name, copied).await? else {
            wrong.push(name.clone());
            continue;
        };
        // what is beside the lake comes back beside it
        let place = match name.split_once('/') {
            Some((folder, rest)) if folder.starts_with(BESIDE) => rest,
            _ => name.as_str(),
        };
        let path = Path::from(place);
        to.put(&path, bytes.into()).await.map_err(failed("write", &path))?;
        moved.files += 1;
        moved.bytes += copied.size;
        tell(&moved);
    }
    if wrong.is_empty() { Ok(manifest) } else { Err(BackupError::Damaged(wrong)) }
}

/// Whether tables have as many rows as the backup that they were restored from.
///
/// # Errors
/// Names the first that does not.
pub fn compare(tables: &Tables, manifest: &Manifest) -> Result<(), BackupError> {
    let rows: HashMap<String, u64> =
        tables.all().map(|table| (table.relation().to_string(), table.view().rows())).collect();
    for (table, copy) in &manifest.tables {
        let found = rows.get(table).copied().unwrap_or(0);
        if found != copy.rows {
            return Err(BackupError::Rows { table: table.clone(), expected: copy.rows, found });
        }
    }
    Ok(())
}

/// Whether a file has a name as a backup gives them: perhaps from one that was not finished.
fn is_of_a_lake(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    match parts.as_slice() {
        [beside, _, ..] if beside.starts_with(BESIDE) => true,
        [LAKE, _, "_delta_log", file] => matches!(LogFile::of(file), Some(LogFile::Checkpoint(_))),
        [LAKE, table, ..] => crate::keep::is_ours(&Path::from(*table), &Path::from(parts[1..].join("/"))),
        _ => false,
    }
}

/// The bytes of a file, if they are what was written.
async fn read(from: &dyn ObjectStore, name: &str, copied: &Copied) -> Result<Option<Bytes>, BackupError> {
    let path = Path::from(name);
    let got = match from.get(&path).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        other => other.map_err(failed("open", &path))?,
    };
    let bytes = got.bytes().await.map_err(failed("read", &path))?;
    Ok((bytes.len() as u64 == copied.size && checksum(&bytes) == copied.crc32c).then_some(bytes))
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(bytes))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(object_store::Error) -> BackupError {
    let path = path.clone();
    move |source| BackupError::Store { operation, path, source }
}
