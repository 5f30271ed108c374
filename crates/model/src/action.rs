use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of a packet, as far as anyone can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Silently discarded.
    Drop,
    /// Discarded, and the sender was told.
    Reject,
    /// Let through.
    Accept,
    /// Logged; the verdict is not known.
    Log,
}

impl Action {
    /// Every action, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Reject, Self::Accept, Self::Log];

    /// The word used in columns, filters and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Accept => "accept",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
