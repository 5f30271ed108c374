//! The ledger's words: what was lost, at which stage, and why.

use crate::Micros;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which table a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// Logged packets.
    Events = 1,
    /// Entries of the ledger.
    Losses = 2,
    /// Tracked connections.
    Flows = 3,
    /// Packets and bytes of rules and named objects, as deltas.
    Counters = 4,
    /// Rulesets as they became active.
    Rulesets = 5,
    /// Lines of other services than firewalls, kept where that is asked for.
    Lines = 6,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Events, Self::Losses, Self::Flows, Self::Counters, Self::Rulesets, Self::Lines];

    /// Its place in [`Kind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// The table's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Losses => "losses",
            Self::Flows => "flows",
            Self::Counters => "counters",
            Self::Rulesets => "rulesets",
            Self::Lines => "lines",
        }
    }

    /// The kind that a byte in a record or on the wire stands for.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Events),
            2 => Some(Self::Losses),
            3 => Some(Self::Flows),
            4 => Some(Self::Counters),
            5 => Some(Self::Rulesets),
            6 => Some(Self::Lines),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every word, in the order of the data's way.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word used in the `losses` table and in output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value that a word stands for.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|w| w.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where on its way an event was lost.
    Stage {
        /// Before the agent could read it.
        Kernel = "kernel",
        /// By a cap of the agent.
        AgentCap = "agent cap",
        /// On the host's disk.
        Spool = "spool",
        /// Between agent and server.
        Sender = "sender",
        /// Text that could not be read.
        Unparsed = "unparsed",
        /// At the server.
        Server = "server",
    }
}

words! {
    /// Why an event was lost.
    Reason {
        /// A hole in the kernel's sequence: its buffer for the agent was full.
        SequenceGap = "sequence gap",
        /// Overwritten in the kernel's or the journal's log before it was read; messages of any kind, so at most.
        /// Of flows: reports for which the kernel's buffer had no room, exactly.
        Overrun = "overrun",
        /// Counted by the rule, but never seen: the end of a burst, or while no agent listened.
        NotDelivered = "not delivered",
        /// A hole in the kernel's sequence, because the agent paused to keep its share of the processor.
        CpuShare = "cpu share",
        /// The same, to keep its share of the memory.
        MemoryCap = "memory cap",
        /// A message that is not what the kernel's format says.
        Malformed = "malformed",
        /// The spool's byte budget was reached.
        SpoolFull = "spool full",
        /// The spool's disk gave an error or was full, and the memory buffer was full as well.
        DiskError = "disk error",
        /// A record of the spool was damaged.
        SpoolDamaged = "spool damaged",
        /// The server refused the batch for good.
        Refused = "refused",
        /// A sender of syslog or the like sent more than it may.
        RateLimit = "rate limit",
        /// A message was longer than is allowed; what was cut off is lost.
        TooLong = "too long",
    }
}

/// One entry of the ledger: `count` events, or rows of another kind, lost between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The last moment at which all was well.
    pub from: Micros,
    /// The moment at which the loss was noticed.
    pub to: Micros,
    /// Where.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// Rows of which table.
    pub kind: Kind,
    /// How many of them; packets where they are events.
    pub count: u64,
    /// What it concerns, for people: `nflog group 5`, a file.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_byte_and_place() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((Kind::from_byte(kind as u8), kind.index()), (Some(kind), at));
        }
        assert_eq!((Kind::from_byte(0), Kind::from_byte(7)), (None, None));
    }

    #[test]
    fn words_parse_to_what_printed_them() {
        for s in Stage::ALL {
            assert_eq!(Stage::parse(s.as_str()), Some(*s));
        }
        for r in Reason::ALL {
            assert_eq!(Reason::parse(r.as_str()), Some(*r));
        }
        assert_eq!(Stage::parse("elsewhere"), None);
    }
}
