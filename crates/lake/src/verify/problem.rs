use object_store::path::Path;
use serde::{Serialize, Serializer};
use std::fmt;

/// One thing that [`crate::Table::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The log names a file that does not exist. Its rows are lost unless it comes back from a backup.
    Missing {
        /// The file.
        path: Path,
        /// How many rows it held, where the log says.
        rows: Option<u64>,
    },
    /// A file is not as long as the log says.
    WrongSize {
        /// The file.
        path: Path,
        /// Bytes by the log.
        expected: u64,
        /// Bytes in fact.
        found: u64,
    },
    /// A file holds other bytes than were written.
    WrongChecksum {
        /// The file.
        path: Path,
        /// CRC-32C by the log.
        expected: String,
        /// CRC-32C in fact.
        found: String,
    },
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: Path,
        /// Why not.
        reason: String,
    },
    /// A file holds another number of rows than the log says.
    WrongRows {
        /// The file.
        path: Path,
        /// Rows by the log.
        expected: u64,
        /// Rows in fact.
        found: u64,
    },
    /// Rows of one name are there more than once.
    Twice {
        /// The file that has them again.
        path: Path,
        /// Their stream.
        stream: String,
        /// The number of their batch.
        seq: i64,
        /// How many.
        rows: u64,
    },
    /// Rows of batches are missing, and nobody removed so many.
    Gaps {
        /// Rows that are missing between others of their batch.
        rows: u64,
        /// Rows that were removed on purpose.
        removed: u64,
        /// The stream and number of the first such batch.
        first: (String, i64),
    },
    /// A stream has rows of batches above its mark: were they sent again, they would be there twice.
    AheadOfMark {
        /// The stream.
        stream: String,
        /// The highest batch that has rows.
        seq: i64,
        /// The mark.
        mark: u64,
    },
    /// A rollup counts another number of events than its data file has.
    WrongCount {
        /// The rollup's file.
        path: Path,
        /// The data file.
        of: String,
        /// Events of the data file.
        expected: u64,
        /// Events that the rollup counts.
        found: u64,
    },
    /// No log names this data file: the rest of a crash, or newer than a log that came from a backup.
    Unnamed {
        /// The file.
        path: Path,
        /// Bytes.
        size: u64,
    },
    /// The log could not be loaded at a start, or says something else than memory.
    Log {
        /// Why not.
        reason: String,
    },
}

impl Problem {
    /// A word for it, for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::WrongSize { .. } => "wrong-size",
            Self::WrongChecksum { .. } => "wrong-checksum",
            Self::Unreadable { .. } => "unreadable",
            Self::WrongRows { .. } => "wrong-rows",
            Self::Twice { .. } => "twice",
            Self::Gaps { .. } => "gaps",
            Self::AheadOfMark { .. } => "ahead-of-mark",
            Self::WrongCount { .. } => "wrong-count",
            Self::Unnamed { .. } => "unnamed",
            Self::Log { .. } => "log",
        }
    }

    /// The file that it is about.
    #[must_use]
    pub const fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing { path, .. }
            | Self::WrongSize { path, .. }
            | Self::WrongChecksum { path, .. }
            | Self::Unreadable { path, .. }
            | Self::WrongRows { path, .. }
            | Self::Twice { path, .. }
            | Self::WrongCount { path, .. }
            | Self::Unnamed { path, .. } => Some(path),
            Self::Gaps { .. } | Self::AheadOfMark { .. } | Self::Log { .. } => None,
        }
    }

    /// Whether answers are right in spite of it.
    #[must_use]
    pub const fn is_harmless(&self) -> bool {
        matches!(self, Self::Unnamed { .. })
    }

    /// Whether a file that the log names cannot be read as it was written.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::WrongSize { .. }
                | Self::WrongChecksum { .. }
                | Self::Unreadable { .. }
                | Self::WrongRows { .. }
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path, rows: Some(n) } => write!(f, "`{path}` is missing, with {n} rows"),
            Self::Missing { path, rows: None } => write!(f, "`{path}` is missing"),
            Self::WrongSize { path, expected, found } => {
                write!(f, "`{path}` has {found} bytes instead of {expected}")
            }
            Self::WrongChecksum { path, expected, found } => {
                write!(f, "`{path}` was changed: its checksum is {found} instead of {expected}")
            }
            Self::Unreadable { path, reason } => write!(f, "`{path}` cannot be read: {reason}"),
            Self::WrongRows { path, expected, found } => {
                write!(f, "`{path}` has {found} rows instead of {expected}")
            }
            Self::Twice { path, stream, seq, rows } => {
                write!(f, "`{path}` has {rows} rows of batch {stream}/{seq} that are there already")
            }
            Self::Gaps { rows, removed, first: (stream, seq) } => write!(
                f,
                "{rows} rows are missing inside of batches and {removed} were removed on purpose; the first batch is \
                 {stream}/{seq}"
            ),
            Self::AheadOfMark { stream, seq, mark } => {
                write!(f, "stream {stream} has rows of batch {seq}, and its mark is {mark}")
            }
            Self::WrongCount { path, of, expected, found } => {
                write!(f, "`{path}` counts {found} events of `{of}`, which has {expected}")
            }
            Self::Unnamed { path, size } => write!(f, "`{path}` ({size} bytes) is named by no log"),
            Self::Log { reason } => write!(f, "the log cannot be loaded: {reason}"),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("problem", self.word())?;
        map.serialize_entry("file", &self.path().map(Path::as_ref))?;
        map.serialize_entry("harmless", &self.is_harmless())?;
        map.serialize_entry("detail", &self.to_string())?;
        map.end()
    }
}
