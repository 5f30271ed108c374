//! The names that belong to enrolled agents: no message of anybody else may take one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// The names of the fleet's agents.
#[derive(Debug, Default)]
pub struct Agents {
    names: RwLock<HashSet<String>>,
    version: AtomicU64,
}

impl Agents {
    /// These are the names now.
    pub fn set(&self, names: impl IntoIterator<Item = String>) {
        let names: HashSet<String> = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        let mut known = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if *known != names {
            *known = names;
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a name is one of them.
    pub(crate) fn has(&self, name: &str) -> bool {
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
        !known.is_empty() && known.contains(&name.to_ascii_lowercase())
    }

    /// A number that changes with the names.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
