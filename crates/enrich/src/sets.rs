//! Sets of addresses with a name.
//!
//! ```toml
//! [sets]
//! office = ["192.0.2.0/24", "2001:db8::/48", "198.51.100.7-198.51.100.9"]
//! blocked = ["/etc/bartizan/blocked.txt"]
//! known = ["@office", "@partners", "203.0.113.5"]
//! ```
//!
//! A file has an address, a network or a range in each line; what follows a space, `#` or `;` is passed over.

use crate::watch::Watched;
use crate::{EnrichError, MAX_RANGES};
use bartizan_filter::AddrRange;
use bartizan_model::Micros;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Sets as they are meant. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets(BTreeMap<String, Vec<Item>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Range(AddrRange),
    File(PathBuf),
    Set(String),
}

/// A set that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sets.{name}: {problem}")]
pub struct SetError {
    /// Which.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Sets {
    /// What was meant by what was written.
    ///
    /// # Errors
    /// Names the set and what is wrong with it.
    pub fn new(written: &BTreeMap<String, Vec<String>>) -> Result<Self, SetError> {
        let mut sets = BTreeMap::new();
        for (name, items) in written {
            let wrong = |problem: String| SetError { name: name.clone(), problem };
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
                return Err(wrong(
                    "a name has letters, digits and `_-.`, and begins with one of the first".into(),
                ));
            }
            let items = items.iter().map(|text| item(text).map_err(wrong)).collect::<Result<_, _>>()?;
            if sets.insert(name.to_lowercase(), items).is_some() {
                return Err(wrong("two sets have this name; capitals make no difference".into()));
            }
        }
        let sets = Self(sets);
        for name in sets.0.keys() {
            sets.check(name, &mut Vec::new())?;
        }
        Ok(sets)
    }

    /// Every set that it is made of exists and is not made of it.
    fn check<'a>(&'a self, name: &'a str, above: &mut Vec<&'a str>) -> Result<(), SetError> {
        above.push(name);
        for item in self.0.get(name).into_iter().flatten() {
            let Item::Set(other) = item else { continue };
            let wrong = |problem| SetError { name: name.to_owned(), problem };
            if !self.0.contains_key(other) {
                return Err(wrong(format!("there is no set `@{other}`")));
            }
            if above.contains(&other.as_str()) {
                return Err(wrong(format!("`@{other}` is made of this one")));
            }
            self.check(other, above)?;
        }
        above.pop();
        Ok(())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The files that sets are read from.
    pub(crate) fn files(&self) -> BTreeSet<&PathBuf> {
        let names = self.0.keys();
        names.flat_map(|name| self.files_of(name)).collect()
    }

    /// The files of one set and of those that it is made of.
    pub(crate) fn files_of(&self, name: &str) -> BTreeSet<&PathBuf> {
        let mut files = BTreeSet::new();
        for item in self.0.get(name).into_iter().flatten() {
            match item {
                Item::File(path) => {
                    files.insert(path);
                }
                Item::Set(other) => files.extend(self.files_of(other)),
                Item::Range(_) => {}
            }
        }
        files
    }

    /// The addresses of one set, with what its files hold.
    pub(crate) fn ranges(&self, name: &str, files: &[Watched<Vec<AddrRange>>]) -> Vec<AddrRange> {
        let mut ranges = Vec::new();
        for item in self.0.get(name).into_iter().flatten() {
            match item {
                Item::Range(range) => ranges.push(*range),
                Item::Set(other) => ranges.extend(self.ranges(other, files)),
                Item::File(path) => {
                    let file = files.iter().find(|file| file.path == *path);
                    ranges.extend(file.and_then(|file| file.content.as_ref()).into_iter().flatten());
                }
            }
        }
        ranges
    }
}

fn item(text: &str) -> Result<Item, String> {
    if let Some(name) = text.strip_prefix('@') {
        return Ok(Item::Set(name.to_lowercase()));
    }
    if text.starts_with('/') {
        return Ok(Item::File(text.into()));
    }
    let range = AddrRange::parse(text).map(Item::Range);
    range.ok_or_else(|| format!("`{text}` is no address, network or range, no `@set` and no path of a file"))
}

/// The content of a file of a set. A line that is none makes the file a wrong one: a set that lacks what was meant is
/// worse than an older one.
pub(crate) fn read(content: &[u8], _: Micros) -> Result<Vec<AddrRange>, EnrichError> {
    let mut ranges = Vec::new();
    for (at, line) in content.split(|b| *b == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.split(['#', ';']).next().unwrap_or_default().trim_start_matches('\u{feff}').trim();
        let Some(word) = line.split_whitespace().next() else { continue };
        if ranges.len() >= MAX_RANGES {
            return Err(EnrichError::TooMany);
        }
        let range = AddrRange::parse(word);
        ranges.push(
            range.ok_or_else(|| EnrichError::NoAddress {
                line: at + 1,
                text: word.chars().take(60).collect(),
            })?,
        );
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(written: &[(&str, &[&str])]) -> Result<Sets, String> {
        let text = |items: &&[&str]| items.iter().map(|i| (*i).to_owned()).collect();
        let written = written.iter().map(|(name, items)| ((*name).to_owned(), text(items))).collect();
        Sets::new(&written).map_err(|e| e.to_string())
    }

    #[test]
    fn sets_are_made_of_addresses_files_and_other_sets() {
        let sets = sets(&[
            ("Office", &["192.0.2.0/24", "2001:db8::/48"]),
            ("known", &["@OFFICE", "203.0.113.5", "/lists/known"]),
            ("empty", &[]),
        ])
        .unwrap();
        let mut file = Watched::new("/lists/known".into());
        file.content = Some(read(b"# x\n198.51.100.0/24 ; SBL1\n\n::1 loopback\n", Micros(0)).unwrap());
        let shown = |name: &str| -> Vec<String> {
            sets.ranges(name, std::slice::from_ref(&file)).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown("known"),
            ["192.0.2.0/24", "2001:db8::/48", "203.0.113.5", "198.51.100.0/24", "::1"]
        );
        assert!(shown("empty").is_empty());
        assert_eq!(sets.names().collect::<Vec<_>>(), ["empty", "known", "office"]);
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (written, expected) in [
            (&[("a", &["x"][..])][..], "sets.a: `x` is no address"),
            (&[("a b", &[])], "sets.a b: a name has"),
            (&[("A", &[]), ("a", &[])], "sets.a: two sets have this name"),
            (&[("a", &["@b"])], "sets.a: there is no set `@b`"),
            (&[("a", &["@b"]), ("b", &["@c"]), ("c", &["@a"])], "sets.c: `@a` is made of this one"),
            (&[("a", &["@a"])], "sets.a: `@a` is made of this one"),
        ] {
            let error = sets(written).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = read(b"::1\nten.0.0.1\n", Micros(0)).unwrap_err().to_string();
        assert_eq!(error, "line 2 is no address, network or range: `ten.0.0.1`");
    }
}
