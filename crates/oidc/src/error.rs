use crate::TokenFault;
use bartizan_outgoing::OutgoingError;

/// Why somebody could not sign in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// There is no such sign-in.
    #[error(
        "this sign-in is not known: it was finished, is older than ten minutes, or was begun in another browser; begin again"
    )]
    Unknown,
    /// Too many at once.
    #[error("too many sign in at this moment; try again in a few seconds")]
    Busy,
    /// The provider said no.
    #[error("{provider} did not sign you in: {reason}")]
    Denied {
        /// What it is called.
        provider: String,
        /// Its words.
        reason: String,
    },
    /// The provider does not know the code.
    #[error("the provider does not take the code: {0}")]
    Code(String),
    /// The ID token does not count.
    #[error("the provider's ID token does not count")]
    Token(#[from] TokenFault),
    /// The provider says something that cannot be.
    #[error("the provider's {what} is wrong: {problem}")]
    Provider {
        /// Of what.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It was asked a moment ago, and did not answer.
    #[error("the provider did not answer a moment ago")]
    Away,
    /// The provider cannot be asked.
    #[error("cannot ask the provider")]
    Outgoing(#[from] OutgoingError),
    /// There are no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidcErrorKind {
    /// He begins again.
    Again,
    /// He waits a little.
    Wait,
    /// The provider, or what it sent, refuses him.
    Refused,
    /// Whoever runs provider or server has to look.
    Operator,
}

impl OidcError {
    /// What to do about it.
    #[must_use]
    pub const fn kind(&self) -> OidcErrorKind {
        match self {
            Self::Unknown => OidcErrorKind::Again,
            Self::Busy => OidcErrorKind::Wait,
            Self::Denied { .. } | Self::Code(_) | Self::Token(_) => OidcErrorKind::Refused,
            Self::Provider { .. } | Self::Away | Self::Outgoing(_) | Self::Random => OidcErrorKind::Operator,
        }
    }
}
