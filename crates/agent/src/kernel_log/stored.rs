//! The position in a file of its own, for hosts whose firewall says nothing for long: the notes of records, which
//! have it as well, come with rows only.
//!
//! The file is one line, `STAMP POSITION`. The stamp is the number of the last note when it was written: a later
//! note has a position that is at least as new.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two writes.
const EVERY: Duration = Duration::from_secs(5);

/// The file, and what is to be written to it.
#[derive(Debug)]
pub(crate) struct Stored {
    path: PathBuf,
    wanted: Option<Arc<str>>,
    written: Option<Instant>,
}

impl Stored {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, wanted: None, written: None }
    }

    /// The stamp and the position in the file.
    pub(crate) fn read(&self) -> Option<(u64, Arc<str>)> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let (stamp, position) = text.strip_suffix('\n')?.split_once(' ')?;
        Some((stamp.parse().ok()?, position.into()))
    }

    /// Everything up to a position was read.
    pub(crate) fn want(&mut self, position: Arc<str>) {
        self.wanted = Some(position);
    }

    /// All rows so far are durable: the position may be written, if there is one and `now` or it is time.
    pub(crate) fn durable(&mut self, stamp: u64, now: bool) {
        if !now && self.written.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        if let Some(position) = self.wanted.take() {
            self.written = Some(Instant::now());
            if let Err(error) = self.write(stamp, &position) {
                tracing::warn!(path = %self.path.display(), %error, "cannot store the position in the kernel's log");
            }
        }
    }

    fn write(&self, stamp: u64, position: &str) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        writeln!(file, "{stamp} {position}")?;
        file.sync_data()?;
        std::fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_garbage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel-log");
        let mut stored = Stored::new(path.clone());
        assert_eq!(stored.read(), None);
        stored.durable(1, true);
        assert_eq!(stored.read(), None);
        stored.want("kmsg b 7".into());
        stored.durable(3, false);
        assert_eq!(stored.read(), Some((3, "kmsg b 7".into())));
        stored.want("kmsg b 8".into());
        stored.durable(4, false);
        assert_eq!(stored.read().unwrap().0, 3);
        stored.durable(4, true);
        assert_eq!(stored.read(), Some((4, "kmsg b 8".into())));
        std::fs::write(&path, "4 kmsg").unwrap();
        assert_eq!(stored.read(), None);
    }
}
