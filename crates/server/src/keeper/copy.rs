//! Backup of a running server, and restore into the directory of one that is not.
//!
//! In this order:
//! 1. the collector's spool: what leaves it meanwhile is in the lake when that is copied, and what is in both is there
//!    once, because its records have the names by which the lake knows them. The end of a record that is being written
//!    was promised to nobody;
//! 2. the lake as of one moment;
//! 3. the catalog, as of a moment after that: people, access tokens, sessions, the audit log, hosts;
//! 4. the keys by which agents know the server, and the configuration's files.
//!
//! So it is as secret as the server's directory: what is beside the lake is for its owner only.

use super::retention::KeepError;
use super::{End, Keeper, Listener};
use anyhow::{Context as _, bail};
use bartizan_lake::{
    Backup, DurableLocal, Manifest, Moved, Options, Problem, Tables, compare, restore, verify_backup,
};
use bartizan_pki::AUTHORITY_FILES;
use object_store::ObjectStore;
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
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
    crate::forward::POSITION,
];
/// The catalog.
const CATALOG: &str = "catalog.db";
/// The collector's spool, in the server's directory.
const SPOOL: &str = "spool/collected";
/// Where the configuration is in a backup, and in a directory that was restored from one.
const CONFIG: &str = "config";
/// Stands in a directory while a restore into it is not finished.
pub(crate) const RESTORING: &str = "restoring";

pub(super) async fn backup(keeper: Keeper, mut listener: Listener, to: PathBuf) -> Result<End, KeepError> {
    let now = bartizan_clock::now();
    let began = std::time::Instant::now();
    let file = |what: &str, path: &Path| {
        let text = format!("{what} {}", path.display());
        move |source| KeepError::File(text, source)
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&to).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => KeepError::Elsewhere(to.display().to_string(), error),
        _ => file("make", &to)(error),
    })?;
    let store: Arc<dyn ObjectStore> = Arc::new(
        DurableLocal::new(&to).map_err(|e| KeepError::File(format!("use {}", to.display()), e.into()))?,
    );
    let mut backup = Backup::begin(store, now).await?;
    let folder = to.join(backup.beside());
    fs::DirBuilder::new().mode(0o700).create(&folder).map_err(file("make", &folder))?;
    let spool = keeper.dir.join(SPOOL);
    for name in segments(&spool).map_err(file("read", &spool))? {
        let path = spool.join(&name);
        if let Some(bytes) = read(&path).map_err(file("read", &path))? {
            backup.add_beside(&format!("{SPOOL}/{name}"), bytes.into()).await?;
        }
    }
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
        if let Some(bytes) = read(&path).map_err(file("read", &path))? {
            backup.add_beside(name, bytes.into()).await?;
        }
    }
    for path in keeper.files.iter() {
        if let Some(bytes) = read(path).map_err(file("read", path))? {
            backup.add_beside(&format!("{CONFIG}/{}", name_of(path, &keeper.files)), bytes.into()).await?;
        }
    }
    protect(&folder).map_err(file("protect", &folder))?;
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
        "bytes_copied": moved.bytes, "beside": manifest.beside().count(), "kept": moved.kept, "damaged": damaged,
        "took_ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(End::new(damaged == 0, sums))
}

/// The segments of a spool, the oldest first.
fn segments(spool: &Path) -> std::io::Result<Vec<String>> {
    let entries = match fs::read_dir(spool) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().filter(|name| name.ends_with(".seg")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// What is in a file; nothing if there is none (any more).
fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// What a file of the configuration is called in a backup: drop-ins are in a folder beside the first file.
fn name_of(path: &Path, all: &[PathBuf]) -> String {
    let name = |path: Option<&std::ffi::OsStr>| path.unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent();
    if folder == all.first().and_then(|first| first.parent()) {
        return name(path.file_name());
    }
    format!("{}/{}", name(folder.and_then(Path::file_name)), name(path.file_name()))
}

/// Lets nobody but its owner into a folder and what is in it.
fn protect(path: &Path) -> std::io::Result<()> {
    let is_folder = fs::symlink_metadata(path)?.is_dir();
    fs::set_permissions(path, fs::Permissions::from_mode(if is_folder { 0o700 } else { 0o600 }))?;
    if is_folder {
        for entry in fs::read_dir(path)? {
            protect(&entry?.path())?;
        }
    }
    Ok(())
}

/// Gives a folder and all that is in it to somebody.
fn give(path: &Path, owner: (u32, u32)) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(owner.0), Some(owner.1))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether each file of a backup is what was written; the names of those that are not.
///
/// # Errors
/// If there is no backup, or it cannot be read.
pub async fn check_backup(from: &Path) -> anyhow::Result<(Manifest, Vec<String>)> {
    if !from.is_dir() {
        bail!("there is no directory {}", from.display());
    }
    Ok(verify_backup(&DurableLocal::new(from)?, |_| {}).await?)
}

/// What came of a restore.
#[derive(Debug)]
pub struct Restored {
    /// What was restored.
    pub manifest: Manifest,
    /// What is wrong with it: what was wrong already when the backup was made.
    pub problems: Vec<Problem>,
}

/// Restores a backup into a directory that is empty, or where a restore was not finished, and verifies every row. What is
/// restored belongs to whom the directory belongs to.
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
    for name in manifest.beside() {
        let first = dir.join(name.split('/').next().unwrap_or(name));
        protect(&first).with_context(|| format!("cannot protect {}", first.display()))?;
    }
    let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new(&dir.join("lake"))?);
    let tables = Tables::open(&store, &Options::default(), bartizan_clock::now()).await?;
    compare(&tables, &manifest)?;
    let mut problems = Vec::new();
    for table in tables.all() {
        problems.extend(table.verify(true).await?);
    }
    let owner = fs::metadata(dir)?;
    if rustix::process::geteuid().is_root() && owner.uid() != 0 {
        give(dir, (owner.uid(), owner.gid()))
            .with_context(|| format!("cannot give {} away", dir.display()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_configuration_keep_their_places() {
        let files = [
            "/etc/bartizan/server.toml",
            "/etc/bartizan/server.d/10-lake.toml",
            "/etc/bartizan/prefixes.toml",
        ];
        let files = files.map(PathBuf::from);
        let names = files.iter().map(|path| name_of(path, &files)).collect::<Vec<_>>();
        assert_eq!(names, ["server.toml", "server.d/10-lake.toml", "prefixes.toml"]);
    }

    #[test]
    fn segments_come_in_their_order_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["00000000000000000009-b-0.seg", "00000000000000000001-a-0.seg", "acked", "x.seg.bad"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = segments(dir.path()).unwrap();
        assert_eq!(found, ["00000000000000000001-a-0.seg", "00000000000000000009-b-0.seg"]);
        assert!(segments(&dir.path().join("none")).unwrap().is_empty());
        protect(dir.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(dir.path()), mode(&dir.path().join("acked"))), (0o700, 0o600));
    }
}
