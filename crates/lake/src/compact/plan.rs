//! What to do next: a total function of the files that there are.
//!
//! A file is of a size class by its rows; a class is `fan_in` times the one before. The oldest day goes first, because
//! old days are done once and for all.

use super::Compact;
use crate::files::{DataFile, Files, tag};
use bartizan_model::{Kind, Micros};
use bartizan_schema::Relation;
use object_store::path::Path;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How the rows of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// By time.
    ByTime,
    /// By source, host, destination port and time.
    Sorted,
}

impl Shape {
    /// Its name in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByTime => "by time",
            Self::Sorted => "sorted",
        }
    }
}

/// Files that are to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// The day of all of them.
    pub day: i64,
    /// Each of them, by time.
    pub files: Vec<Arc<DataFile>>,
    /// How the new one lies.
    pub shape: Shape,
}

impl Job {
    /// Rows in all of them, where the log says.
    pub(super) fn rows(&self) -> Option<u64> {
        self.files.iter().map(|f| f.rows()).sum()
    }
}

/// A day's files that belong together; of rows with a wrong clock apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    day: i64,
    skewed: bool,
}

#[derive(Debug)]
struct Entry {
    file: Arc<DataFile>,
    rows: u64,
    time: (Micros, Micros),
    received: Micros,
}

impl Entry {
    fn is_sorted(&self) -> bool {
        self.file.tag(tag::SORTED).is_some()
    }
}

/// The next piece of work.
pub(super) fn next(
    relation: Relation,
    files: &Files,
    leave: &HashSet<Path>,
    how: &Compact,
    now: Micros,
) -> Option<Job> {
    // Rollups are one file for each file that they count.
    let Relation::Rows(kind) = relation else { return None };
    let mut days: BTreeMap<Key, Vec<Entry>> = BTreeMap::new();
    for file in files.iter().filter(|f| !leave.contains(f.path())) {
        if let Some((key, entry)) = entry(file) {
            days.entry(key).or_default().push(entry);
        }
    }
    let newest = days.keys().filter(|k| !k.skewed).map(|k| k.day).max();
    days.into_iter().find_map(|(key, mut entries)| {
        entries.sort_by(|a, b| (a.time, a.file.path()).cmp(&(b.time, b.file.path())));
        let sorts = kind == Kind::Events && !key.skewed;
        of_day(key, &entries, sorts, newest == Some(key.day), how, now)
    })
}

/// Nothing for a file of which the log does not say enough: it is left as it is.
fn entry(file: &Arc<DataFile>) -> Option<(Key, Entry)> {
    let (rows, time, day) = (file.rows()?, file.time()?, file.day()?);
    let skewed = time.0.day() != day || time.1.day() != day;
    let received = file.received()?.1;
    Some((Key { day, skewed }, Entry { file: Arc::clone(file), rows, time, received }))
}

fn of_day(key: Key, all: &[Entry], sorts: bool, newest: bool, how: &Compact, now: Micros) -> Option<Job> {
    let last = all.iter().map(|e| e.received.0).max()?;
    let over = (key.day + 1).saturating_mul(Micros::DAY).max(last).saturating_add(how.settle);
    let settled = over <= now.0;
    let job = |files: &[&Entry], shape| {
        Some(Job { day: key.day, files: files.iter().map(|e| Arc::clone(&e.file)).collect(), shape })
    };
    let open: Vec<&Entry> = all.iter().filter(|e| !e.is_sorted()).collect();
    if !sorts {
        // A file of half a unit is large enough for ever.
        let small: Vec<&Entry> = open.into_iter().filter(|e| e.rows < how.unit_rows / 2).collect();
        if settled && small.len() > 1 {
            return job(up_to(&small, how.unit_rows), Shape::ByTime).filter(|j| j.files.len() > 1);
        }
        return job(&tier(&small, how.fan_in, how.unit_rows)?, Shape::ByTime);
    }
    let old = if newest { before_newest(&open, how.keep_rows) } else { &open };
    let rows: u64 = old.iter().map(|e| e.rows).sum();
    if rows >= how.unit_rows || settled && rows > 0 {
        return job(up_to(old, how.unit_rows), Shape::Sorted);
    }
    if let Some(files) = tier(&open, how.fan_in, how.unit_rows / 4) {
        return job(&files, Shape::ByTime);
    }
    // What came late to days that were done makes small sorted files.
    let small: Vec<&Entry> = all.iter().filter(|e| e.is_sorted() && e.rows < how.unit_rows / 2).collect();
    if settled && small.len() >= how.fan_in {
        return job(up_to(&small, how.unit_rows), Shape::Sorted).filter(|j| j.files.len() > 1);
    }
    None
}

