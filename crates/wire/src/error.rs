use bartizan_pki::TlsFault;
use tonic::{Code, Status};

/// Why the server does not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What the sender should do about it.
    pub kind: RefusalKind,
    /// In words, for people.
    pub reason: String,
}

/// What the sender of a refused thing should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The same again later.
    Retry,
    /// Never this again: put it aside and count it.
    Permanent,
    /// Nothing of this sender is taken: it is revoked or unknown, or its token is not good. Its
    /// credentials are kept; a person has to look.
    Denied,
    /// This host's certificate is over: it is to ask for a new one first.
    Expired,
}

impl Refusal {
    /// The same may be tried again later.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Retry, reason: reason.into() }
    }

    /// This will never be taken.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Permanent, reason: reason.into() }
    }

    /// This sender is not let in.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Denied, reason: reason.into() }
    }

    /// This host's certificate is over.
    pub fn expired(reason: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Expired, reason: reason.into() }
    }

    pub(crate) fn status(&self) -> Status {
        let code = match self.kind {
            RefusalKind::Retry => Code::Unavailable,
            RefusalKind::Permanent => Code::FailedPrecondition,
            RefusalKind::Denied => Code::PermissionDenied,
            // Agents that do not know it take it for a denial, and keep everything.
            RefusalKind::Expired => Code::Unauthenticated,
        };
        Status::new(code, printable(&self.reason))
    }
}

/// What went wrong between an agent and its server.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody answers there.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Somebody answers there, but TLS fails.
    #[error("no trust between this machine and {address}")]
    Tls {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: TlsFault,
    },
    /// The server does not let this sender in.
    #[error("the server refuses this host: {0}")]
    Denied(String),
    /// The server wants this host to renew its certificate first.
    #[error("the server says: {0}")]
    Expired(String),
    /// The server will never take this.
    #[error("refused for good: {0}")]
    Refused(String),
    /// The server cannot take this now, or the connection was lost.
    #[error("not now: {0}")]
    Retry(String),
    /// The server ended this stream, and nothing else.
    #[error("the server says: {0}")]
    Ended(String),
    /// A batch above the limits; split it.
    #[error("a message of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Bytes that are no IPC stream.
    #[error("not an IPC stream: {0}")]
    NotIpc(&'static str),
    /// The other side does not speak this protocol.
    #[error("the server answers something else: {0}")]
    Protocol(String),
}

/// What a sender should do about a [`WireError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wait and connect again.
    Unreachable,
    /// Wait, connect again, and tell a person.
    Tls,
    /// The server is of another fleet: tell a person.
    OtherFleet,
    /// This host is revoked or unknown, or its token not good: keep everything, tell a person, ask rarely.
    Denied,
    /// This batch or request will never be taken.
    Refused,
    /// This host's certificate is over: renew it, then connect again.
    Expired,
    /// This stream was ended alone: connect again soon.
    Ended,
}

impl WireError {
    /// What to do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } | Self::Retry(_) => ErrorKind::Unreachable,
            Self::Tls { source: TlsFault::OtherFleet(_), .. } => ErrorKind::OtherFleet,
            Self::Tls { .. } | Self::Protocol(_) => ErrorKind::Tls,
            Self::Denied(_) => ErrorKind::Denied,
            Self::Expired(_) => ErrorKind::Expired,
            Self::Ended(_) => ErrorKind::Ended,
            Self::Refused(_) | Self::TooLarge { .. } | Self::NotIpc(_) => ErrorKind::Refused,
        }
    }

    pub(crate) fn of_status(status: &Status) -> Self {
        let text = printable(status.message());
        match status.code() {
            Code::PermissionDenied => Self::Denied(text),
            Code::Unauthenticated => Self::Expired(text),
            Code::FailedPrecondition | Code::InvalidArgument | Code::OutOfRange => Self::Refused(text),
            Code::Aborted => Self::Ended(text),
            Code::Unimplemented => Self::Protocol(text),
            _ => Self::Retry(text),
        }
    }
}

/// Text of the other side, fit for a log line or a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(500).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
