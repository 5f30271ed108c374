use arrow_array::RecordBatch;
use bartizan_model::{Kind, Micros};
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

/// Where rows are.
///
/// A view is taken once per question, so that a question never sees a row twice or misses one while the row
/// moves from the hot batches to a file. The files of a view must stay readable while a question that took it
/// runs.
pub trait Source: Send + Sync {
    /// What `kind` holds now, or any part of it that has every row of the window. Cheap, and never waits for
    /// I/O.
    fn view(&self, kind: Kind, window: Window) -> View;

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
