//! Files that cannot be read. One of them must not cost every answer: it is left out and named.

use object_store::path::Path;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a file is left out before it is tried again: whoever restores it should not have to restart.
const OUT: Duration = Duration::from_secs(60);

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It has another size than it was written with.
    Size {
        /// Bytes as written.
        written: u64,
        /// Bytes as found.
        found: u64,
    },
    /// Its checksum is another than when it was written.
    Checksum,
    /// It is no Parquet file of ours.
    Unreadable(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Size { written, found } => write!(f, "{found} bytes in place of {written}"),
            Self::Checksum => f.write_str("damaged: its checksum does not fit"),
            Self::Unreadable(why) => write!(f, "damaged: {why}"),
        }
    }
}

/// A file whose rows an answer lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where it is, or was, in the store.
    pub path: Path,
    /// What is wrong with it.
    pub damage: Damage,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.damage)
    }
}

/// The files that are left out now.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    out: Mutex<BTreeMap<Path, (Damage, Instant)>>,
}

impl Quarantine {
    pub(crate) fn add(&self, path: &Path, damage: Damage) {
        tracing::error!(file = %path, %damage, "a file of the lake is left out of answers");
        self.out().insert(path.clone(), (damage, Instant::now()));
    }

    /// Whether a file is left out, and why.
    pub(crate) fn of(&self, path: &Path) -> Option<Damage> {
        let mut out = self.out();
        if out.is_empty() {
            return None;
        }
        let (damage, since) = out.get(path)?;
        if since.elapsed() < OUT {
            return Some(damage.clone());
        }
        out.remove(path);
        None
    }

    pub(crate) fn list(&self) -> Vec<LeftOut> {
        let out = self.out();
        out.iter().map(|(path, (damage, _))| LeftOut { path: path.clone(), damage: damage.clone() }).collect()
    }

    fn out(&self) -> MutexGuard<'_, BTreeMap<Path, (Damage, Instant)>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
