use crate::chunked::Chunked;
use crate::delta::stats::{self, Bounds};
use crate::delta::{Add, PARTITION, data_path, time};
use bartizan_model::Micros;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Parquet file that the log names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    path: Path,
    size: u64,
    day: Option<i64>,
    modified_millis: i64,
    bounds: Bounds,
    stats: Option<Box<str>>,
    tags: BTreeMap<String, String>,
}

/// Names of what the lake notes about a file ([`DataFile::tag`]). Other writers' notes are kept as they are.
pub mod tag {
    /// CRC-32C of the whole file, eight hexadecimal digits.
    pub const CRC32C: &str = "bartizan.crc32c";
    /// The columns by which the rows are sorted, comma-separated; absent: by `time`.
    pub const SORTED: &str = "bartizan.sorted";
    /// `true` on what compaction made, of whatever size and order; absent on what a commit wrote.
    pub const MERGED: &str = "bartizan.merged";
    /// In a rollup: the path of the data file of `events` whose rows it counts, from the table's folder.
    pub const OF: &str = "bartizan.of";
    /// In a rollup: `true` once retention took that data file away, so that the counts stand in its place.
    pub const HISTORY: &str = "bartizan.history";
    /// In `sources`: where its tiers end; see [`crate::Tiers`].
    pub const TIERS: &str = "bartizan.tiers";
    /// What retention was looked for in the file, and did not find.
    pub const RETAINED: &str = "bartizan.retained";
}

impl DataFile {
    pub(crate) fn new(
        path: Path,
        size: u64,
        day: i64,
        modified_millis: i64,
        bounds: Bounds,
        stats: String,
    ) -> Self {
        Self {
            path,
            size,
            day: Some(day),
            modified_millis,
            bounds,
            stats: Some(stats.into()),
            tags: BTreeMap::new(),
        }
    }

    /// The file that an action names, or what is not understood of it.
    pub(crate) fn from_add(table: &Path, add: &Add) -> Result<Self, String> {
        if add.deletion_vector.is_some() {
            return Err(format!("the deletion vector of `{}`", add.path));
        }
        Ok(Self {
            path: data_path(table, &add.path).ok_or_else(|| format!("the place `{}`", add.path))?,
            size: u64::try_from(add.size).map_err(|_| format!("the size {} of `{}`", add.size, add.path))?,
            day: add.partition_values.get(PARTITION).and_then(|v| time::day_of(v.as_deref()?)),
            modified_millis: add.modification_time,
            bounds: stats::parse(add.stats.as_deref()),
            stats: add.stats.as_deref().map(Into::into),
            tags: add.tags.iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect(),
        })
    }

    /// The action that names it. `data_change` is false where the file only holds rows anew that were there.
    pub(crate) fn to_add(&self, table: &Path, data_change: bool) -> Add {
        Add {
            path: relative(table, &self.path),
            partition_values: BTreeMap::from([(PARTITION.to_owned(), self.day.and_then(time::day_text))]),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: self.modified_millis,
            data_change,
            stats: self.stats.as_deref().map(str::to_owned),
            tags: (!self.tags.is_empty())
                .then(|| self.tags.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect()),
            deletion_vector: None,
        }
    }

    /// The same file with a note; see [`tag`].
    #[must_use]
    pub fn with_tag(mut self, name: &str, value: impl Into<String>) -> Self {
        self.tags.insert(name.to_owned(), value.into());
        self
    }

    /// The same with the notes of a file from which it was made, as far as they still hold for some of its rows.
    #[must_use]
    pub(crate) fn with_tags_of(mut self, of: &Self) -> Self {
        let of = of
            .tags
            .iter()
            .filter(|(name, _)| ![tag::CRC32C, tag::RETAINED, tag::TIERS].contains(&name.as_str()));
        self.tags.extend(of.map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// The same file without a note.
    #[must_use]
    pub(crate) fn without_tag(mut self, name: &str) -> Self {
        self.tags.remove(name);
        self
    }

    /// What is noted about it.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name).map(String::as_str)
    }

    /// Its place in the object store, from the store's root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Rows, where the log says.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.bounds.rows
    }

    /// The folder's UTC day in days since 1970: that of `time`, or that of `received` for rows where these are
    /// more than a day apart.
    #[must_use]
    pub fn day(&self) -> Option<i64> {
        self.day
    }

    /// The earliest and the latest `time` in it, where the log says.
    #[must_use]
    pub fn time(&self) -> Option<(Micros, Micros)> {
        self.bounds.time
    }

    /// The earliest and the latest `received` in it, where the log says.
    #[must_use]
    pub fn received(&self) -> Option<(Micros, Micros)> {
        self.bounds.received
    }

    /// The least and the greatest `seq` in it, where the log says.
    #[must_use]
    pub fn seq(&self) -> Option<(i64, i64)> {
        self.bounds.seq
    }

    /// The least and the greatest `packets` in it, where every row has a value and the log says.
    #[must_use]
    pub fn packets(&self) -> Option<(i64, i64)> {
        self.bounds.packets
    }

    /// Whether it may hold a row with `since <= time < until`.
    #[must_use]
    pub fn may_hold(&self, since: Micros, until: Micros) -> bool {
        self.bounds.time.is_none_or(|(min, max)| min < until && max >= since)
    }
}

/// The live files of a moment; cheap to copy, untouched by later commits.
#[derive(Debug, Clone, Default)]
pub struct Files(pub(crate) Chunked<DataFile>);

impl Files {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in the order of their commits.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.0.iter()
    }
}

/// The place of an object as the log writes it: from the table's folder, percent-encoded.
pub(crate) fn relative(table: &Path, path: &Path) -> String {
    use std::fmt::Write;
    let below = path.as_ref().strip_prefix(table.as_ref()).unwrap_or(path.as_ref()).trim_start_matches('/');
    let mut out = String::with_capacity(below.len());
    for b in below.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~=/".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_survives_the_way_through_an_action() {
        let table = Path::from("lake/events");
        let stats = r#"{"numRecords":2,"minValues":{"time":"2026-11-18T11:06:40.000001Z"},"maxValues":{"time":"2026-11-18T11:06:40.000002Z"}}"#;
        let path = data_path(&table, "date=2026-11-18/a%20b.parquet").unwrap();
        let file = DataFile::new(path, 10, 20_775, 5, stats::parse(Some(stats)), stats.into())
            .with_tag(tag::CRC32C, "00000000");
        let add = file.to_add(&table, true);
        assert_eq!(add.path, "date=2026-11-18/a%20b.parquet");
        assert_eq!(DataFile::from_add(&table, &add), Ok(file.clone()));
        let t = |n: i64| Micros(1_795_000_000_000_000 + n);
        assert!(file.may_hold(t(2), t(9)) && file.may_hold(t(0), t(2)));
        assert!(!file.may_hold(t(3), t(9)) && !file.may_hold(t(0), t(1)));
        assert!(DataFile { bounds: Bounds::default(), ..file }.may_hold(t(3), t(9)));
    }
}