/// All but the last ones that hold so many rows together.
fn before_newest<'a, 'b>(files: &'a [&'b Entry], keep: u64) -> &'a [&'b Entry] {
    let mut kept = 0;
    let rest = files.iter().rev().skip_while(|e| {
        let keeps = kept < keep;
        kept += e.rows;
        keeps
    });
    files.get(..rest.count()).unwrap_or_default()
}

/// The first ones, up to so many rows but with the one that exceeds them, and at least one.
fn up_to<'a, 'b>(files: &'a [&'b Entry], most: u64) -> &'a [&'b Entry] {
    let mut rows = 0;
    let taken = files.iter().take_while(|e| {
        let takes = rows < most;
        rows += e.rows;
        takes
    });
    files.get(..taken.count()).unwrap_or_default()
}

/// The oldest `fan_in` files of the smallest size class that has so many, if they have not more rows together than
/// `most`. They need not be neighbours: so no class ever has more than that.
fn tier<'b>(files: &[&'b Entry], fan_in: usize, most: u64) -> Option<Vec<&'b Entry>> {
    let fan_in = fan_in.max(2);
    let mut classes: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
    for entry in files {
        classes.entry(entry.rows.max(1).ilog(fan_in as u64)).or_default().push(entry);
    }
    let full = classes.into_values().filter_map(|mut class| {
        class.truncate(fan_in);
        (class.len() == fan_in).then_some(class)
    });
    full.into_iter().find(|class| class.iter().map(|e| e.rows).sum::<u64>() <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunked::Chunked;
    use crate::delta::stats::Bounds;
    use proptest::prelude::*;

    const HOW: Compact = Compact { unit_rows: 1000, fan_in: 4, keep_rows: 100, settle: 600_000_000 };
    const TODAY: i64 = 20_780;

    fn file(n: usize, day: i64, skewed: bool, rows: u64, at: i64) -> DataFile {
        let received = Micros(day * Micros::DAY + at);
        let time = if skewed { Micros(n as i64) } else { received };
        let bounds = Bounds {
            rows: Some(rows),
            time: Some((time, Micros(time.0 + 5))),
            received: Some((received, received)),
            ..Bounds::default()
        };
        DataFile::new(Path::from(format!("events/date=x/{n}.parquet")), rows, day, 0, bounds, String::new())
    }

    /// The file that a job makes.
    fn made(n: usize, job: &Job) -> DataFile {
        let times = || job.files.iter().map(|f| f.time().unwrap());
        let bounds = Bounds {
            rows: job.rows(),
            time: times().map(|t| t.0).min().zip(times().map(|t| t.1).max()),
            received: job.files.iter().map(|f| f.received().unwrap()).max(),
            ..Bounds::default()
        };
        let path = Path::from(format!("events/date=x/{n}.parquet"));
        let file = DataFile::new(path, 1, job.day, 0, bounds, String::new()).with_tag(tag::MERGED, "true");
        if job.shape == Shape::Sorted { file.with_tag(tag::SORTED, "x") } else { file }
    }

    fn rows(files: &Chunked<DataFile>) -> u64 {
        files.iter().map(|f| f.rows().unwrap()).sum()
    }

    fn is_skewed(file: &DataFile) -> bool {
        file.time().unwrap().0.day() != file.day().unwrap()
    }

    /// Plans and carries out until there is nothing to do; says how many rows were written.
    fn settle(kind: Kind, files: &mut Chunked<DataFile>, next_name: &mut usize, now: Micros) -> u64 {
        let (all, mut written, mut jobs) = (rows(files), 0, 0);
        while let Some(job) = next(kind.into(), &Files(files.clone()), &HashSet::new(), &HOW, now) {
            jobs += 1;
            assert!(jobs < 1000, "it never ends");
            assert!(job.files.iter().all(|f| f.day() == Some(job.day)));
            assert!(job.files.windows(2).all(|w| is_skewed(&w[0]) == is_skewed(&w[1])), "F45");
            if job.shape == Shape::Sorted {
                assert!(kind == Kind::Events && !is_skewed(&job.files[0]));
            } else {
                assert!(job.files.len() > 1, "one file is not merged");
            }
            written += job.rows().unwrap();
            files.retain(|f| !job.files.iter().any(|j| j.path() == f.path()));
            *next_name += 1;
            files.push(Arc::new(made(*next_name, &job)));
        }
        assert_eq!(rows(files), all);
        written
    }

    proptest! {
        #[test]
        fn it_ends_with_few_files_and_mixes_nothing(
            sizes in prop::collection::vec((1..200_u64, -2..1_i64, prop::bool::weighted(0.1)), 1..150),
            events: bool,
        ) {
            let kind = if events { Kind::Events } else { Kind::Flows };
            let (mut files, mut name) = (Chunked::default(), 0);
            let mut written = 0;
            let today = |at: i64| Micros(TODAY * Micros::DAY + at);
            for (at, (rows, day, skewed)) in (0..).zip(&sizes) {
                name += 1;
                files.push(Arc::new(file(name, TODAY + day, *skewed, *rows, at * 1000)));
                written += settle(kind, &mut files, &mut name, today(at * 1000));
                let fresh = files.iter().filter(|f| f.tag(tag::MERGED).is_none()).count();
                // three days, each with skewed rows apart, of four size classes
                prop_assert!(fresh <= 3 * 2 * 4 * HOW.fan_in, "{fresh}");
            }
            prop_assert!(written <= 8 * rows(&files), "each row is written a few times only");
            written = settle(kind, &mut files, &mut name, today(3 * Micros::DAY));
            prop_assert!(written <= 3 * rows(&files));
            if events {
                let newest = files.iter().filter(|f| !is_skewed(f)).filter_map(|f| f.day()).max();
                for file in files.iter().filter(|f| !is_skewed(f) && f.day() != newest) {
                    prop_assert!(file.tag(tag::SORTED).is_some(), "what is over is sorted");
                }
            } else {
                let small = files.iter().filter(|f| f.rows().unwrap() < HOW.unit_rows / 2).count();
                prop_assert!(small <= 6, "one remainder of each day: {small}");
            }
            prop_assert!(next(kind.into(), &Files(files), &HashSet::new(), &HOW, today(4 * Micros::DAY)).is_none());
        }
    }

    #[test]
    fn files_of_which_little_is_known_and_rollups_are_left_alone() {
        let unknown = |n: usize| {
            let path = Path::from(format!("events/date=x/{n}.parquet"));
            Arc::new(DataFile::new(path, 1, TODAY, 0, Bounds::default(), String::new()))
        };
        let later = Micros((TODAY + 9) * Micros::DAY);
        let plan = |relation: Relation, files: Chunked<DataFile>| {
            next(relation, &Files(files), &HashSet::new(), &HOW, later)
        };
        assert_eq!(plan(Kind::Events.into(), (1..50).map(unknown).collect()), None);
        let known = || (1..50).map(|n| Arc::new(file(n, TODAY, false, 10, n as i64))).collect();
        assert!(plan(Kind::Events.into(), known()).is_some());
        assert_eq!(plan(bartizan_schema::Rollup::ALL[0].into(), known()), None);
    }
}
