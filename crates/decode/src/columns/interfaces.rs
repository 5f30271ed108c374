use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a name that are kept. The kernel's own limit is 15.
const MAX_NAME: usize = 64;

/// The names of a namespace's interfaces by number, kept by whoever listens to the kernel for them.
#[derive(Clone, Debug, Default)]
pub struct InterfaceNames {
    names: HashMap<u32, Box<str>>,
    version: u64,
}

impl InterfaceNames {
    /// Without a name: numbers are written instead.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An interface appeared or was renamed.
    pub fn set(&mut self, index: u32, name: &str) {
        let name = &name[..name.floor_char_boundary(MAX_NAME)];
        if self.name(index) != Some(name) {
            self.names.insert(index, name.into());
            self.version = unused_version();
        }
    }

    /// An interface went away.
    pub fn remove(&mut self, index: u32) {
        if self.names.remove(&index).is_some() {
            self.version = unused_version();
        }
    }

    /// The name of an interface.
    #[must_use]
    pub fn name(&self, index: u32) -> Option<&str> {
        self.names.get(&index).map(AsRef::as_ref)
    }

    /// Differs between any two tables of this process that hold different names.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }
}

/// One count for all tables, because one builder may be used with the tables of several namespaces.
fn unused_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
