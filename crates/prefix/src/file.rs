//! Files of entries: the built-in table and what users add to it.

use crate::dialect::{Entry, Meaning};
use bartizan_model::Action;
use regex::{RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Bytes that a pattern may take when it is compiled.
const MAX_PATTERN: usize = 1 << 20;
/// Bytes that all patterns may take together.
const MAX_PATTERNS: usize = 64 << 20;

/// Why a file of entries cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not TOML, or has keys that there are not.
    #[error("{file}: {message}")]
    Form {
        /// The file's name.
        file: String,
        /// What is wrong, with the line.
        message: String,
    },
    /// An entry makes no sense.
    #[error("{file}: entry {number} ({producer}): {problem}")]
    Entry {
        /// The file's name.
        file: String,
        /// Which entry, from 1.
        number: usize,
        /// Its producer.
        producer: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    dialect: Vec<WrittenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    producer: String,
    pattern: String,
    action: Option<String>,
    #[serde(default)]
    actions: BTreeMap<String, String>,
    zones: Option<String>,
    chain: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    examples: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    prefix: String,
    action: Option<String>,
    zones: Option<String>,
    chain: Option<String>,
    rule: Option<String>,
}

/// The entries of a file.
pub(crate) fn read(file: &str, text: &str, own: bool) -> Result<Vec<Entry>, FileError> {
    let written: Written = toml::from_str(text).map_err(|e| FileError::Form {
        file: file.to_owned(),
        message: e.to_string().trim_end().to_owned(),
    })?;
    let numbered = written.dialect.into_iter().zip(1..);
    numbered
        .map(|(written, number)| {
            let producer = written.producer.clone();
            entry(written, own).map_err(|problem| FileError::Entry {
                file: file.to_owned(),
                number,
                producer,
                problem,
            })
        })
        .collect()
}

/// The patterns of all entries as one.
pub(crate) fn set(file: &str, entries: &[Entry]) -> Result<RegexSet, FileError> {
    RegexSetBuilder::new(entries.iter().map(Entry::pattern)).size_limit(MAX_PATTERNS).build().map_err(|e| {
        FileError::Form { file: file.to_owned(), message: format!("all patterns together: {e}") }
    })
}

fn entry(written: WrittenEntry, own: bool) -> Result<Entry, String> {
    let pattern = RegexBuilder::new(&written.pattern)
        .size_limit(MAX_PATTERN)
        .build()
        .map_err(|e| format!("its pattern is no regular expression: {e}"))?;
    if written.producer.trim().is_empty() {
        return Err("its producer is empty".to_owned());
    }
    let has = |group: &str| pattern.capture_names().flatten().any(|name| name == group);
    let templates = [("zones", written.zones), ("chain", written.chain), ("rule", written.rule)];
    for (key, template) in &templates {
        for group in groups_of(template.as_deref().unwrap_or_default()) {
            if !has(group) {
                return Err(format!(
                    "its `{key}` needs the group `{group}`, which its pattern does not have"
                ));
            }
        }
    }
    if !written.actions.is_empty() && !has("action") {
        return Err("it has `actions` for a group `action`, which its pattern does not have".to_owned());
    }
    let actions = written.actions.into_iter().map(|(word, named)| Ok((word, action(&named)?)));
    let entry = Entry {
        producer: written.producer,
        pattern,
        action: written.action.as_deref().map(action).transpose()?,
        actions: actions.collect::<Result<_, String>>()?,
        templates: templates.map(|(_, template)| template),
        own,
    };
    written.examples.iter().try_for_each(|example| check(&entry, example))?;
    Ok(entry)
}

fn action(named: &str) -> Result<Action, String> {
    let found = Action::ALL.into_iter().find(|action| action.as_str() == named);
    found.ok_or_else(|| format!("`{named}` is no action; there are drop, reject, accept and log"))
}

/// The names in `${name}`; other forms of a group are taken as text by the library and would be surprises.
fn groups_of(template: &str) -> impl Iterator<Item = &str> {
    template.split("${").skip(1).map(|rest| rest.split('}').next().unwrap_or(rest))
}

fn check(entry: &Entry, example: &Example) -> Result<(), String> {
    let Example { prefix, .. } = example;
    let Some(got) = entry.read(prefix) else {
        return Err(format!("its pattern does not match its example {prefix:?}"));
    };
    let Meaning { zones, chain, rule, .. } = &got;
    let wanted_action = example.action.as_deref().map(action).transpose()?;
    if wanted_action.is_some_and(|wanted| wanted != got.action) {
        return Err(format!("its example {prefix:?} gives the action {}", got.action.as_str()));
    }
    for (key, got, wanted) in
        [("zones", zones, &example.zones), ("chain", chain, &example.chain), ("rule", rule, &example.rule)]
    {
        if got != wanted && (wanted.is_some() || example.action.is_some()) {
            let got = got.as_deref().unwrap_or("nothing");
            return Err(format!("its example {prefix:?} gives {key} {got:?}"));
        }
    }
    Ok(())
}
