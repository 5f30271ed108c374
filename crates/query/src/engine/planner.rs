//! From a view and a predicate to a plan, and from a plan to its rows.

use crate::QueryError;
use crate::lower::{self, Lowered};
use crate::source::{View, Window};
use crate::stream::{Meter, RowStream};
use crate::table::ViewTable;
use bartizan_model::Kind;
use bartizan_schema::table_schema;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::error::Result as DfResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Instant;

/// Makes plans.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(super) context: SessionContext,
    pub(super) store_url: ObjectStoreUrl,
    pub(super) reader: Arc<CachedParquetFileReaderFactory>,
    pub(super) partitions: usize,
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
pub(crate) async fn run(frame: DataFrame, files: usize, started: Instant) -> Result<RowStream, QueryError> {
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
