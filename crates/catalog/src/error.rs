use bartizan_model::HostId;
use std::path::{Path, PathBuf};

/// Why the catalog could not do something.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file cannot be used.
    #[error("cannot open the catalog {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A newer program made it.
    #[error(
        "the catalog {path} is of version {found}, and this program knows {known}: run the newer program, or restore a backup \
         from before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// A value in it cannot be.
    #[error("the catalog is damaged: {0}")]
    Damaged(String),
    /// Another host has the name.
    #[error(
        "the name `{name}` belongs to another host ({host}): choose another, revoke that one, or enrol with `--replace`"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        host: HostId,
    },
    /// No such host.
    #[error("there is no host {0}")]
    NoHost(String),
    /// Reading or writing failed.
    #[error("the catalog could not {operation}")]
    Database {
        /// What.
        operation: &'static str,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
}

impl CatalogError {
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Database { source, .. } => Self::Open { path: path.to_owned(), source },
            Self::Newer { found, known, .. } => Self::Newer { path: path.to_owned(), found, known },
            other => other,
        }
    }
}

/// `.map_err(doing("list hosts"))`
pub(crate) fn doing(operation: &'static str) -> impl Fn(sqlx::Error) -> CatalogError {
    move |source| CatalogError::Database { operation, source }
}
