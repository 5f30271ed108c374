/// What can be wrong with the text of a join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all.
    #[error("this is not a join token: it does not begin with `bz`")]
    NotAToken,
    /// Made by another version.
    #[error("join token of version `{0}`, but this program knows only `bz1`; update it")]
    Version(String),
    /// Shorter than it should be.
    #[error("join token is cut short: {0}; copy all of it")]
    Truncated(&'static str),
    /// Longer than it should be.
    #[error("join token has something after its end")]
    TooLong,
    /// A character that cannot be there.
    #[error("join token has a character that does not belong there, in its {0}")]
    Character(&'static str),
}

/// Why something about certificates and keys could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A join token that is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A request to sign a key that is none, or for a kind of key that is not used here.
    #[error("certificate request refused: {0}")]
    Request(&'static str),
    /// A host's name that is none.
    #[error("`{0}` cannot be a host's name: 1 to 64 letters, digits, `.`, `-` or `_`")]
    Name(String),
    /// A certificate or key that cannot be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// What was read.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// A key and a certificate that do not belong together.
    #[error("{0} does not belong to the key beside it")]
    KeyMismatch(&'static str),
    /// A certificate or key could not be made.
    #[error("cannot make {what}")]
    Make {
        /// What.
        what: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// TLS settings that do not fit together.
    #[error("cannot set up TLS for {what}")]
    Tls {
        /// For what.
        what: &'static str,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The system has no randomness.
    #[error("no randomness from the system: {0}")]
    Random(getrandom::Error),
    /// A file could not be read or written.
    #[error("cannot {operation} {path}")]
    File {
        /// `read`, `write`, `create`.
        operation: &'static str,
        /// Which file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
