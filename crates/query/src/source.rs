use arrow_array::RecordBatch;
use bartizan_lake::Tiers;
use bartizan_model::{Kind, Micros};
use bartizan_schema::Rollup;
use object_store::ObjectStore;
use object_store::path::Path;
use std::sync::Arc;

/// One immutable Parquet file of a table.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Where it is in the store.
    pub path: Path,
    /// Its size in bytes.
    pub size: u64,
    /// Its number of rows, if that is known without opening it.
    pub rows: Option<u64>,
    /// The earliest and the latest `time` in it, if they are known without opening it.
    pub time: Option<(Micros, Micros)>,
    /// The earliest and the latest `received` in it, if they are known.
    pub received: Option<(Micros, Micros)>,
    /// The least and the greatest `seq` in it, if they are known.
    pub seq: Option<(i64, i64)>,
    /// The least and the greatest `packets` in it, if they are known and every row has a value.
    pub packets: Option<(i64, i64)>,
    /// Its CRC-32C, if that was noted when it was written.
    pub crc32c: Option<u32>,
    /// Whether its rows are sorted by `src`, `dport` and `time` and not by `time`.
    pub by_source: bool,
}

impl DataFile {
    /// Its rows and the sum of their `packets`, if that needs no look into it.
    pub(crate) fn totals(&self) -> Option<(u64, i64)> {
        let (rows, (min, max)) = (self.rows?, self.packets?);
        let packets = i64::try_from(rows).ok()?.checked_mul(min)?;
        (min == max).then_some((rows, packets))
    }
}

/// What a table holds at one moment: each row is in exactly one file or one hot batch.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Committed files.
    pub files: Vec<DataFile>,
    /// Rows that no file holds yet, in the table's schema.
    pub hot: Vec<RecordBatch>,
}

/// The files of one data file's rollups, by [`Rollup::index`].
pub type Counts = [Option<DataFile>; Rollup::ALL.len()];

/// A file of `events`, and what there is of its rollups: each counts exactly its rows.
#[derive(Clone, Debug)]
pub struct Part {
    /// Rows.
    pub rows: DataFile,
    /// Their counts.
    pub counts: Counts,
    /// How the file of [`Rollup::Sources`] is sorted.
    pub tiers: Option<Tiers>,
}

/// What is left of a file of `events` whose rows are gone.
#[derive(Clone, Debug)]
pub struct History {
    /// A time before all of the rows and one after them, if they are known.
    pub time: Option<(Micros, Micros)>,
    /// Their counts.
    pub counts: Counts,
    /// How the file of [`Rollup::Sources`] is sorted.
    pub tiers: Option<Tiers>,
}

/// The events of one moment, with what counts them: each is in one part, in a hot batch, or in history.
#[derive(Clone, Debug, Default)]
pub struct Rolled {
    /// Committed files.
    pub parts: Vec<Part>,
    /// Counts of rows that retention took away.
    pub history: Vec<History>,
    /// Rows that no file holds yet, in the schema of `events`.
    pub hot: Vec<RecordBatch>,
}

/// Where rows are.
///
/// A view is taken once per question, so that a question never sees a row twice or misses one while the row
/// moves from the hot batches to a file. The files of a view must stay readable while a question that took it
/// runs.
pub trait Source: Send + Sync {
    /// What `kind` holds now, or any part of it that has every row of the window. Cheap, and never waits for
    /// I/O.
    fn view(&self, kind: Kind, window: Window) -> View;

    /// The events of now with their rollups, or any part of it that has every row of the window; as cheap as
    /// [`Source::view`]. Without rollups, all is rows.
    fn rolled(&self, window: Window) -> Rolled {
        let view = self.view(Kind::Events, window);
        let part = |rows| Part { rows, counts: Counts::default(), tiers: None };
        Rolled { parts: view.files.into_iter().map(part).collect(), history: Vec::new(), hot: view.hot }
    }

    /// The store under which the paths of every view live; always the same one.
    fn store(&self) -> Arc<dyn ObjectStore>;
}

/// A half-open interval of `time`: `since <= time < until`. A side that is `None` has no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The first moment inside.
    pub since: Option<Micros>,
    /// The first moment after.
    pub until: Option<Micros>,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self { since: None, until: None };

    /// What is inside both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let since = self.since.max(other.since);
        let until = match (self.until, other.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { since, until }
    }

    /// Whether there may be a row of the window between two times, both included; unknown times may hold it.
    #[must_use]
    pub fn touches(&self, time: Option<(Micros, Micros)>) -> bool {
        let Some((min, max)) = time else { return true };
        self.since.is_none_or(|since| max >= since) && self.until.is_none_or(|until| min < until)
    }

    /// Whether every row between two times, both included, is inside.
    #[must_use]
    pub fn covers(&self, time: Option<(Micros, Micros)>) -> bool {
        let Some((min, max)) = time else { return *self == Self::ALL };
        self.since.is_none_or(|since| min >= since) && self.until.is_none_or(|until| max < until)
    }
}
