//! The questions that can be asked, one file each, and what answers them.

mod answers;
mod arrivals;
mod columns;
mod compare;
mod count;
mod distinct;
mod facets;
mod groups;
mod histogram;
mod limits;
mod planned;
mod planner;
mod search;
mod snapshot;
mod sources;

pub(crate) use answers::Answers;
pub use arrivals::{Arrival, ArrivalError};
pub use columns::MAX_GROUPS;
pub(crate) use columns::column;
pub use compare::{Compare, MAX_COMPARED};
pub use count::Count;
pub use distinct::Spread;
pub use facets::{Facet, Facets, MAX_FACETS};
pub use histogram::Histogram;
pub use limits::Limits;
pub use planned::{Moment, Planned};
pub(crate) use planner::Planner;
pub use search::{Order, Search};
pub use sources::Sources;

use crate::files::{Blooms, Files, Footers, LeftOut, Quarantine};
use crate::question::{Allowance, Question, Workers};
use crate::rollup::{Pieces, Want, choose};
use crate::source::{DataFile, Source, View, Window};
use crate::{QueryError, Sight};
use arrow_schema::SchemaRef;
use bartizan_model::Kind;
use bartizan_schema::table_schema;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Answers questions over a [`Source`]. One per process; cheap to share behind an `Arc`.
pub struct Engine {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) planner: Planner,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("partitions", &self.planner.partitions).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over a source.
    ///
    /// # Errors
    /// [`QueryError::Engine`] if the spill folder cannot be used.
    pub fn new(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, QueryError> {
        let mode = limits
            .spill_dir
            .clone()
            .map_or(DiskManagerMode::OsTmpDirectory, |dir| DiskManagerMode::Directories(vec![dir]));
        let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(limits.spill);
        let top = NonZeroUsize::new(5).expect("5 is not 0");
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(limits.memory), top)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let store_url = ObjectStoreUrl::parse("bartizan://lake")?;
        let store = source.store();
        runtime.register_object_store(store_url.as_ref(), Arc::clone(&store));
        let footers = Footers::new(limits.metadata_cache);
        let blooms = Blooms::new(limits.metadata_cache / 2);
        let files = Arc::new(Files { store, footers, blooms, quarantine: Quarantine::default() });

        let partitions = limits.partitions.max(1);
        let state = SessionStateBuilder::new()
            .with_config(session_config(partitions, limits.batch_rows.max(1)))
            .with_runtime_env(Arc::clone(&runtime))
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        Ok(Self {
            source,
            planner: Planner {
                context,
                store_url,
                files,
                workers: Arc::new(Workers::new(partitions, limits.questions)?),
                question: Question::new(Allowance {
                    time: limits.question_time,
                    bytes: limits.question_bytes,
                }),
                runtime,
                partitions,
                sort_rows: limits.sort_rows.max(1),
                answers: Arc::new(Answers::new(limits.answer_cache)),
                limits: Arc::new(limits.clone()),
            },
        })
    }

    /// The files that cannot be read and are left out of answers now.
    #[must_use]
    pub fn quarantined(&self) -> Vec<LeftOut> {
        self.planner.files.quarantine.list()
    }

    /// How many tasks work on questions, or wait for their turn or for who reads their answers.
    #[must_use]
    pub fn working(&self) -> usize {
        self.planner.workers.tasks()
    }

    /// The engine for one question: its limits, and what its answer lacks.
    pub(crate) fn asked(&self) -> Self {
        Self { source: Arc::clone(&self.source), planner: self.planner.asked() }
    }

    /// What is in sight of who asks.
    pub(crate) fn sight(&self) -> &Sight {
        self.planner.question.sight()
    }

    /// The view of now, without files that the window does not touch or that are out of use.
    pub(crate) fn view(&self, kind: Kind, window: Window) -> Result<View, QueryError> {
        let mut view = self.source.view(kind, window);
        let schema = table_schema(kind);
        for batch in &view.hot {
            check_schema(kind, &schema, batch.schema_ref())?;
        }
        view.files.retain(|file| window.touches(file.time));
        view.hot.retain(|batch| batch.num_rows() > 0);
        self.planner.usable(&mut view);
        Ok(view)
    }

    /// What a question about events is counted from, if rollups have a part in it.
    pub(crate) fn pieces(
        &self,
        kind: Kind,
        want: &Want,
        window: Window,
    ) -> Result<Option<Pieces>, QueryError> {
        let Some(choice) = choose(want).filter(|_| kind == Kind::Events) else { return Ok(None) };
        let rolled = self.source.rolled(window);
        let schema = table_schema(kind);
        for batch in &rolled.hot {
            check_schema(kind, &schema, batch.schema_ref())?;
        }
        // Counts that cannot be read are no loss: the rows are there.
        let usable = |file: &DataFile| self.planner.files.quarantine.of(&file.path).is_none();
        Ok(Some(Pieces::of(rolled, choice, window, usable)).filter(Pieces::uses_rollups))
    }
}

fn session_config(partitions: usize, batch_rows: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_rows)
        .with_information_schema(false);
    let options = config.options_mut();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.enable_page_index = true;
    options.execution.parquet.bloom_filter_on_read = true;
    config
}

/// Hot batches come from our own ingest; one of another shape would be read as the wrong columns.
fn check_schema(kind: Kind, want: &SchemaRef, have: &SchemaRef) -> Result<(), QueryError> {
    let differs = |i: usize| {
        want.fields().get(i).map(|f| (f.name(), f.data_type()))
            != have.fields().get(i).map(|f| (f.name(), f.data_type()))
    };
    if Arc::ptr_eq(want, have) {
        return Ok(());
    }
    match (0..want.fields().len().max(have.fields().len())).find(|i| differs(*i)) {
        None => Ok(()),
        Some(i) => Err(QueryError::Schema {
            table: kind.as_str(),
            column: want
                .fields()
                .get(i)
                .or_else(|| have.fields().get(i))
                .map_or_else(String::new, |f| f.name().clone()),
        }),
    }
}
