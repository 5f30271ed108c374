use object_store::path::Path;
use std::error::Error;

/// What went wrong in the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The object store refused an operation.
    #[error("cannot {operation} `{path}`")]
    Store {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which object.
        path: Path,
        /// Why not.
        source: object_store::Error,
    },
    /// Less space is free than is to be kept for readers and other programs; nothing was written.
    #[error("{free} bytes are free and {reserve} are kept in reserve")]
    Reserve {
        /// Bytes free.
        free: u64,
        /// Bytes to be left free.
        reserve: u64,
    },
    /// The free space could not be asked for.
    #[error("cannot ask for the free space")]
    Space(#[source] std::io::Error),
    /// The log names a data file that does not exist.
    #[error("the log names the file `{path}`, which does not exist")]
    MissingFile {
        /// The file.
        path: Path,
    },
    /// An entry of the log cannot be read.
    #[error("entry {version} of the log of `{table}` is damaged: {reason}")]
    Entry {
        /// The table's folder.
        table: Path,
        /// The entry.
        version: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry between others is missing, and no checkpoint covers it.
    #[error("entry {version} of the log of `{table}` is missing")]
    Gap {
        /// The table's folder.
        table: Path,
        /// The first missing entry.
        version: i64,
    },
    /// A checkpoint cannot be written or read.
    #[error("checkpoint {version} of `{table}` is damaged: {reason}")]
    Checkpoint {
        /// The table's folder.
        table: Path,
        /// The entry up to which it reaches.
        version: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The table uses something that this version does not know; it is left alone.
    #[error("table `{table}` needs what this program does not know ({what}): run a newer one")]
    Unsupported {
        /// The table's folder.
        table: Path,
        /// What.
        what: String,
    },
    /// The caller's rows cannot be taken.
    #[error("rows refused: {reason}")]
    Rows {
        /// Why.
        reason: String,
    },
    /// Arrow could not sort or cut rows.
    #[error("cannot arrange rows")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// A Parquet file could not be written or read.
    #[error("cannot code the Parquet file `{path}`")]
    Parquet {
        /// The file.
        path: Path,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A file is not what the log says it is.
    #[error("`{path}` has not the checksum that the log says")]
    Checksum {
        /// The file.
        path: Path,
    },
    /// Other writers took the next entry again and again.
    #[error("gave up after {attempts} lost races for the next entry of `{table}`")]
    Contended {
        /// The table's folder.
        table: Path,
        /// Races lost.
        attempts: u32,
    },
    /// A file that was to be replaced is not in the table any more: somebody else replaced it. Nothing was
    /// changed.
    #[error("`{path}` was replaced by somebody else meanwhile")]
    Replaced {
        /// The file.
        path: Path,
    },
    /// A task that does the work was stopped: the process is ending.
    #[error("the runtime is shutting down")]
    Stopped(#[source] tokio::task::JoinError),
}

/// What a caller can do about a [`LakeError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wait for space and commit again; nothing was lost, and reading goes on.
    DiskFull,
    /// Commit again later.
    Retry,
    /// Something that should be there is not: see [`crate::Table::verify`].
    Missing,
    /// What is there cannot be understood: see [`crate::Table::verify`].
    Damaged,
    /// A newer version or other software is needed.
    Unsupported,
    /// The rows are wrong and will be wrong again.
    BadRows,
}

impl LakeError {
    pub(crate) fn store(operation: &'static str, path: &Path) -> impl FnOnce(object_store::Error) -> Self {
        let path = path.clone();
        move |source| Self::Store { operation, path, source }
    }

    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Reserve { .. } => ErrorKind::DiskFull,
            Self::Store { source: object_store::Error::NotFound { .. }, .. } => ErrorKind::Missing,
            Self::Store { source, .. } if is_disk_full(source) => ErrorKind::DiskFull,
            Self::Store { .. }
            | Self::Space(_)
            | Self::Contended { .. }
            | Self::Replaced { .. }
            | Self::Stopped(_) => ErrorKind::Retry,
            Self::MissingFile { .. } | Self::Gap { .. } => ErrorKind::Missing,
            Self::Entry { .. } | Self::Checkpoint { .. } | Self::Parquet { .. } | Self::Checksum { .. } => {
                ErrorKind::Damaged
            }
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Rows { .. } | Self::Arrow(_) => ErrorKind::BadRows,
        }
    }
}

/// Whether a full disk, quota or file size limit is at the bottom of an error.
fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let mut at = Some(error);
    while let Some(e) = at {
        if let Some(io) = e.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        {
            return true;
        }
        at = e.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_seen_through_the_store_s_error() {
        let io = std::io::Error::from_raw_os_error(28);
        let source = object_store::Error::Generic { store: "x", source: Box::new(io) };
        assert_eq!(LakeError::store("write", &Path::from("a"))(source).kind(), ErrorKind::DiskFull);
        let source = object_store::Error::Generic { store: "x", source: "other".into() };
        assert_eq!(LakeError::store("write", &Path::from("a"))(source).kind(), ErrorKind::Retry);
    }
}
