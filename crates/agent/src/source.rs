//! Names of what feeds the agent: namespaces and the groups in them.

use std::time::Instant;

/// A network namespace as this process knows it. A number stands for one namespace and is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NetnsId(pub(crate) u32);

impl NetnsId {
    /// The namespace that the agent was started in.
    pub(crate) const OWN: Self = Self(0);
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceId {
    pub(crate) netns: NetnsId,
    /// The NFLOG group; `None` for the kernel's log.
    pub(crate) group: Option<u16>,
}

impl SourceId {
    pub(crate) const fn nflog(netns: NetnsId, group: u16) -> Self {
        Self { netns, group: Some(group) }
    }
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group {
            Some(group) => write!(f, "nflog group {group}"),
            None => f.write_str("kernel log"),
        }
    }
}

/// Between these two moments everything in a batch was logged, by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}
