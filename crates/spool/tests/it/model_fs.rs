//! A file system in memory that fails when told to, and that forgets what was not synced when its power is cut.
//!
//! - Kill: the cache stays; only the process is gone.
//! - Power cut: of what was not synced, any choice survives: each 512-byte sector of each write, each change of a
//!   length and each change of a name, independently of each other.
//! - A failed sync leaves the cache readable and clean: a second sync succeeds and writes nothing (fsyncgate).
//! - A failed write may have written any part of its bytes.

use bartizan_spool::{Access, Entry, Fs, FsFile};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EDQUOT: i32 = 122;
const SECTOR: usize = 512;

#[derive(Clone)]
pub(crate) struct ModelFs(Rc<RefCell<State>>);

struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    locked: bool,
    failure: Option<Failure>,
    crash_at: Option<u64>,
    crashed: bool,
    capacity: Option<usize>,
    /// Reading this byte of any file gives an error.
    bad_byte: Option<u64>,
    ops: u64,
    rng: StdRng,
}

#[derive(Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

/// After `wait` operations, `times` changing operations fail, or the one reading operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) wait: u32,
    pub(crate) times: u32,
    pub(crate) errno: i32,
}

impl ModelFs {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            locked: false,
            failure: None,
            crash_at: None,
            crashed: false,
            capacity: None,
            bad_byte: None,
            ops: 0,
            rng: StdRng::seed_from_u64(seed),
        })))
    }

    pub(crate) fn fail(&self, failure: Option<Failure>) {
        self.0.borrow_mut().failure = failure;
    }

    pub(crate) fn set_capacity(&self, bytes: Option<usize>) {
        self.0.borrow_mut().capacity = bytes;
    }

    pub(crate) fn set_bad_byte(&self, at: Option<u64>) {
        self.0.borrow_mut().bad_byte = at;
    }

    /// From this operation on, none is carried out any more.
    pub(crate) fn crash_at(&self, op: Option<u64>) {
        let mut state = self.0.borrow_mut();
        state.crash_at = op;
        state.crashed = false;
    }

    pub(crate) fn crashed(&self) -> bool {
        self.0.borrow().crashed
    }

    pub(crate) fn ops(&self) -> u64 {
        self.0.borrow().ops
    }

    pub(crate) fn used(&self) -> usize {
        self.0.borrow().used()
    }

    /// The process is gone, the machine stays.
    pub(crate) fn kill(&self) {
        self.heal();
    }

    pub(crate) fn heal(&self) {
        let mut state = self.0.borrow_mut();
        state.failure = None;
        state.crash_at = None;
        state.crashed = false;
        state.capacity = None;
    }

    /// The machine is gone; of what was not synced, any choice survives.
    pub(crate) fn power_cut(&self, seed: u64) {
        self.heal();
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        let mut rng = StdRng::seed_from_u64(seed);
        // Whole classes of luck too, not only coin flips: all of it, none of it, half of it.
        let luck = [0.0, 0.5, 0.9, 1.0][rng.random_range(0..4)];
        for change in state.name_changes.drain(..) {
            if rng.random_bool(luck) {
                apply_name(&mut state.durable_names, change);
            }
        }
        state.names = state.durable_names.clone();
        for file in &mut state.files {
            for change in file.unsynced.drain(..) {
                apply_torn(&mut file.durable, change, luck, &mut rng);
            }
            file.cached = file.durable.clone();
        }
    }
}

impl State {
    fn used(&self) -> usize {
        self.names.values().map(|&i| self.files[i].cached.len()).sum()
    }

    fn step(&mut self, changes: bool) -> io::Result<()> {
        self.ops += 1;
        if self.crash_at.is_some_and(|at| self.ops >= at) {
            self.crashed = true;
            return Err(io::Error::other("the process is dead"));
        }
        let Some(failure) = &mut self.failure else { return Ok(()) };
        if failure.wait > 0 {
            failure.wait -= 1;
            return Ok(());
        }
        let errno = failure.errno;
        failure.times = if changes { failure.times.saturating_sub(1) } else { 0 };
        if failure.times == 0 {
            self.failure = None;
        }
        Err(io::Error::from_raw_os_error(errno))
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: NameChange) {
    match change {
        NameChange::Set(path, file) => {
            names.insert(path, file);
        }
        NameChange::Remove(path) => {
            names.remove(&path);
        }
        NameChange::Rename(from, to, file) => {
            names.remove(&from);
            names.insert(to, file);
        }
    }
}

fn apply(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let end = at as usize + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at as usize..end].copy_from_slice(data);
}

