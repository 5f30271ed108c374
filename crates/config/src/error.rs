use crate::tree::Node;
use serde::de;
use std::{fmt, io, path::PathBuf};

/// Why there is no configuration. `Display` is the whole message for a person, with the place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is over the size that any configuration has.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Bytes.
        limit: u64,
    },
    /// The text is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// `FILE:LINE`.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// No such key.
    #[error("{place}: unknown key {key:?}{}", hint(nearest.as_deref()))]
    UnknownKey {
        /// `FILE:LINE`, variable or flag.
        place: String,
        /// The key with its tables: `capture.gruop`.
        key: String,
        /// The key that exists and looks most like it.
        nearest: Option<String>,
    },
    /// A key without which nothing works.
    #[error("{place}: missing key {key:?}")]
    MissingKey {
        /// Where its table begins.
        place: String,
        /// The key with its tables.
        key: String,
    },
    /// The key exists, its value is not one that it takes.
    #[error("{place}: {key}: {message}")]
    Value {
        /// `FILE:LINE`, variable or flag.
        place: String,
        /// The key with its tables.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default()
}

/// The candidate most like the text, if any is like it at all.
pub(crate) fn nearest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|c| (strsim::damerau_levenshtein(&text.to_lowercase(), c), *c))
        .filter(|(distance, c)| *distance <= (c.len().max(text.len()) / 3).max(1))
        .min()
        .map(|(_, c)| c)
}

/// What serde found wrong, and, once known, where.
#[derive(Debug)]
pub(crate) struct DeError {
    fault: Fault,
    place: Option<(String, String)>,
}

#[derive(Debug)]
enum Fault {
    Unknown { name: String, nearest: Option<&'static str> },
    Missing(&'static str),
    Value(String),
}

impl DeError {
    /// Says where, unless something further in has said so already.
    pub(crate) fn at(mut self, node: &Node) -> Self {
        self.place.get_or_insert_with(|| (node.origin.to_string(), node.path.join(".")));
        self
    }
}

impl From<DeError> for ConfigError {
    fn from(error: DeError) -> Self {
        let (place, path) = error.place.unwrap_or_default();
        let join =
            |table: &str, key: &str| if table.is_empty() { key.into() } else { format!("{table}.{key}") };
        match error.fault {
            // The place of an unknown key is the key's own; its table is the path without the last step.
            Fault::Unknown { name, nearest } => {
                let table = path.strip_suffix(&name).unwrap_or(&path).trim_end_matches('.');
                let nearest = nearest.map(|n| join(table, n));
                Self::UnknownKey { place, key: join(table, &name), nearest }
            }
            Fault::Missing(key) => Self::MissingKey { place, key: join(&path, key) },
            Fault::Value(message) if path.is_empty() => Self::Syntax { place, message },
            Fault::Value(message) => Self::Value { place, key: path, message },
        }
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Unknown { name, .. } => write!(f, "unknown key {name:?}"),
            Fault::Missing(key) => write!(f, "missing key {key:?}"),
            Fault::Value(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { fault: Fault::Value(message.to_string()), place: None }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("{found} where {expected} is expected"))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("{found} where {expected} is expected"))
    }

    fn unknown_variant(name: &str, expected: &'static [&'static str]) -> Self {
        let hint = hint(nearest(name, expected));
        Self::custom(format_args!("unknown value {name:?}{hint}; one of: {}", expected.join(", ")))
    }

    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Self {
        Self { fault: Fault::Unknown { name: name.into(), nearest: nearest(name, expected) }, place: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { fault: Fault::Missing(field), place: None }
    }
}
