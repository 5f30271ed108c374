use bartizan_config::ConfigError;

/// A setting that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{}{key}: {problem}", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct SettingsError {
    place: Option<String>,
    key: &'static str,
    problem: String,
}

impl SettingsError {
    /// What is wrong with the value of a key.
    #[must_use]
    pub fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { place: None, key, problem: problem.into() }
    }

    /// The key, dotted.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The same, with the place where the value was written.
    #[must_use]
    pub fn at(self, place: Option<String>) -> Self {
        Self { place, ..self }
    }
}

/// Why texts are no configuration of a server's.
#[derive(Debug, thiserror::Error)]
pub enum CentralError {
    /// There are more of them, or one is longer, than any that is meant.
    #[error("{0}")]
    TooMuch(String),
    /// A key that only the host itself may write.
    #[error("{place}: `{key}` is the host's own: it counts only in its `agent.toml`")]
    HostsOwn {
        /// Text and line.
        place: String,
        /// The key.
        key: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot be meant.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}