fn apply_torn(bytes: &mut Vec<u8>, change: Change, luck: f64, rng: &mut StdRng) {
    match change {
        Change::SetLen(len) => {
            if rng.random_bool(luck) {
                bytes.resize(len as usize, 0);
            }
        }
        Change::Write(at, data) => {
            let mut done = 0;
            while done < data.len() {
                let place = at as usize + done;
                let end = data.len().min(done + SECTOR - place % SECTOR);
                if rng.random_bool(luck) {
                    apply(bytes, place as u64, &data[done..end]);
                }
                done = end;
            }
        }
    }
}

pub(crate) struct ModelFile {
    fs: ModelFs,
    file: usize,
}

pub(crate) struct ModelLock(ModelFs);

impl Drop for ModelLock {
    fn drop(&mut self) {
        self.0.0.borrow_mut().locked = false;
    }
}

impl Fs for ModelFs {
    type File = ModelFile;
    type Lock = ModelLock;

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.0.borrow_mut().step(true)
    }

    fn lock_dir(&self, _: &Path) -> io::Result<Option<ModelLock>> {
        let mut state = self.0.borrow_mut();
        state.step(false)?;
        Ok((!std::mem::replace(&mut state.locked, true)).then(|| ModelLock(self.clone())))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.0.borrow_mut();
        state.step(false)?;
        let entry = |(path, &file): (&PathBuf, &usize)| Entry {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            len: state.files[file].cached.len() as u64,
            is_file: true,
        };
        Ok(state.names.iter().map(entry).collect())
    }

    fn create(&self, path: &Path) -> io::Result<ModelFile> {
        let mut state = self.0.borrow_mut();
        state.step(true)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.into(), file);
        state.name_changes.push(NameChange::Set(path.into(), file));
        Ok(ModelFile { fs: self.clone(), file })
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<ModelFile> {
        let mut state = self.0.borrow_mut();
        state.step(false)?;
        Ok(ModelFile { fs: self.clone(), file: state.find(path)? })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step(true)?;
        state.find(path)?;
        state.names.remove(path);
        state.name_changes.push(NameChange::Remove(path.into()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step(true)?;
        let file = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.into(), file);
        state.name_changes.push(NameChange::Rename(from.into(), to.into(), file));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step(true)?;
        let state = &mut *state;
        for change in state.name_changes.drain(..) {
            apply_name(&mut state.durable_names, change);
        }
        Ok(())
    }
}

impl FsFile for ModelFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.fs.0.borrow_mut();
        state.step(false)?;
        if state.bad_byte.is_some_and(|bad| (at..at + buf.len() as u64).contains(&bad)) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let bytes = &state.files[self.file].cached;
        let Some(rest) = bytes.get(at as usize..) else { return Ok(0) };
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.fs.0.borrow_mut();
        let mut result = state.step(true);
        let mut n = buf.len();
        let grown = (at as usize + n).saturating_sub(state.files[self.file].cached.len());
        if state.capacity.is_some_and(|most| state.used() + grown > most) {
            result = result.and(Err(io::Error::from_raw_os_error(ENOSPC)));
        }
        if result.is_err() {
            n = state.rng.random_range(0..=n);
        }
        let file = &mut state.files[self.file];
        apply(&mut file.cached, at, &buf[..n]);
        file.unsynced.push(Change::Write(at, buf[..n].to_vec()));
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.fs.0.borrow_mut();
        state.step(true)?;
        let file = &mut state.files[self.file];
        file.cached.resize(len as usize, 0);
        file.unsynced.push(Change::SetLen(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.fs.0.borrow_mut();
        let result = state.step(true);
        let state = &mut *state;
        let file = &mut state.files[self.file];
        // A failure settles the matter: what did not get through is clean and never will. A crash settles nothing.
        if !state.crashed {
            let luck = if result.is_ok() { 1.0 } else { 0.5 };
            for change in file.unsynced.drain(..) {
                apply_torn(&mut file.durable, change, luck, &mut state.rng);
            }
        }
        result
    }
}
