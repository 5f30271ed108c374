//! Backup of a running server, and restore into the directory of one that is not.
//!
//! Beside the lake a backup has the catalog, as of a moment after the lake's, and the keys by which agents know the
//! server; so it is as secret as the server's directory. The collector's spool is not in it: what waits there is
//! not in the lake yet.

use super::retention::KeepError;
use super::{End, Keeper, Listener};
use anyhow::{Context as _, bail};
use bartizan_lake::{Backup, DurableLocal, Manifest, Moved, Options, Problem, Tables, compare, restore};
use bartizan_pki::AUTHORITY_FILES;
use object_store::ObjectStore;
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files of the server's directory that go with it.
const BESIDE: &[&str] = &[
    AUTHORITY_FILES[0],
    AUTHORITY_FILES[1],
    AUTHORITY_FILES[2],
    "ca.pem",
    "server.key",
    "admin.token",
    "collector.id",
];
/// The catalog.
const CATALOG: &str = "catalog.db";
/// Stands in a directory while a restore into it is not finished.
pub(crate) const RESTORING: &str = "restoring";

pub(super) async fn backup(keeper: Keeper, mut listener: Listener, to: PathBuf) -> Result<End, KeepError> {
    let now = bartizan_clock::now();
    let began = std::time::Instant::now();
    let file = |what: &str, path: &Path| {
        let text = format!("{what} {}", path.display());
        move |source| KeepError::File(text, source)
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&to).map_err(file("make", &to))?;
    let store: Arc<dyn ObjectStore> = Arc::new(
        DurableLocal::new(&to).map_err(|e| KeepError::File(format!("use {}", to.display()), e.into()))?,
    );
    let mut backup = Backup::begin(store, now).await?;
    let tell = |moved: &Moved| listener.progress(|| format!("{} MB copied", moved.bytes >> 20));
    backup.add_lake(&keeper.tables, tell).await?;
    let copy = keeper.dir.join("catalog.copy");
    remove(&copy).map_err(file("remove", &copy))?;
    keeper.catalog.copy_to(&copy).await?;
    let bytes = fs::read(&copy).map_err(file("read", &copy))?;
    remove(&copy).map_err(file("remove", &copy))?;
    backup.add_beside(CATALOG, bytes.into()).await?;
    for name in BESIDE {
        let path = keeper.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => backup.add_beside(name, bytes.into()).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(file("read", &path)(error)),
        }
    }
    let (manifest, moved) = backup.finish().await?;
    let mut damaged = 0;
    for (table, copy) in &manifest.tables {
        damaged += copy.damaged.len();
        listener
            .item(&json!({
                "table": table, "version": copy.version, "files": copy.files, "rows": copy.rows,
                "damaged": copy.damaged.len(),
            }))
            .await;
        for file in &copy.damaged {
            listener.item(&json!({ "table": table, "file": file, "problem": "damaged" })).await;
        }
    }
    let rows: u64 = manifest.tables.values().map(|t| t.rows).sum();
    let sums = json!({
        "to": to.display().to_string(), "rows": rows, "files": manifest.files.len(), "copied": moved.files,
        "bytes_copied": moved.bytes, "kept": moved.kept, "damaged": damaged,
        "took_ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(End::new(damaged == 0, sums))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What came of a restore.
#[derive(Debug)]
pub struct Restored {
    /// What was restored.
    pub manifest: Manifest,
    /// What is wrong with it: what was wrong already when the backup was made.
    pub problems: Vec<Problem>,
}

/// Restores a backup into a directory that is empty, or where a restore was not finished, and verifies every row.
///
/// # Errors
/// If there is something else in the directory, or anything in the backup is not what was written.
pub async fn restore_backup(from: &Path, dir: &Path) -> anyhow::Result<Restored> {
    if !from.is_dir() {
        bail!("there is no directory {}", from.display());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let marker = dir.join(RESTORING);
    let is_empty =
        fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?.next().is_none();
    if !is_empty && !marker.exists() {
        bail!("{} is not empty: a restore takes an empty directory", dir.display());
    }
    let _lock = crate::run::lock(dir)?;
    fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))?;
    let target = DurableLocal::new(dir)?;
    let manifest = restore(&DurableLocal::new(from)?, &target, |_| {}).await?;
    for name in BESIDE.iter().chain(&[CATALOG]) {
        let path = dir.join(name);
        if path.exists() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .with_context(|| format!("cannot protect {}", path.display()))?;
        }
    }
    let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new(&dir.join("lake"))?);
    let tables = Tables::open(&store, &Options::default(), bartizan_clock::now()).await?;
    compare(&tables, &manifest)?;
    let mut problems = Vec::new();
    for table in tables.all() {
        problems.extend(table.verify(true).await?);
    }
    fs::remove_file(&marker)?;
    fs::File::open(dir)?.sync_all()?;
    Ok(Restored { manifest, problems })
}

/// Verifies the lake of a server that does not run; problems by table.
///
/// # Errors
/// If a server runs there, or there is no lake.
pub async fn verify_stopped(dir: &Path, quick: bool) -> anyhow::Result<Vec<(String, Problem)>> {
    let lake = dir.join("lake");
    if !lake.is_dir() {
        bail!("there is no lake in {}", dir.display());
    }
    let _lock = crate::run::lock(dir)?;
    let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new(&lake)?);
    let tables = Tables::open(&store, &Options::default(), bartizan_clock::now()).await?;
    let mut problems = Vec::new();
    for table in tables.all() {
        let found = table.verify(!quick).await?;
        problems.extend(found.into_iter().map(|problem| (table.relation().to_string(), problem)));
    }
    Ok(problems)
}
