use crate::chunked::Chunked;
use arrow_array::RecordBatch;
use bartizan_model::{BatchId, Micros};
use std::sync::Arc;

/// A batch that is received and readable, but not yet in the log.
#[derive(Debug, Clone)]
pub struct HotBatch {
    id: BatchId,
    rows: Vec<RecordBatch>,
    bytes: u64,
    arrived: Micros,
    time: Option<(Micros, Micros)>,
}

impl HotBatch {
    pub(crate) fn new(
        id: BatchId,
        rows: Vec<RecordBatch>,
        bytes: u64,
        arrived: Micros,
        time: Option<(Micros, Micros)>,
    ) -> Self {
        Self { id, rows, bytes, arrived, time }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// Its rows, in the table's schema.
    #[must_use]
    pub fn rows(&self) -> &[RecordBatch] {
        &self.rows
    }

    /// Its weight in memory, as the caller stated it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When it came.
    #[must_use]
    pub fn arrived(&self) -> Micros {
        self.arrived
    }

    /// The earliest and the latest `time` in it; nothing if it has no rows.
    #[must_use]
    pub fn time(&self) -> Option<(Micros, Micros)> {
        self.time
    }

    /// Whether it holds a row in the interval, as far as its bounds tell.
    #[must_use]
    pub fn may_hold(&self, since: Micros, until: Micros) -> bool {
        self.time.is_some_and(|(min, max)| min < until && max >= since)
    }
}

/// The hot batches of a moment, in the order in which they came; cheap to copy, untouched by later commits.
#[derive(Debug, Clone, Default)]
pub struct Hot(pub(crate) Chunked<HotBatch>);

impl Hot {
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

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<HotBatch>> {
        self.0.iter()
    }
}
