//! The questions that can be asked, and what answers them.

use crate::QueryError;
use crate::id::{ID, ID_PARTS, RowId};
use crate::lower::{self, Lowered};
use crate::ordered::Ordered;
use crate::source::{Source, View, Window};
use crate::stream::{Meter, RowStream, Stats};
use crate::table::ViewTable;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::SchemaRef;
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::{measures, table_schema};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::error::Result as DfResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::count::count_all;
use datafusion::functions_aggregate::min_max::max;
use datafusion::functions_aggregate::sum::sum;
use datafusion::logical_expr::{Expr, SortExpr};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Most columns that one [`Engine::top`] groups by.
pub const MAX_GROUPS: usize = 8;

/// Up to this limit a search keeps the best rows of all in memory; above it, it goes through time in slices.
const TOP_ROWS: usize = 20_000;

/// What questions together may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of memory for sorting and grouping, shared by all questions that run.
    pub memory: usize,
    /// Bytes of memory for the footers and page indexes of files.
    pub metadata_cache: usize,
    /// Where sorts spill. `None`: the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// Bytes that may be spilled.
    pub spill: u64,
    /// Parts of one question that run at the same time.
    pub partitions: usize,
    /// Rows of one batch of results.
    pub batch_rows: usize,
    /// Rows that a long answer sorts at a time. Enough that planning them costs little beside, few enough to
    /// sort in memory.
    pub sort_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            metadata_cache: 64 << 20,
            spill_dir: None,
            spill: 8 << 30,
            partitions: 2,
            batch_rows: 8192,
            sort_rows: 128 << 10,
        }
    }
}

/// In which order rows come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By time, latest first; rows of one moment by stream, then latest batch and row first.
    #[default]
    NewestFirst,
    /// By time, earliest first; rows of one moment by stream, batch and row.
    OldestFirst,
}

/// One search.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// In which table.
    pub kind: Kind,
    /// Which rows.
    pub filter: &'a Filter,
    /// From when to when.
    pub window: Window,
    /// In which order.
    pub order: Order,
    /// At most how many rows; `None`: all.
    pub limit: Option<usize>,
    /// Which columns, in this order; `None`: all of the table.
    pub columns: Option<Vec<String>>,
}

impl<'a> Search<'a> {
    /// All rows of a table that a filter matches, newest first.
    #[must_use]
    pub const fn new(kind: Kind, filter: &'a Filter) -> Self {
        Self { kind, filter, window: Window::ALL, order: Order::NewestFirst, limit: None, columns: None }
    }
}

/// How many rows there are, and what they sum up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Rows.
    pub rows: u64,
    /// The table's measures ([`measures`]) with their sums.
    pub sums: Vec<(&'static str, i64)>,
    /// What it took.
    pub stats: Stats,
}

/// Answers questions over a [`Source`]. One per process; cheap to share behind an `Arc`.
pub struct Engine {
    source: Arc<dyn Source>,
    planner: Planner,
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
            .with_metadata_cache_limit(limits.metadata_cache)
            .build_arc()?;
        let store_url = ObjectStoreUrl::parse("bartizan://lake")?;
        let store = source.store();
        runtime.register_object_store(store_url.as_ref(), Arc::clone(&store));
        let reader = Arc::new(CachedParquetFileReaderFactory::new(
            store,
            runtime.cache_manager.get_file_metadata_cache(),
        ));

