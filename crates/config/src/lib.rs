//! Configuration: one TOML file, drop-ins, environment and flags, merged into one typed value.
//!
//! Order, later wins: the file, the `*.toml` files of the drop-in folder by name, environment variables
//! (`BARTIZAN_LISTEN`, `BARTIZAN_SECTION__KEY`), flags. Tables merge key by key; everything else, lists
//! included, is replaced as a whole.
//!
//! Invariants:
//! - Every error says where the offending text is: `FILE:LINE`, the name of the variable, or the flag. The
//!   place of a value survives the merge, because merged values carry it ([`tree`]).
//! - A key that nobody reads is an error (with `#[serde(deny_unknown_fields)]`) and names the nearest key that
//!   exists. Nothing is silently ignored, except a few variables that belong to the command line
//!   ([`NOT_SETTINGS`]).
//! - [`load_from`] is pure: text in, value or error out. Only [`load`] touches files and the environment.
//!
//! What it does not do: write configuration, watch files, or know any setting. A caller that gets an error
//! prints it and exits with [`EXIT_CODE`].

mod de;
mod error;
mod files;
mod tree;

pub use error::ConfigError;
pub use files::{load, load_program, open_sources, program_paths, program_place, settings};

use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use tree::{Node, Origin};

/// What a program exits with when its configuration is wrong: usage.
pub const EXIT_CODE: i32 = 2;

/// Variables `PREFIX` + one of these are for the command line; they are a setting only where the
/// configuration has a key of that name, and no mistake where it has none.
pub const NOT_SETTINGS: &[&str] =
    &["server", "ca", "token_file", "color", "log", "soak", "config", "dir", "join_token", "require_netns"];

/// One text with the name that errors call it by, which is its path.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown in errors.
    pub name: String,
    /// TOML.
    pub text: String,
}

/// One setting from outside the files: a variable or a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As shown in errors: `BARTIZAN_LISTEN` or `--listen`.
    pub name: String,
    /// The key's way through the tables: `["retention", "days"]`.
    pub path: Vec<String>,
    /// The value as written; what it is depends on the type that the key wants. A list is separated by
    /// commas or written as in TOML.
    pub value: String,
    /// Whether it may be for somebody else: ignored when there is no such key.
    pub lenient: bool,
}

impl Setting {
    /// A flag's setting; `key` is dotted: `retention.days`.
    #[must_use]
    pub fn flag(key: &str, value: impl Into<String>) -> Self {
        Self {
            name: format!("--{}", key.replace(['.', '_'], "-")),
            path: key.split('.').map(str::to_owned).collect(),
            value: value.into(),
            lenient: false,
        }
    }

    /// A variable's setting, if its name starts with the prefix: `BARTIZAN_RETENTION__DAYS` is
    /// `retention.days` with the prefix `BARTIZAN_`.
    #[must_use]
    pub fn variable(prefix: &str, name: &str, value: &str) -> Option<Self> {
        let rest = name.strip_prefix(prefix).filter(|rest| !rest.is_empty())?.to_ascii_lowercase();
        Some(Self {
            name: name.to_owned(),
            lenient: NOT_SETTINGS.contains(&rest.as_str()),
            path: rest.split("__").map(str::to_owned).collect(),
            value: value.to_owned(),
        })
    }
}

/// The merged value of texts and settings, both in rising order of importance.
///
/// # Errors
/// TOML that cannot be read, keys that do not exist or are missing, values of the wrong type or not accepted;
/// each with its place.
pub fn load_from<T: DeserializeOwned>(sources: &[Source], settings: &[Setting]) -> Result<T, ConfigError> {
    let root = merged(sources, settings)?;
    T::deserialize(de::NodeDeserializer(&root)).map_err(|e| e.at(&root).into())
}

/// Where the value of a dotted key was written last; `None` when nobody wrote it. For whoever finds a value wrong
/// that its type lets through.
#[must_use]
pub fn place_of(sources: &[Source], settings: &[Setting], key: &str) -> Option<String> {
    let root = merged(sources, settings).ok()?;
    let node = key.split('.').try_fold(&root, |node, part| match &node.value {
        tree::Value::Table(entries) => entries.get(part),
        _ => None,
    })?;
    Some(node.origin.to_string())
}

/// The dotted keys that somebody gave a value to. A table is none itself, only what is in it.
///
/// # Errors
/// TOML that cannot be read.
pub fn keys_of(sources: &[Source], settings: &[Setting]) -> Result<BTreeSet<String>, ConfigError> {
    let mut keys = BTreeSet::new();
    merged(sources, settings)?.keys(&mut keys);
    Ok(keys)
}

fn merged(sources: &[Source], settings: &[Setting]) -> Result<Node, ConfigError> {
    let first = sources.first().map_or("configuration", |s| &s.name);
    let mut root = Node::table(Origin::new(first));
    for source in sources {
        root.merge(Node::parse(source)?);
    }
    for setting in settings {
        root.merge(Node::setting(setting));
    }
    Ok(root)
}

#[cfg(test)]
mod tests;
