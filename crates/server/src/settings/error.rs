//! What is wrong with a setting.

use crate::keeper::RetainError;
use crate::sinks::SinkError;
use bartizan_collect::ListenerError;
use bartizan_enrich::SetError;
use bartizan_oidc::OidcSettingsError;
use bartizan_outgoing::OutgoingSettingsError;

/// A setting that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// One of the server's own.
    #[error("{key}: {problem}")]
    Own {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// One of a listener.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// One of a sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// One of a set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// One of retention.
    #[error(transparent)]
    Retain(#[from] RetainError),
    /// One of the identity provider.
    #[error(transparent)]
    Oidc(#[from] OidcSettingsError),
    /// One of requests to the outside.
    #[error(transparent)]
    Outgoing(#[from] OutgoingSettingsError),
}

impl SettingsError {
    /// The key that it is about, dotted, or the table or list that holds it: by it the place is found.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Own { key, .. } => key,
            Self::Listener(_) => "collect",
            Self::Sink(_) => "sink",
            Self::Set(_) => "sets",
            Self::Retain(_) => "retain",
            Self::Oidc(_) => "oidc",
            Self::Outgoing(_) => "outgoing",
        }
    }
}

pub(super) fn wrong<T>(key: &'static str, problem: String) -> Result<T, SettingsError> {
    Err(SettingsError::Own { key, problem })
}
