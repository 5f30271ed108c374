//! Files that somebody else replaces.

use crate::{EnrichError, MAX_BYTES};
use bartizan_model::Micros;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file as it was at a look: another file, or another content, shows another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    written: (i64, i64),
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        let written = (meta.mtime(), meta.mtime_nsec());
        Some(Self { device: meta.dev(), inode: meta.ino(), bytes: meta.len(), written })
    }
}

/// One file with what was made of it.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    pub(crate) path: PathBuf,
    /// What counts.
    pub(crate) content: Option<T>,
    /// When that was read.
    pub(crate) loaded: Option<Micros>,
    /// What is wrong with the file as it is.
    pub(crate) problem: Option<String>,
    /// The file at the last look, and the one that was read last, with whatever success.
    last: Option<Option<Seen>>,
    read: Option<Option<Seen>>,
}

impl<T> Watched<T> {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, content: None, loaded: None, problem: None, last: None, read: None }
    }

    /// Reads the file if it changed and has stayed the same since the last look; at the first look at once. Whether
    /// other content counts now.
    pub(crate) fn look(
        &mut self,
        now: Micros,
        understand: impl FnOnce(&[u8], Micros) -> Result<T, EnrichError>,
    ) -> bool {
        let seen = Seen::of(&self.path);
        let settled = self.last.is_none_or(|last| last == seen);
        self.last = Some(seen);
        if !settled || self.read == Some(seen) {
            return false;
        }
        self.read = Some(seen);
        let written = seen.map_or(now, |seen| Micros(seen.written.0.saturating_mul(1_000_000)));
        match read(&self.path).and_then(|bytes| understand(&bytes, written)) {
            Ok(content) => {
                (self.content, self.loaded, self.problem) = (Some(content), Some(now), None);
                true
            }
            Err(error) => {
                let problem = chain(&error);
                let used =
                    if self.content.is_some() { "what it said before counts" } else { "it is not used" };
                tracing::warn!(file = %self.path.display(), problem, "a file cannot be used; {used}");
                self.problem = Some(problem);
                false
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EnrichError> {
    let failed = |source| EnrichError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES { Err(EnrichError::TooLarge) } else { Ok(bytes) }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], _: Micros) -> Result<String, EnrichError> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if text.starts_with("bad") { Err(EnrichError::Empty) } else { Ok(text) }
    }

    #[test]
    fn a_file_counts_when_it_has_settled_and_a_bad_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let mut watched = Watched::new(path.clone());
        assert!(!watched.look(Micros(1), text));
        assert!(watched.problem.as_ref().unwrap().starts_with("cannot read "), "{:?}", watched.problem);

        fs::write(&path, "one").unwrap();
        assert!(!watched.look(Micros(2), text), "it may still be written");
        assert!(watched.look(Micros(3), text));
        assert_eq!((watched.content.as_deref(), watched.loaded), (Some("one"), Some(Micros(3))));
        assert_eq!(watched.problem, None);
        assert!(!watched.look(Micros(4), text), "nothing changed");

        fs::write(&path, "bad content").unwrap();
        assert!(!watched.look(Micros(5), text) && !watched.look(Micros(6), text));
        assert_eq!((watched.content.as_deref(), watched.loaded), (Some("one"), Some(Micros(3))));
        assert!(watched.problem.is_some());

        fs::remove_file(&path).unwrap();
        assert!(!watched.look(Micros(7), text) && !watched.look(Micros(8), text));
        assert_eq!(watched.content.as_deref(), Some("one"));

        // replaced at once by another of the same length
        fs::write(dir.path().join("new"), "two").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(!watched.look(Micros(9), text) && watched.look(Micros(10), text));
        assert_eq!((watched.content.as_deref(), watched.problem), (Some("two"), None));
    }
}
