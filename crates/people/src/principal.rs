use bartizan_model::Role;
use serde::Serialize;

/// What kind of asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person with a session.
    User,
    /// A program with an access token.
    Token,
    /// Whoever can read the server's directory.
    Local,
}

/// Whoever asks, and what he may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// `anna`, `token:backup` or `local`: never used for two.
    pub name: String,
    /// What kind.
    pub kind: PrincipalKind,
    /// What he may do.
    pub role: Role,
    /// The filter of the rows that he may see; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whether he may see what packets and lines say.
    pub payload: bool,
}

impl Principal {
    /// Whoever can read the server's directory: he could read everything in it, too.
    #[must_use]
    pub fn local() -> Self {
        let (name, kind) = ("local".to_owned(), PrincipalKind::Local);
        Self { name, kind, role: Role::Admin, scope: None, payload: true }
    }
}