        let partitions = limits.partitions.max(1);
        let state = SessionStateBuilder::new()
            .with_config(session_config(partitions, limits.batch_rows.max(1)))
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        Ok(Self {
            source,
            planner: Planner { context, store_url, reader, partitions, sort_rows: limits.sort_rows.max(1) },
        })
    }

    /// Rows, in order of time.
    ///
    /// # Errors
    /// [`QueryError::NoColumn`] for a column, of the list or of the filter, that the table does not have;
    /// [`QueryError::Engine`] and [`QueryError::TooLarge`] also later, from the stream.
    pub async fn search(&self, search: Search<'_>) -> Result<RowStream, QueryError> {
        let predicate = lower::filter(search.kind, search.filter);
        self.rows(search.kind, predicate, search.window, search.order, search.limit, search.columns).await
    }

    /// Entries of the ledger, newest first; of one host (its whole name, in any case) or of all.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn losses(
        &self,
        window: Window,
        host: Option<&str>,
        limit: Option<usize>,
    ) -> Result<RowStream, QueryError> {
        let predicate = match host {
            None => Lowered::All,
            Some(host) => lower::text_is("host", host),
        };
        self.rows(Kind::Losses, predicate, window, Order::NewestFirst, limit, None).await
    }

    /// The row that was the `row`th of batch `seq` of a stream.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn row(&self, kind: Kind, id: RowId) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let Ok(seq) = i64::try_from(id.batch.seq.0) else {
            return Ok(RowStream::new(
                table_schema(kind),
                futures::stream::empty().boxed(),
                Meter::default(),
                0,
                started,
            ));
        };
        let mut view = self.view(kind, Window::ALL)?;
        view.files.retain(|file| file.seq.is_none_or(|(min, max)| (min..=max).contains(&seq)));
        let files = view.files.len();
        let predicate = Lowered::Where(lower::row(&id, seq));
        run(self.planner.frame(kind, view, predicate, Window::ALL)?, files, started).await
    }

    /// How many rows a filter matches, and the sums of what the table counts.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn count(&self, kind: Kind, filter: &Filter, window: Window) -> Result<Count, QueryError> {
        let started = Instant::now();
        let predicate = lower::filter(kind, filter);
        let mut view = self.view(kind, window)?;
        let mut rows = 0;
        let mut sums: Vec<_> = measures(kind).iter().map(|name| (*name, 0_i64)).collect();
        if matches!(predicate, Lowered::All) {
            // A file that is wholly inside the window is counted without opening it, where its rows are alike.
            view.files.retain(|file| {
                let known = match sums.as_mut_slice() {
                    [] => file.rows.map(|rows| (rows, 0)),
                    [("packets", _)] => file.totals(),
                    _ => None,
                };
                let Some((n, packets)) = known.filter(|_| window.covers(file.time)) else { return true };
                rows += n;
                sums.iter_mut().for_each(|(_, sum)| *sum = sum.saturating_add(packets));
                false
            });
        }
        if view.files.is_empty() && view.hot.is_empty() {
            return Ok(Count { rows, sums, stats: Stats { took: started.elapsed(), ..Stats::default() } });
        }
        let files = view.files.len();
        let totals: Vec<Expr> = std::iter::once(count_all()).chain(sum_of(measures(kind))).collect();
        let frame = self.planner.frame(kind, view, predicate, window)?.aggregate(vec![], totals)?;
        let mut stream = run(frame, files, started).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let number = |column: usize| {
                batch.column(column).as_primitive::<Int64Type>().iter().flatten().sum::<i64>()
            };
            rows += number(0).cast_unsigned();
            for (column, (_, sum)) in sums.iter_mut().enumerate() {
                *sum = sum.saturating_add(number(column + 1));
            }
        }
        Ok(Count { rows, sums, stats: stream.stats() })
    }

    /// The `n` combinations of values with the largest sum of the table's first measure (most rows, where it has
    /// none), with the sums of all measures and how many rows there are, in the column `rows`.
    ///
    /// `by` names fields of the filter language or columns; the result has the names of the columns. A null
    /// is a value of its own. Equal sums come in the order of their values. The numbers are exact.
    ///
    /// # Errors
    /// [`QueryError::Ambiguous`] for a field that is either of several columns (`ip`, `port`, `iface`,
    /// `mac`): one row would count in two groups. [`QueryError::NoColumn`] and [`QueryError::Groups`] for
    /// what cannot be grouped; otherwise as [`Engine::search`].
    pub async fn top<S: AsRef<str>>(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &[S],
        n: usize,
    ) -> Result<RowStream, QueryError> {
        self.groups(kind, filter, window, by, Some(n), false).await
    }

    /// As [`Engine::top`], all groups, with the latest `time` of each as the last column, `last`.
    ///
    /// # Errors
    /// As [`Engine::top`].
    pub async fn totals<S: AsRef<str>>(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &[S],
    ) -> Result<RowStream, QueryError> {
        self.groups(kind, filter, window, by, None, true).await
    }

    async fn groups<S: AsRef<str>>(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &[S],
        n: Option<usize>,
        last: bool,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let columns = group_columns(kind, by)?;
        let predicate = lower::filter(kind, filter);
        let view = self.view(kind, window)?;
        let files = view.files.len();
        let groups: Vec<Expr> = columns.iter().map(|name| column(name)).collect();
        let summed: Vec<&str> =
            measures(kind).iter().copied().filter(|name| !columns.contains(name)).collect();
        let first = summed.first().copied().unwrap_or("rows");
        let mut totals: Vec<Expr> = sum_of(&summed).collect();
        totals.push(count_all().alias("rows"));
        if last {
            totals.push(max(column("time")).alias("last"));
        }
        let mut order: Vec<SortExpr> = vec![column(first).sort(false, false)];
        order.extend(groups.iter().map(|group| group.clone().sort(true, false)));
        let frame = self
            .planner
            .frame(kind, view, predicate, window)?
            .aggregate(groups, totals)?
            .sort(order)?
            .limit(0, n)?;
        run(frame, files, started).await
    }

    async fn rows(
        &self,
        kind: Kind,
        predicate: Lowered,
        window: Window,
        order: Order,
        limit: Option<usize>,
        columns: Option<Vec<String>>,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let columns = columns.map(|names| known_columns(kind, names)).transpose()?;
        let view = self.view(kind, window)?;
        let files = view.files.len();
        let ordered = Ordered { planner: self.planner.clone(), kind, predicate, order, columns };
        match limit {
            Some(limit) if limit <= TOP_ROWS => {
                let frame = ordered.frame(view, window)?.limit(0, Some(limit))?;
                run(frame, files, started).await
            }
            _ => Ok(ordered.sliced(view, window, files, started).limited(limit)),
        }
    }

    /// The view of now, without files that the window does not touch.
    fn view(&self, kind: Kind, window: Window) -> Result<View, QueryError> {
        let mut view = self.source.view(kind, window);
        let schema = table_schema(kind);
        for batch in &view.hot {
            check_schema(kind, &schema, batch.schema_ref())?;
        }
        view.files.retain(|file| window.touches(file.time));
        view.hot.retain(|batch| batch.num_rows() > 0);
        Ok(view)
    }
}

