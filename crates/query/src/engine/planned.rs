//! Questions whose plan somebody else makes: SQL.
//!
//! - A [`Moment`] holds each table as it was when the table was first used in the question, so that a row is seen
//!   once however often the question names the table.
//! - Planning runs on a thread with a deep stack, because plans are trees that are walked by recursion, and it counts
//!   as work: it needs a permit, and ends with the question's time.

use super::columns::column;
use super::planner::Working;
use super::{Engine, session_config};
use crate::QueryError;
use crate::lower::{self, Lowered};
use crate::pieces::pieces;
use crate::question::Question;
use crate::source::{View, Window};
use crate::stream::{Meter, RowStream};
use arrow_schema::SchemaRef;
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::table_schema;
use datafusion::common::ScalarValue;
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Stack of a thread that plans. It is reserved, not used, until a plan is that deep.
const STACK: usize = 64 << 20;

/// What a question may be planned with.
pub struct Moment {
    engine: Engine,
    views: Mutex<BTreeMap<Kind, View>>,
}

/// A plan of a question, and the session it was made in.
pub struct Planned {
    /// Optimised.
    pub plan: LogicalPlan,
    /// Made from [`Moment::session`].
    pub state: SessionState,
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planned").finish_non_exhaustive()
    }
}

impl Moment {
    /// A session with the question's share of memory, and with nothing in it: no table, no function.
    #[must_use]
    pub fn session(&self) -> SessionStateBuilder {
        let limits = &self.engine.planner.limits;
        SessionStateBuilder::new()
            .with_config(session_config(self.engine.planner.partitions, limits.batch_rows.max(1)))
            .with_runtime_env(Arc::clone(&self.engine.planner.runtime))
    }

    /// What of a table is in sight of who asks: its rows in the scope, and its columns.
    ///
    /// # Errors
    /// If the plan cannot be made.
    pub fn table(&self, kind: Kind) -> DfResult<LogicalPlan> {
        let view = self.view(kind).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let table = Arc::new(self.engine.planner.table(kind.into(), view));
        let scan = LogicalPlanBuilder::scan(kind.as_str(), provider_as_source(table), None)?;
        let sight = self.engine.sight();
        let all = Filter::all();
        let scope = sight.scoped(kind, &all).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let rows = match lower::filter(kind, &scope) {
            Lowered::All => scan,
            Lowered::Where(expr) => scan.filter(expr)?,
        };
        match sight.columns(kind) {
            None => rows,
            // None of them instead of no such column: views and programs know the table's shape.
            Some(seen) => rows.project(table_schema(kind).fields().iter().map(|field| {
                if seen.contains(&field.name().as_str()) {
                    return column(field.name());
                }
                let none = ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null);
                lit(none).alias(field.name())
            }))?,
        }
        .build()
    }

    fn view(&self, kind: Kind) -> Result<View, QueryError> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(&kind) {
            return Ok(view.clone());
        }
        let view = self.engine.view(kind, Window::ALL)?;
        // All of them are looked at; DataFusion does not count what it reads from memory.
        self.engine.planner.question.reads(view.hot.iter().map(|batch| batch.num_rows() as u64).sum());
        views.insert(kind, view.clone());
        Ok(view)
    }

    fn files(&self) -> usize {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.values().map(|view| view.files.len()).sum()
    }
}

impl Engine {
    /// What `plan` makes of this moment, without an answer: for what is to be known before it is asked for.
    ///
    /// # Errors
    /// Those of `plan`; [`QueryError::Limit`].
    pub async fn prepare<T, P>(&self, plan: P) -> Result<T, QueryError>
    where
        P: FnOnce(&Moment) -> Result<T, QueryError> + Send + 'static,
        T: Send + 'static,
    {
        let moment = Moment { engine: self.asked(), views: Mutex::default() };
        let question = Arc::clone(&moment.engine.planner.question);
        let workers = Arc::clone(&moment.engine.planner.workers);
        workers.one(&question, deeply(move || plan(&moment))).await
    }

    /// The answer to the plan that `plan` makes. It may be asked again, if files turn out to be damaged.
    ///
    /// # Errors
    /// Those of `plan`, and as [`Engine::search`].
    pub async fn planned<P>(&self, plan: P) -> Result<RowStream, QueryError>
    where
        P: Fn(&Moment) -> Result<Planned, QueryError> + Send + Sync + 'static,
    {
        let engine = self.asked();
        let plan = Arc::new(plan);
        loop {
            match engine.planned_once(Arc::clone(&plan)).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn planned_once<P>(&self, plan: Arc<P>) -> Result<RowStream, QueryError>
    where
        P: Fn(&Moment) -> Result<Planned, QueryError> + Send + Sync + 'static,
    {
        let started = Instant::now();
        let question: &Arc<Question> = &self.planner.question;
        let meter = Meter::default();
        let engine = Self { source: Arc::clone(&self.source), planner: self.planner.clone() };
        let moment = Moment { engine, views: Mutex::default() };
        let (tell, told) = oneshot::channel();
        let (metered, asked) = (meter.clone(), Arc::clone(question));
        let mut running = self.planner.workers.run(question, async move {
            let made = deeply(move || {
                let Planned { plan: logical, state } = plan(&moment)?;
                let task = state.task_ctx();
                let physical = futures::executor::block_on(state.create_physical_plan(&logical));
                let physical = physical.map_err(QueryError::of_sql)?;
                Ok((physical, task, moment.files()))
            });
            let (physical, task, files): (Arc<dyn ExecutionPlan>, _, usize) = made.await?;
            metered.start(Arc::clone(&physical));
            // Whoever asked may have gone.
            drop(tell.send((physical.schema(), files)));
            let working = Working { plan: Arc::clone(&physical), question: asked };
            let rows = execute_stream(physical, task)?.map_err(QueryError::of_sql);
            let rows = rows.flat_map(|batch| {
                let pieces = batch.map_or_else(|error| vec![Err(error)], pieces);
                futures::stream::iter(pieces)
            });
            Ok(rows
                .inspect(move |_| {
                    // Kept as long as the stream is.
                    let _ = &working;
                })
                .boxed())
        });
        let first = running.next().await.transpose()?;
        let (schema, files): (SchemaRef, usize) = told.await.map_err(|_| stopped())?;
        let rows = futures::stream::iter(first.map(Ok)).chain(running).boxed();
        Ok(RowStream::new(schema, rows, meter, files, started).of(question))
    }
}

fn stopped() -> QueryError {
    DataFusionError::Execution("planning ended without a plan".to_owned()).into()
}

/// What `work` gives, on a thread of its own. It cannot be ended from outside; who calls bounds what it does.
async fn deeply<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let (send, receive) = oneshot::channel();
    let handle = Handle::current();
    std::thread::Builder::new()
        .name("plan".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let _inside = handle.enter();
            // Whoever waited may have gone.
            drop(send.send(work()));
        })
        .map_err(DataFusionError::from)?;
    // A panic drops the sending end.
    receive.await.map_err(|_| stopped())?
}
