//! Which files are meant, and in which order they were written.

use std::path::{Path, PathBuf};

/// Why files that were asked for are not there to be read.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// None is there.
    #[error("there is no file {0}")]
    Nothing(String),
    /// It is a folder.
    #[error("{0} is a folder: name its files, such as {0}/*.log*")]
    Folder(String),
    /// It is no pattern.
    #[error("{pattern:?} is no pattern of file names: {why}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// A file of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The name that the files of a rotated set share.
    set: PathBuf,
    /// Its age in the set, the oldest first.
    rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Rotated on that day: year, month and day as one number.
    Day(u32),
    /// Rotated so many times, negated.
    Times(i64),
    /// Written now.
    Now,
}

impl Found {
    fn new(path: PathBuf) -> Self {
        let (set, rank) = rotation(&path);
        Self { path, set, rank }
    }

    /// Whether both are of one rotated set.
    #[must_use]
    pub fn same_set(&self, other: &Self) -> bool {
        self.set == other.set
    }

    /// When it was rotated, as its name has it: year, month, day.
    #[must_use]
    pub const fn rotated_on(&self) -> Option<(u16, u8, u8)> {
        match self.rank {
            Rank::Day(day) => Some(((day / 10_000) as u16, (day / 100 % 100) as u8, (day % 100) as u8)),
            _ => None,
        }
    }

    /// Whether it may still be written: its name says nothing else.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        matches!(self.rank, Rank::Now)
    }
}

