//! From a view and a predicate to a plan, and from a plan to its rows.

use super::columns::column;
use super::{Answers, Limits};
use crate::QueryError;
use crate::files::{Files, Readers};
use crate::lower::{self, Lowered};
use crate::question::{Allowance, Question, Share, Workers};
use crate::source::{DataFile, View, Window};
use crate::stream::{Meter, RowStream};
use crate::table::ViewTable;
use arrow_array::RecordBatch;
use bartizan_model::Kind;
use bartizan_schema::Relation;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DfResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Instant;

/// Makes and starts the plans of one question.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(super) context: SessionContext,
    pub(super) store_url: ObjectStoreUrl,
    pub(crate) files: Arc<Files>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) question: Arc<Question>,
    /// The question's memory and everybody's disk.
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) partitions: usize,
    pub(crate) sort_rows: u64,
    pub(super) answers: Arc<Answers>,
    pub(super) limits: Arc<Limits>,
}

impl Planner {
    /// For one more question.
    pub(crate) fn asked(&self) -> Self {
        let all = self.context.runtime_env();
        let share = Share::new(Arc::clone(&all.memory_pool), self.limits.question_memory);
        let allowance = Allowance { time: self.limits.question_time, bytes: self.limits.question_bytes };
        Self {
            question: Question::new(allowance),
            runtime: Arc::new(RuntimeEnv {
                memory_pool: Arc::new(share),
                disk_manager: Arc::clone(&all.disk_manager),
                cache_manager: Arc::clone(&all.cache_manager),
                object_store_registry: Arc::clone(&all.object_store_registry),
            }),
            ..self.clone()
        }
    }

    /// Takes the files that are out of use from a view, and notes them.
    pub(crate) fn usable(&self, view: &mut View) {
        view.files.retain(|file| match self.files.quarantine.of(&file.path) {
            None => true,
            Some(damage) => {
                self.question.lacks(&file.path, damage);
                false
            }
        });
    }

    /// The rows of a view that are inside a window and match.
    pub(crate) fn frame(
        &self,
        kind: Kind,
        mut view: View,
        predicate: Lowered,
        window: Window,
    ) -> DfResult<DataFrame> {
        self.usable(&mut view);
        self.scan(kind.into(), view, predicate, window)
    }

    /// The columns of a table's rows that are in sight of who asks.
    pub(super) fn in_sight(&self, kind: Kind, frame: DataFrame) -> DfResult<DataFrame> {
        match self.question.sight().columns(kind) {
            None => Ok(frame),
            Some(columns) => frame.select(columns.into_iter().map(column).collect::<Vec<_>>()),
        }
    }

    /// The rows of a rollup's files that are inside a window and match.
    pub(crate) fn counts(
        &self,
        relation: Relation,
        files: Vec<DataFile>,
        predicate: Lowered,
        window: Window,
    ) -> DfResult<DataFrame> {
        self.scan(relation, View { files, hot: Vec::new() }, predicate, window)
    }

    fn scan(
        &self,
        relation: Relation,
        view: View,
        predicate: Lowered,
        window: Window,
    ) -> DfResult<DataFrame> {
        // All of them are; DataFusion does not count what it reads from memory.
        self.question.planned(view.hot.iter().map(|batch| batch.num_rows() as u64).sum());
        let mut frame = self.context.read_table(Arc::new(self.table(relation, view)))?;
        if let Some(inside) = lower::window(window) {
            frame = frame.filter(inside)?;
        }
        Ok(match predicate {
            Lowered::All => frame,
            Lowered::Where(expr) => frame.filter(expr)?,
        })
    }

    /// All rows of a view.
    pub(super) fn table(&self, relation: Relation, view: View) -> ViewTable {
        ViewTable {
            schema: relation.schema(),
            hot: view.hot,
            files: view.files,
            store_url: self.store_url.clone(),
            readers: Arc::new(self.readers()),
            partitions: self.partitions,
        }
    }

    pub(crate) fn readers(&self) -> Readers {
        Readers { files: Arc::clone(&self.files), question: Arc::clone(&self.question) }
    }

    /// An answer whose plan is made, and whose reading has begun: its first batch is here, or the failure that came
    /// before it. Sorting and grouping give no row before they have read all, so that a file which cannot be read
    /// shows here, and [`Planner::mend`] can help.
    pub(crate) async fn run(
        &self,
        frame: DataFrame,
        files: usize,
        started: Instant,
    ) -> Result<RowStream, QueryError> {
        let meter = Meter::default();
        let schema = Arc::clone(frame.schema().inner());
        let rows = self.start(frame, &meter).await?;
        Ok(RowStream::new(schema, rows, meter, files, started).of(&self.question))
    }

    /// The batches of a plan, as of [`Planner::run`].
    pub(crate) async fn start(
        &self,
        frame: DataFrame,
        meter: &Meter,
    ) -> Result<BoxStream<'static, Result<RecordBatch, QueryError>>, QueryError> {
        let task = Arc::new(frame.task_ctx().with_runtime(Arc::clone(&self.runtime)));
        let plan = frame.create_physical_plan().await?;
        meter.start(Arc::clone(&plan));
        let working = Working { plan: Arc::clone(&plan), question: Arc::clone(&self.question) };
        let mut running = self.workers.run(&self.question, async move {
            Ok(execute_stream(plan, task)?.map_err(QueryError::from).boxed())
        });
        let first = running.next().await.transpose()?;
        let rows = futures::stream::iter(first.map(Ok)).chain(running);
        Ok(rows
            .inspect(move |_| {
                // Kept as long as the stream is.
                let _ = &working;
            })
            .boxed())
    }

    /// Nothing, if the question can be asked again, without files that turned out to be damaged or missing.
    ///
    /// # Errors
    /// The failure, if that is of no use.
    pub(crate) async fn mend(&self, error: QueryError) -> Result<(), QueryError> {
        self.question.mend(&self.files, error).await
    }
}

/// A plan that runs. When it has ended, the rows that it looked at are noted.
pub(super) struct Working {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    pub(super) question: Arc<Question>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.question.planned(looked_at(self.plan.as_ref()));
    }
}

/// Rows that the sources of a plan gave, and those that they left out by themselves.
fn looked_at(plan: &dyn ExecutionPlan) -> u64 {
    let children = plan.children();
    if !children.is_empty() {
        return children.into_iter().map(|child| looked_at(child.as_ref())).sum();
    }
    let Some(metrics) = plan.metrics() else { return 0 };
    let pruned = metrics.sum_by_name("pushdown_rows_pruned").map_or(0, |n| n.as_usize());
    (metrics.output_rows().unwrap_or(0) + pruned) as u64
}
