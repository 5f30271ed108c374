use std::path::PathBuf;

/// Why a database could not be read or written. No variant holds a password or a URL that may hold one.
#[derive(Debug, thiserror::Error)]
pub enum UlogdbError {
    /// The URL is none that is known.
    #[error("{0}")]
    Place(String),
    /// A password file cannot be read.
    #[error("cannot read the password file {path}")]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be reached or refuses.
    #[error("cannot open the database {place}")]
    Connect {
        /// Which, without a password.
        place: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A question failed.
    #[error("cannot {doing}")]
    Database {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// What is there is not what was expected.
    #[error("{0}")]
    Shape(String),
    /// What came is not in the form that was asked for.
    #[error("the rows of {table} came damaged: {problem}")]
    Damaged {
        /// Of which table.
        table: String,
        /// What is wrong.
        problem: bartizan_intake::copy::CopyError,
    },
}

impl UlogdbError {
    /// Whether it may work later without anybody's doing.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { source, .. } | Self::Database { source, .. } => !matches!(
                source,
                sqlx::Error::Configuration(_)
                    | sqlx::Error::ColumnNotFound(_)
                    | sqlx::Error::Encode(_)
                    | sqlx::Error::Decode(_)
            ),
            _ => false,
        }
    }
}

/// `.map_err(doing("list the tables"))`
pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(sqlx::Error) -> UlogdbError {
    let what = what.into();
    move |source| UlogdbError::Database { doing: what, source }
}
