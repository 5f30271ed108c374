//! The merged tree: values that remember where they were written.

use crate::{ConfigError, Setting, Source};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};
use toml::de::{DeTable, DeValue};

/// Where a key or value was written.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    place: Rc<str>,
    line: Option<usize>,
    /// See [`Setting::lenient`].
    pub(crate) lenient: bool,
}

impl Origin {
    pub(crate) fn new(place: &str) -> Self {
        Self { place: place.into(), line: None, lenient: false }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// A value, where it was written, and its keys from the root.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) path: Vec<String>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// From a variable or a flag: it becomes what the reader asks for.
    Loose(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// An empty table at the root.
    pub(crate) fn table(origin: Origin) -> Self {
        Self { origin, path: Vec::new(), value: Value::Table(BTreeMap::new()) }
    }

    /// A whole text.
    pub(crate) fn parse(source: &Source) -> Result<Self, ConfigError> {
        let lines = Lines { place: source.name.as_str().into(), text: &source.text };
        let table = DeTable::parse(&source.text).map_err(|e| ConfigError::Syntax {
            place: lines.at(e.span().map_or(0, |s| s.start)).to_string(),
            message: e.message().replace('\n', ", "),
        })?;
        lines.node(Origin::new(&source.name), Vec::new(), DeValue::Table(table.into_inner()))
    }

    /// The tables that lead to one setting.
    pub(crate) fn setting(setting: &Setting) -> Self {
        let origin = Origin { lenient: setting.lenient, ..Origin::new(&setting.name) };
        let value = Value::Loose(setting.value.clone());
        let leaf = Self { origin: origin.clone(), path: setting.path.clone(), value };
        setting.path.iter().enumerate().rev().fold(leaf, |node, (depth, key)| Self {
            origin: origin.clone(),
            path: setting.path[..depth].to_vec(),
            value: Value::Table(BTreeMap::from([(key.clone(), node)])),
        })
    }

    /// Adds the dotted keys of all values that are no tables.
    pub(crate) fn keys(&self, keys: &mut BTreeSet<String>) {
        match &self.value {
            Value::Table(entries) => entries.values().for_each(|node| node.keys(keys)),
            _ => drop(keys.insert(self.path.join("."))),
        }
    }

    /// Lays `later` over this: tables key by key, everything else as a whole.
    pub(crate) fn merge(&mut self, later: Self) {
        match (&mut self.value, later.value) {
            (Value::Table(mine), Value::Table(theirs)) => {
                for (key, node) in theirs {
                    match mine.get_mut(&key) {
                        Some(old) => old.merge(node),
                        None => drop(mine.insert(key, node)),
                    }
                }
            }
            (value, theirs) => {
                *value = theirs;
                self.origin = later.origin;
            }
        }
    }
}

/// Turns byte offsets of one text into places.
struct Lines<'a> {
    place: Rc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn at(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        Origin { place: Rc::clone(&self.place), line: Some(line), lenient: false }
    }

    fn node(&self, origin: Origin, path: Vec<String>, value: DeValue<'_>) -> Result<Node, ConfigError> {
        let value = match value {
            DeValue::String(s) => Value::Text(s.into_owned()),
            DeValue::Integer(i) => {
                Value::Integer(i64::from_str_radix(i.as_str(), i.radix()).map_err(|_| {
                    let (place, key) = (origin.to_string(), path.join("."));
                    ConfigError::Value { place, key, message: format!("{i} is too large a number") }
                })?)
            }
            DeValue::Float(f) => Value::Float(f.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(b) => Value::Bool(b),
            DeValue::Datetime(d) => Value::Text(d.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| self.node(self.at(item.span().start), path.clone(), item.into_inner()))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(entries) => Value::Table(
                entries
                    .into_iter()
                    .map(|(key, item)| {
                        // The key's line, not the value's: a table's value begins at its header anyway, and a
                        // list may go on for many lines.
                        let at = self.at(key.span().start);
                        let key = key.into_inner().into_owned();
                        let path = path.iter().cloned().chain([key.clone()]).collect();
                        Ok((key, self.node(at, path, item.into_inner())?))
                    })
                    .collect::<Result<_, ConfigError>>()?,
            ),
        };
        Ok(Node { origin, path, value })
    }
}