/// The files that names and patterns mean: sets in the order in which they were named, each oldest first, no file
/// twice. A name that is a file is that file, whatever signs it has in it. Hidden files are met by patterns that
/// begin with a dot only.
///
/// # Errors
/// If a name or pattern means nothing, or a folder.
pub fn expand(patterns: &[String]) -> Result<Vec<Found>, FindError> {
    let mut found: Vec<Found> = Vec::new();
    for pattern in patterns {
        let path = Path::new(pattern);
        if path.is_dir() {
            return Err(FindError::Folder(pattern.trim_end_matches('/').to_owned()));
        }
        if path.symlink_metadata().is_ok() {
            found.push(Found::new(path.to_owned()));
            continue;
        }
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let paths = glob::glob_with(pattern, options)
            .map_err(|e| FindError::Pattern { pattern: pattern.clone(), why: e.msg })?;
        let before = found.len();
        found.extend(paths.flatten().filter(|p| !p.is_dir()).map(Found::new));
        if found.len() == before {
            return Err(FindError::Nothing(pattern.clone()));
        }
    }
    let mut sets: Vec<PathBuf> = Vec::new();
    for file in &found {
        if !sets.contains(&file.set) {
            sets.push(file.set.clone());
        }
    }
    let number = |set: &Path| sets.iter().position(|s| s == set);
    found.sort_by(|a, b| (number(&a.set), a.rank, &a.path).cmp(&(number(&b.set), b.rank, &b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

/// The set of a file and its age in it: `kern.log`, `kern.log.1`, `kern.log.2.gz`, `kern.log-20240101.xz`,
/// `kern.log.2024-01-01`.
fn rotation(path: &Path) -> (PathBuf, Rank) {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return (path.to_owned(), Rank::Now) };
    let mut name = name;
    for packed in [".gz", ".xz", ".zst", ".zstd", ".bz2", ".bz"] {
        name = name.strip_suffix(packed).filter(|n| !n.is_empty()).unwrap_or(name);
    }
    let (base, rank) = match name.rsplit_once('.') {
        Some((base, times)) if !base.is_empty() && (1..=4).contains(&times.len()) && is_number(times) => {
            (base, Rank::Times(-times.parse::<i64>().unwrap_or_default()))
        }
        _ => dated(name).unwrap_or((name, Rank::Now)),
    };
    (path.with_file_name(base), rank)
}

/// What a file is called without what rotation and packing have added.
pub(crate) fn stem(path: &Path) -> Option<String> {
    rotation(path).0.file_name()?.to_str().map(str::to_owned)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `kern.log-20240101`, `kern.log-2024-01-01`, `kern.log.20240101`, `kern-20240101.log`; a time may follow the date.
fn dated(name: &str) -> Option<(&str, Rank)> {
    let at = name.match_indices(['-', '.', '_']).map(|(at, _)| at).find(|at| {
        let rest = &name.as_bytes()[at + 1..];
        *at > 0 && date(rest).is_some()
    })?;
    Some((&name[..at], Rank::Day(date(&name.as_bytes()[at + 1..])?)))
}

fn date(text: &[u8]) -> Option<u32> {
    let digits: Vec<u32> = text
        .iter()
        .enumerate()
        .take_while(|(i, b)| b.is_ascii_digit() || (**b == b'-' && matches!(i, 4 | 7)))
        .filter(|(_, b)| b.is_ascii_digit())
        .take(8)
        .map(|(_, b)| u32::from(b - b'0'))
        .collect();
    let number = (digits.len() == 8).then(|| digits.iter().fold(0, |n, d| n * 10 + d))?;
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    ((1990..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(name: &str) -> (String, Rank) {
        let (set, rank) = rotation(Path::new(name));
        (set.to_str().unwrap().to_owned(), rank)
    }

    #[test]
    fn names_of_rotated_files() {
        for (name, set, rank) in [
            ("/var/log/kern.log", "/var/log/kern.log", Rank::Now),
            ("/var/log/kern.log.1", "/var/log/kern.log", Rank::Times(-1)),
            ("kern.log.12.gz", "kern.log", Rank::Times(-12)),
            ("kern.log-20240101", "kern.log", Rank::Day(20_240_101)),
            ("kern.log-20240101.xz", "kern.log", Rank::Day(20_240_101)),
            ("kern.log-20240101-1735.zst", "kern.log", Rank::Day(20_240_101)),
            ("kern.log.2024-01-31.bz2", "kern.log", Rank::Day(20_240_131)),
            ("kern.log-20241301", "kern.log-20241301", Rank::Now),
            ("fw-10.0.0.1", "fw-10.0.0", Rank::Times(-1)),
            (".gz", ".gz", Rank::Now),
        ] {
            assert_eq!(sets(name), (set.to_owned(), rank), "{name}");
        }
        assert_eq!(Found::new("a-20240131".into()).rotated_on(), Some((2024, 1, 31)));
    }

    #[test]
    fn patterns_and_names_give_sets_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "kern.log",
            "kern.log.1",
            "kern.log.2.gz",
            "kern.log.10.gz",
            "ufw.log",
            "ufw.log-20240101",
            "a[1].log",
            ".hidden",
        ];
        for name in names {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(dir.path().join("kern.log.d")).unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let expanded = |patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(|p| at(p)).collect();
            expand(&patterns).map(|files| {
                files
                    .iter()
                    .map(|f| f.path.file_name().unwrap().to_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            expanded(&["kern.log*"]).unwrap(),
            ["kern.log.10.gz", "kern.log.2.gz", "kern.log.1", "kern.log"]
        );
        assert_eq!(
            expanded(&["ufw.log*", "kern.log", "kern.*"]).unwrap()[..2],
            ["ufw.log-20240101", "ufw.log"]
        );
        assert_eq!(expanded(&["kern.log", "kern.*"]).unwrap().len(), 4);
        assert_eq!(expanded(&["a[1].log"]).unwrap(), ["a[1].log"]);
        assert_eq!(expanded(&["*"]).unwrap().len(), 7);
        assert!(matches!(expanded(&["none*"]), Err(FindError::Nothing(_))));
        assert!(matches!(expanded(&["kern.log.d"]), Err(FindError::Folder(_))));
        assert!(matches!(expanded(&["[*"]), Err(FindError::Pattern { .. })));
    }
}
