//! One agent a directory (fault F20).
//!
//! The directory itself is locked, which works on a disk that is full or read-only too. Its holder's process id is
//! in a file beside, for people: `DIR/agent.pid`.

use anyhow::{Context as _, bail};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long an agent that was killed may take until its lock is free.
const DYING: Duration = Duration::from_secs(5);
/// The same while its process is there: it may be somebody else's by now.
const ALIVE: Duration = Duration::from_millis(300);

/// The lock, as long as it lives.
#[derive(Debug)]
pub(crate) struct Holder {
    handle: File,
    pid_file: PathBuf,
}

impl Holder {
    /// Locks a directory, which is made if it is not there.
    pub(crate) fn lock(dir: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let handle = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
        let start = Instant::now();
        loop {
            match handle.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", dir.display()));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = pid_of(dir);
            let patience = if holder.is_some_and(is_alive) { ALIVE } else { DYING };
            if start.elapsed() > patience {
                match holder {
                    Some(pid) => bail!("{} is in use by another agent, process {pid}", dir.display()),
                    None => bail!("{} is in use by another agent", dir.display()),
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        let pid_file = dir.join("agent.pid");
        // for people only: a full disk is no reason not to start
        drop(write_new(&pid_file, &format!("{}\n", std::process::id())));
        Ok(Self { handle, pid_file })
    }

    /// The locked directory, to hand the lock on.
    pub(crate) fn handle(&self) -> &File {
        &self.handle
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.pid_file));
    }
}

/// Writes a file that nobody made before: the directory belongs to the worker, which may have left a link.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    drop(fs::remove_file(path));
    File::create_new(path)?.write_all(text.as_bytes())
}

/// The process that holds or held the lock of a directory.
pub(crate) fn pid_of(dir: &Path) -> Option<u32> {
    fs::read_to_string(dir.join("agent.pid")).ok()?.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    // a process that has died and is not buried holds nothing any more
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Holder::lock(dir.path()).unwrap();
        let refused = Holder::lock(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("another agent, process {}", std::process::id())), "{refused}");
        drop(first);
        assert_eq!(pid_of(dir.path()), None);
        Holder::lock(dir.path()).unwrap();
    }
}
