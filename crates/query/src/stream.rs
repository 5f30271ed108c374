use crate::QueryError;
use crate::question::Question;
use crate::rollup::Counted;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Files that the time window touches; pruning inside them is not counted.
    pub files: usize,
    /// Bytes read from files so far.
    pub bytes: u64,
    /// Files that were opened, of those.
    pub opened: usize,
    /// Rows of which something was read to find out whether they match.
    pub looked_at: u64,
    /// Row groups left unread because their statistics rule out a match, so far.
    pub groups_pruned: u64,
    /// From the question to now, or to the end of the answer.
    pub took: Duration,
}

/// What the plans of one answer have read.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<Metered>>);

#[derive(Default)]
struct Metered {
    done: Stats,
    current: Option<Arc<dyn ExecutionPlan>>,
}

impl Meter {
    /// From now on a plan runs; the one before has ended.
    pub(crate) fn start(&self, plan: Arc<dyn ExecutionPlan>) {
        let mut metered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = metered.current.replace(plan) {
            add_metrics(ended.as_ref(), &mut metered.done);
        }
    }

    fn total(&self) -> Stats {
        let metered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats = metered.done;
        if let Some(plan) = &metered.current {
            add_metrics(plan.as_ref(), &mut stats);
        }
        stats
    }
}

/// The rows of an answer, batch by batch. Dropping it ends the work behind it.
pub struct RowStream {
    inner: Option<BoxStream<'static, Result<RecordBatch, QueryError>>>,
    meter: Meter,
    schema: SchemaRef,
    left: Option<usize>,
    rows: u64,
    files: usize,
    started: Instant,
    took: Option<Duration>,
    question: Option<Arc<Question>>,
    counted: Option<Counted>,
}

impl RowStream {
    pub(crate) fn new(
        schema: SchemaRef,
        inner: BoxStream<'static, Result<RecordBatch, QueryError>>,
        meter: Meter,
        files: usize,
        started: Instant,
    ) -> Self {
        Self {
            inner: Some(inner),
            meter,
            schema,
            left: None,
            rows: 0,
            files,
            started,
            took: None,
            question: None,
            counted: None,
        }
    }

    /// The answer to this question.
    pub(crate) fn of(mut self, question: &Arc<Question>) -> Self {
        self.question = Some(Arc::clone(question));
        self
    }

    /// Made of these.
    pub(crate) fn counted(mut self, from: Option<Counted>) -> Self {
        self.counted = from;
        self
    }

    /// What the answer was counted from, where rollups had a part in it.
    #[must_use]
    pub const fn counted_from(&self) -> Option<&Counted> {
        self.counted.as_ref()
    }

    /// These rows, and then those of another answer of the same columns to the same question.
    pub(crate) fn then(self, rest: Self, files: usize, started: Instant) -> Self {
        let (schema, question, meter) = (self.schema(), self.question.clone(), rest.meter.clone());
        // What is lacking is told once, at the end.
        let rows = |answer: Self| {
            answer.filter(|batch| std::future::ready(!matches!(batch, Err(QueryError::LeftOut(_)))))
        };
        let both = rows(self).chain(rows(rest)).boxed();
        Self { question, ..Self::new(schema, both, meter, files, started) }
    }

    /// Ends after so many rows.
    pub(crate) const fn limited(mut self, rows: Option<usize>) -> Self {
        self.left = rows;
        self
    }

    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// How many rows have been given so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// What the answer took so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let took = self.took.unwrap_or_else(|| self.started.elapsed());
        let bytes = self.question.as_ref().map_or(0, |question| question.bytes());
        let (looked_at, opened) = self.question.as_ref().map_or((0, 0), |question| question.looked_at());
        let planned = self.meter.total();
        Stats { files: self.files, took, bytes, opened, looked_at: looked_at + planned.looked_at, ..planned }
    }

    /// All the batches that are left.
    ///
    /// # Errors
    /// The first error of the stream.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, QueryError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }

    fn end(&mut self) {
        self.inner = None;
        self.took.get_or_insert(self.started.elapsed());
    }

    /// After the last row: the error that there should be more.
    fn lacks(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        self.end();
        let left_out = self.question.as_ref()?.left_out();
        (!left_out.is_empty()).then_some(Err(QueryError::LeftOut(left_out)))
    }
}

fn add_metrics(plan: &dyn ExecutionPlan, stats: &mut Stats) {
    for metric in plan.metrics().iter().flat_map(|set| set.iter()) {
        match metric.value() {
            MetricValue::PruningMetrics { name, pruning_metrics }
                if name.starts_with("row_groups_pruned") =>
            {
                stats.groups_pruned += pruning_metrics.pruned() as u64;
            }
            // Rows that a reader gives, and those that it read and did not give.
            MetricValue::OutputRows(rows) if plan.children().is_empty() => {
                stats.looked_at += rows.value() as u64;
            }
            MetricValue::Count { name, count } if name == "pushdown_rows_pruned" => {
                stats.looked_at += count.value() as u64;
            }
            _ => {}
        }
    }
    for child in plan.children() {
        add_metrics(child.as_ref(), stats);
    }
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStream")
            .field("rows", &self.rows)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Ends after the first error. [`QueryError::LeftOut`] comes after all rows that there are.
impl Stream for RowStream {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == Some(0) && self.inner.is_some() {
            return Poll::Ready(self.lacks());
        }
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        match std::task::ready!(inner.poll_next_unpin(cx)) {
            None => Poll::Ready(self.lacks()),
            Some(Err(e)) => {
                self.end();
                Poll::Ready(Some(Err(e)))
            }
            Some(Ok(mut batch)) => {
                if let Some(left) = self.left.as_mut() {
                    batch = batch.slice(0, batch.num_rows().min(*left));
                    *left -= batch.num_rows();
                }
                self.rows += batch.num_rows() as u64;
                Poll::Ready(Some(Ok(batch)))
            }
        }
    }
}
