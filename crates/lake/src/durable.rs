//! An object store on the local file system whose writes survive a power cut.
//!
//! Purpose: `object_store`'s own local store renames files into place but never syncs them. This wrapper
//! answers a `put` only when the object, its name and every folder on the way to it are on the disk.
//!
//! Invariants
//! - A name appears only after the bytes behind it are synced: temporary file, `fdatasync`, then `link` (if
//!   the name must be new) or `rename`, then `fsync` of the folder.
//! - `AlreadyExists` is answered only after an `fsync` of the folder, so that the caller may act on an object
//!   that somebody else named but did not live to sync.
//! - A folder is used only after this process itself has synced its name in its parent, up to the root: a
//!   folder that exists may have been made by a process that died before it synced.
//!
//! On failure the temporary file is removed and the error is returned. If only the last `fsync` failed, the
//! object may be visible: such a put is neither done nor undone, and the caller must look.
//! Temporary files are called `NAME#DIGITS`, which listing hides; those left by a crash are removed by
//! [`DurableLocal::remove_temporary`].
//!
//! It does not write in parts (`put_multipart`): nothing in the lake needs it yet.

use async_trait::async_trait;
use bartizan_model::Micros;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;
use std::{fmt, ops::Range};

/// One thing that the store asks of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make a folder.
    MakeDir,
    /// Make a temporary file.
    CreateTemporary,
    /// Fill it.
    Write,
    /// Sync it.
    SyncFile,
    /// Give it its name.
    Name,
    /// Sync a folder.
    SyncDir,
    /// Read or list.
    Read,
    /// Delete an object.
    Delete,
}

/// Sees every [`Step`], and may forbid it: for measuring, and for tests that let the disk fail.
pub trait Probe: fmt::Debug + Send + Sync {
    /// Before a step; an error is returned in the step's place.
    ///
    /// # Errors
    /// Whatever the disk is to answer.
    fn before(&self, step: Step, path: &FsPath) -> io::Result<()>;

    /// After a step that succeeded.
    fn after(&self, step: Step, path: &FsPath);
}

/// How much space is left where a table is written.
pub trait Space: fmt::Debug + Send + Sync {
    /// Bytes free for us and bytes in all.
    ///
    /// # Errors
    /// If the file system cannot be asked.
    fn space(&self) -> io::Result<SpaceLeft>;
}

/// An answer of [`Space`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceLeft {
    /// Free for an ordinary user.
    pub free: u64,
    /// Size of the file system.
    pub total: u64,
}

/// The durable local store; see the module's head.
#[derive(Debug, Clone)]
pub struct DurableLocal {
    inner: Arc<LocalFileSystem>,
    disk: Disk,
}

/// The steps, each with the probe around it.
#[derive(Debug, Clone)]
struct Disk {
    root: PathBuf,
    probe: Option<Arc<dyn Probe>>,
    /// Folders whose names this process has synced.
    synced: Arc<Mutex<HashSet<PathBuf>>>,
}

impl DurableLocal {
    /// The store of a folder, which is made (durably) if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be made, synced or opened.
    pub fn new(root: &FsPath) -> Result<Self> {
        Self::with_probe(root, None)
    }

    /// The same, with every step shown to a probe.
    ///
    /// # Errors
    /// As [`DurableLocal::new`].
    pub fn with_probe(root: &FsPath, probe: Option<Arc<dyn Probe>>) -> Result<Self> {
        let absolute = std::path::absolute(root).map_err(generic)?;
        make_root(&absolute).map_err(generic)?;
        let root = absolute.canonicalize().map_err(generic)?;
        let inner = Arc::new(LocalFileSystem::new_with_prefix(&root)?);
        Ok(Self { inner, disk: Disk { root, probe, synced: Arc::default() } })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &FsPath {
        &self.disk.root
    }

    /// Removes temporary files that were last written before a moment, and says how many. Only files named
    /// as this store names them are touched. Choose a moment before which no write can have begun that still
    /// runs, in any process.
    ///
    /// # Errors
    /// If a folder cannot be read or a file cannot be removed.
    pub async fn remove_temporary(&self, before: Micros) -> Result<u64> {
        let disk = self.disk.clone();
        blocking(move || remove_temporary(&disk, &disk.root, before).map_err(generic)).await
    }

    async fn allow(&self, step: Step, location: &Path) -> Result<()> {
        let path = self.disk.root.join(location.as_ref());
        self.disk.before(step, &path).map_err(generic)
    }
}

impl Space for DurableLocal {
    fn space(&self) -> io::Result<SpaceLeft> {
        let s = rustix::fs::statvfs(&self.disk.root)?;
        Ok(SpaceLeft {
            free: s.f_bavail.saturating_mul(s.f_frsize),
            total: s.f_blocks.saturating_mul(s.f_frsize),
        })
    }
}

impl Disk {
    fn before(&self, step: Step, path: &FsPath) -> io::Result<()> {
        self.probe.as_ref().map_or(Ok(()), |p| p.before(step, path))
    }

