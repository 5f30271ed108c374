//! Our own way through files, for questions where knowing our files pays: newest rows, and counts of distinct values.
//!
//! The rows of a file are those that the live matcher passes, of the row groups and pages that may hold one
//! ([`prune`]). Nothing here decides which files there are.

mod codes;
mod distinct;
mod facets;
mod file;
mod known;
mod newest;
mod pairs;
mod prune;
mod ranges;

pub(crate) use codes::Value;
pub(crate) use distinct::{Wanted, distinct};
pub(crate) use facets::{Tally, facets};
pub(crate) use newest::newest;

use crate::engine::Planner;
use crate::files::Readers;
use crate::source::Window;
use crate::{QueryError, Scoped};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use bartizan_filter::{Expr, Matcher};
use bartizan_model::Kind;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use parquet::errors::ParquetError;
use std::sync::Arc;
use tokio::task::JoinError;

/// Which rows are looked for, and with what.
pub(crate) struct Question {
    pub(crate) kind: Kind,
    pub(crate) filter: Scoped<'static>,
    matcher: Option<Matcher>,
    pub(crate) window: Window,
    /// Columns to read of a row to know whether it counts, and what of it counts.
    pub(crate) columns: Vec<&'static str>,
    pub(crate) readers: Arc<Readers>,
    /// Parts that run at one time.
    pub(crate) parallel: usize,
    pub(crate) memory: MemoryReservation,
}

impl Question {
    pub(crate) fn new(
        planner: &Planner,
        kind: Kind,
        filter: &Scoped<'_>,
        window: Window,
        columns: &[&'static str],
    ) -> Arc<Self> {
        let mut all = filter.columns();
        all.extend(columns);
        if window != Window::ALL {
            all.insert("time");
        }
        Arc::new(Self {
            kind,
            filter: filter.clone().into_owned(),
            matcher: (!matches!(filter.expr(), Expr::All)).then(|| Matcher::new(filter)),
            window,
            columns: all.into_iter().collect(),
            readers: Arc::new(planner.readers()),
            parallel: planner.partitions,
            memory: MemoryConsumer::new("scan").register(&planner.runtime.memory_pool),
        })
    }

    /// Which rows of a batch count.
    pub(crate) fn matches(&self, batch: &RecordBatch) -> BooleanArray {
        let inside = self.inside(batch);
        let matched = self.matcher.as_ref().map(|matcher| matcher.matches(batch).values().clone());
        let all = match (inside, matched) {
            (None, None) => BooleanBuffer::new_set(batch.num_rows()),
            (Some(rows), None) | (None, Some(rows)) => rows,
            (Some(inside), Some(matched)) => &inside & &matched,
        };
        BooleanArray::new(all, None)
    }

    fn inside(&self, batch: &RecordBatch) -> Option<BooleanBuffer> {
        if self.window == Window::ALL {
            return None;
        }
        let times = batch.column_by_name("time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let since = self.window.since.map_or(i64::MIN, |t| t.0);
        let values = times.values();
        Some(match self.window.until {
            None => BooleanBuffer::collect_bool(times.len(), |row| values[row] >= since),
            Some(until) => {
                BooleanBuffer::collect_bool(times.len(), |row| values[row] >= since && values[row] < until.0)
            }
        })
    }
}

/// What a task of ours gave. A panic in it is one here.
fn joined<T>(done: Result<Result<T, ParquetError>, JoinError>) -> Result<T, QueryError> {
    match done {
        Ok(done) => Ok(done.map_err(|error| DataFusionError::ParquetError(Box::new(error)))?),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(DataFusionError::Execution(error.to_string()).into()),
    }
}
