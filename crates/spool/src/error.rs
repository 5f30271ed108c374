//! What can go wrong, by what the caller has to do about it.

use bartizan_model::Epoch;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Something asked of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make the directory.
    CreateDir,
    /// Lock the directory.
    Lock,
    /// List the directory.
    List,
    /// Make a file.
    Create,
    /// Open a file.
    Open,
    /// Read from a file.
    Read,
    /// Write to a file.
    Write,
    /// Cut a file.
    Truncate,
    /// Make a file's content durable.
    Sync,
    /// Make the directory's names durable.
    SyncDir,
    /// Remove a file.
    Remove,
    /// Rename a file.
    Rename,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateDir => "make the directory",
            Self::Lock => "lock",
            Self::List => "list",
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncDir => "sync the directory",
            Self::Remove => "remove",
            Self::Rename => "rename",
        })
    }
}

/// The file system refused something. The spool's state is as before the call; the call may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {}", path.display())]
pub struct DiskError {
    /// What was tried.
    pub op: Op,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl DiskError {
    pub(crate) fn wrap(op: Op, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { op, path: path.to_owned(), source }
    }

    /// Whether the disk or a quota of it is full, so that deleting helps.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// A spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it open.
    #[error("the spool {} is in use by another process", dir.display())]
    Locked {
        /// Its directory.
        dir: PathBuf,
    },
    /// The epoch given as fresh already names records of this spool.
    #[error("epoch {:016x} was used before in the spool {}", epoch.0, dir.display())]
    EpochUsed {
        /// The epoch.
        epoch: Epoch,
        /// The spool's directory.
        dir: PathBuf,
    },
    /// The sizes do not fit each other.
    #[error("a spool of {budget} bytes cannot hold four segments of {segment} bytes")]
    Budget {
        /// Bytes of the whole spool.
        budget: u64,
        /// Bytes of a segment.
        segment: u64,
    },
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A record was not taken; the caller still has it.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The byte budget is used up: acknowledge, or drop the oldest.
    #[error("the spool is full: {needed} bytes needed, {free} free of its budget")]
    Full {
        /// Bytes that the record takes.
        needed: u64,
        /// Bytes left.
        free: u64,
    },
    /// The record can never fit: split it.
    #[error("a record of {payload} bytes with a note of {note} bytes is too large for the spool")]
    TooLarge {
        /// Bytes of the payload.
        payload: usize,
        /// Bytes of the note.
        note: usize,
    },
    /// All sequence numbers are used: open the spool anew in an empty directory.
    #[error("the spool has no sequence number left")]
    Exhausted,
    /// The file system refused: keep the record and try again.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