    fn step<T>(&self, step: Step, path: &FsPath, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.before(step, path)?;
        let done = act()?;
        if let Some(probe) = &self.probe {
            probe.after(step, path);
        }
        Ok(done)
    }

    /// Makes a folder below the root and those above it, and syncs their names.
    fn ensure_dir(&self, dir: &FsPath) -> io::Result<()> {
        let known = |d: &FsPath| self.synced.lock().unwrap_or_else(PoisonError::into_inner).contains(d);
        if dir == self.root || known(dir) {
            return Ok(());
        }
        let parent = dir.parent().ok_or_else(|| io::Error::other("a folder outside the store"))?;
        self.ensure_dir(parent)?;
        if !dir.is_dir() {
            match self.step(Step::MakeDir, dir, || fs::create_dir(dir)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        self.sync_dir(parent)?;
        self.synced.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    fn sync_dir(&self, dir: &FsPath) -> io::Result<()> {
        self.step(Step::SyncDir, dir, || File::open(dir)?.sync_all())
    }

    fn put(&self, target: &FsPath, payload: &PutPayload, must_be_new: bool) -> io::Result<()> {
        let dir = target.parent().ok_or_else(|| io::Error::other("an object outside the store"))?;
        self.ensure_dir(dir)?;
        if must_be_new && target.try_exists()? {
            // Before anything is written: this answer is needed on a full disk, too.
            self.sync_dir(dir)?;
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let temporary = temporary_name(target);
        let named = self.write_and_name(&temporary, target, payload, must_be_new);
        if must_be_new || named.is_err() {
            // Left behind, it costs space until it is collected, and nothing else.
            let _ = self.before(Step::Delete, &temporary).and_then(|()| fs::remove_file(&temporary));
        }
        match named {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            // Whoever named it may have died before this.
            other => self.sync_dir(dir).and(other),
        }
    }

    fn write_and_name(
        &self,
        temporary: &FsPath,
        target: &FsPath,
        payload: &PutPayload,
        must_be_new: bool,
    ) -> io::Result<()> {
        let mut file = self.step(Step::CreateTemporary, temporary, || {
            OpenOptions::new().write(true).create_new(true).open(temporary)
        })?;
        self.step(Step::Write, temporary, || payload.iter().try_for_each(|part| file.write_all(part)))?;
        self.step(Step::SyncFile, temporary, || file.sync_data())?;
        self.step(Step::Name, target, || {
            if must_be_new { fs::hard_link(temporary, target) } else { fs::rename(temporary, target) }
        })
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let must_be_new = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(not_implemented("put of a known version")),
        };
        let target = self.inner.path_to_filesystem(location)?;
        let disk = self.disk.clone();
        let path = location.to_string();
        blocking(move || match disk.put(&target, &payload, must_be_new) {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(e) if must_be_new && e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path, source: Box::new(e) })
            }
            Err(e) => Err(generic(e)),
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(not_implemented("put in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.allow(Step::Read, location).await?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.allow(Step::Read, location).await?;
        self.inner.get_ranges(location, ranges).await
    }

    /// Deletions are not synced: an object that comes back after a power cut is collected again.
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let disk = self.disk.clone();
        let allowed = locations.map(move |location| {
            let location = location?;
            disk.before(Step::Delete, &disk.root.join(location.as_ref())).map_err(generic)?;
            Ok(location)
        });
        self.inner.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.disk.before(Step::Read, &self.disk.root) {
            Ok(()) => self.inner.list(prefix),
            Err(e) => futures::stream::once(async { Err(generic(e)) }).boxed(),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.disk.before(Step::Read, &self.disk.root) {
            Ok(()) => self.inner.list_with_offset(prefix, offset),
            Err(e) => futures::stream::once(async { Err(generic(e)) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.allow(Step::Read, prefix.unwrap_or(&Path::default())).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(not_implemented("copy"))
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableLocal({})", self.disk.root.display())
    }
}

/// `NAME#DIGITS`: hidden by the inner store's listing, in the same folder so that a rename is one step.
fn temporary_name(target: &FsPath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::new_v4().as_u128()));
    PathBuf::from(name)
}

fn is_temporary(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(before, after)| {
        !before.is_empty() && !after.is_empty() && after.bytes().all(|b| b.is_ascii_digit())
    })
}

fn remove_temporary(disk: &Disk, dir: &FsPath, before: Micros) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            removed += remove_temporary(disk, &entry.path(), before)?;
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_temporary) {
            let modified = entry.metadata()?.modified()?;
            let age = modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
            if i64::try_from(age).is_ok_and(|m| m < before.0) {
                disk.before(Step::Delete, &entry.path())?;
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn make_root(root: &FsPath) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        if !parent.is_dir() {
            make_root(parent)?;
        }
        match fs::create_dir(root) {
            Ok(()) => File::open(parent)?.sync_all()?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(act).await?
}

fn generic(source: io::Error) -> Error {
    Error::Generic { store: "DurableLocal", source: Box::new(source) }
}

fn not_implemented(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "DurableLocal".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;

    #[derive(Debug, Default)]
    struct Recorder(Mutex<Vec<(Step, String)>>);

    impl Probe for Recorder {
        fn before(&self, _: Step, _: &FsPath) -> io::Result<()> {
            Ok(())
        }

        fn after(&self, step: Step, path: &FsPath) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let name = name.split_once('#').map_or(name.to_owned(), |(n, _)| format!("{n}#"));
            self.0.lock().unwrap().push((step, name));
        }
    }

    #[tokio::test]
    async fn a_put_is_synced_in_the_order_that_survives_a_power_cut() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let seen = Arc::new(Recorder::default());
        let store = DurableLocal::with_probe(&root, Some(Arc::clone(&seen) as Arc<dyn Probe>)).unwrap();
        let path = Path::from("a/b");
        let put = |text: &'static str, mode| {
            store.put_opts(&path, text.into(), PutOptions { mode, ..Default::default() })
        };
        put("1", PutMode::Create).await.unwrap();
        let file = |step, name: &str| (step, name.to_owned());
        let steps = std::mem::take(&mut *seen.0.lock().unwrap());
        assert_eq!(
            steps,
            [
                file(Step::MakeDir, "a"),
                file(Step::SyncDir, "root"),
                file(Step::CreateTemporary, "b#"),
                file(Step::Write, "b#"),
                file(Step::SyncFile, "b#"),
                file(Step::Name, "b"),
                file(Step::SyncDir, "a"),
            ]
        );
        assert!(matches!(put("2", PutMode::Create).await, Err(Error::AlreadyExists { .. })));
        assert_eq!(seen.0.lock().unwrap().last(), Some(&file(Step::SyncDir, "a")));
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "1");
        put("3", PutMode::Overwrite).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "3");
        assert_eq!(fs::read_dir(root.join("a")).unwrap().count(), 1, "no temporary file is left");
    }

    #[tokio::test]
    async fn only_old_temporary_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableLocal::new(dir.path()).unwrap();
        for name in ["x.json#12", "x.json", "x#y", "#5"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(store.remove_temporary(Micros(1_000_000)).await.unwrap(), 0);
        assert_eq!(store.remove_temporary(Micros(i64::MAX)).await.unwrap(), 1);
        assert!(!dir.path().join("x.json#12").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