/// Makes plans.
#[derive(Clone)]
pub(crate) struct Planner {
    context: SessionContext,
    store_url: ObjectStoreUrl,
    reader: Arc<CachedParquetFileReaderFactory>,
    partitions: usize,
    pub(crate) sort_rows: u64,
}

impl Planner {
    /// The rows of a view that are inside a window and match.
    pub(crate) fn frame(
        &self,
        kind: Kind,
        view: View,
        predicate: Lowered,
        window: Window,
    ) -> DfResult<DataFrame> {
        let table = ViewTable {
            schema: table_schema(kind),
            hot: view.hot,
            files: view.files,
            store_url: self.store_url.clone(),
            reader: Arc::clone(&self.reader) as _,
            partitions: self.partitions,
        };
        let mut frame = self.context.read_table(Arc::new(table))?;
        if let Some(inside) = lower::window(window) {
            frame = frame.filter(inside)?;
        }
        Ok(match predicate {
            Lowered::All => frame,
            Lowered::Where(expr) => frame.filter(expr)?,
        })
    }
}

/// An answer whose plan is made, and whose reading starts now.
async fn run(frame: DataFrame, files: usize, started: Instant) -> Result<RowStream, QueryError> {
    let meter = Meter::default();
    let stream = execute(frame, &meter).await?;
    Ok(RowStream::new(stream.schema(), stream.boxed(), meter, files, started))
}

/// Starts a plan.
pub(crate) async fn execute(frame: DataFrame, meter: &Meter) -> DfResult<SendableRecordBatchStream> {
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    meter.start(Arc::clone(&plan));
    execute_stream(plan, task)
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

/// A reference to a column by its exact name.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The sums of columns, under their names.
fn sum_of<'a>(columns: &'a [&'static str]) -> impl Iterator<Item = Expr> + use<'a> {
    columns.iter().map(|name| sum(column(name)).alias(*name))
}

/// The columns of these names, each once; for [`ID`] those that it is made of.
fn known_columns(kind: Kind, names: Vec<String>) -> Result<Vec<String>, QueryError> {
    let mut known: Vec<String> = Vec::with_capacity(names.len());
    let parts = |name: String| if name == ID { ID_PARTS.map(str::to_owned).to_vec() } else { vec![name] };
    for name in names.into_iter().flat_map(parts) {
        let name = lower::single_column(kind, &name)?.to_owned();
        if !known.contains(&name) {
            known.push(name);
        }
    }
    Ok(known)
}

fn group_columns<S: AsRef<str>>(kind: Kind, by: &[S]) -> Result<Vec<&'static str>, QueryError> {
    if by.is_empty() || by.len() > MAX_GROUPS {
        return Err(QueryError::Groups { given: by.len(), max: MAX_GROUPS });
    }
    let mut columns = Vec::with_capacity(by.len());
    for name in by {
        let name = lower::single_column(kind, name.as_ref())?;
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    Ok(columns)
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
