//! One view of one table as DataFusion sees it: the hot batches and the files, each row in one of them.
//!
//! The plan of a scan is `Union(memory, parquet)`. Filters are declared inexact, so that the optimizer puts
//! a filter above the union and then pushes it down: into the Parquet reader, where it prunes files, row
//! groups and pages and filters rows before the other columns are decoded, and as an operator above the
//! memory side. The running threshold of a top-n sort arrives at the files by the same way.
//!
//! Nothing here decides which files or batches there are: the engine does. Left out is only what cannot hold a row
//! of the times that the filters ask for, before anything is made ready to read it.

use crate::bounds;
use crate::files::Readers;
use crate::slices::time_of;
use crate::source::DataFile;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DfResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

pub(crate) struct ViewTable {
    pub(crate) schema: SchemaRef,
    pub(crate) hot: Vec<RecordBatch>,
    pub(crate) files: Vec<DataFile>,
    pub(crate) store_url: ObjectStoreUrl,
    pub(crate) readers: Arc<Readers>,
    pub(crate) partitions: usize,
}

impl fmt::Debug for ViewTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewTable")
            .field("hot", &self.hot.len())
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let window = bounds::window(filters);
        let hot: Vec<_> = self.hot.iter().filter(|rows| window.touches(time_of(rows))).collect();
        let files: Vec<_> = self.files.iter().filter(|file| window.touches(file.time)).collect();
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !hot.is_empty() {
            inputs.push(MemorySourceConfig::try_new_exec(
                &self.dealt(hot),
                self.schema(),
                projection.cloned(),
            )?);
        }
        if !files.is_empty() {
            inputs.push(self.scan_files(state, files, projection)?);
        }
        match inputs.len() {
            0 => {
                let schema = match projection {
                    Some(indices) => Arc::new(self.schema.project(indices)?),
                    None => self.schema(),
                };
                Ok(Arc::new(EmptyExec::new(schema)))
            }
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

impl ViewTable {
    fn dealt(&self, hot: Vec<&RecordBatch>) -> Vec<Vec<RecordBatch>> {
        let mut partitions = vec![Vec::new(); self.partitions.min(hot.len())];
        let n = partitions.len();
        for (i, batch) in hot.into_iter().enumerate() {
            partitions[i % n].push(batch.clone());
        }
        partitions
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        files: Vec<&DataFile>,
        projection: Option<&Vec<usize>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let source = ParquetSource::new(self.schema())
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::clone(&self.readers) as _);
        let config = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(self.file_groups(files))
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The newest files first and dealt out in turn, so that every partition of a newest-first search soon
    /// has a threshold that leaves the older files unread.
    fn file_groups(&self, mut files: Vec<&DataFile>) -> Vec<FileGroup> {
        files.sort_by_key(|file| Reverse(file.time.map(|(_, max)| max)));
        let mut groups = vec![Vec::new(); self.partitions.min(files.len())];
        let n = groups.len();
        for (i, file) in files.into_iter().enumerate() {
            groups[i % n].push(self.partitioned(file));
        }
        groups.into_iter().map(FileGroup::new).collect()
    }

    fn partitioned(&self, file: &DataFile) -> PartitionedFile {
        PartitionedFile::new_from_meta(Readers::described(file))
            .with_statistics(Arc::new(self.statistics(file)))
    }

    fn statistics(&self, file: &DataFile) -> Statistics {
        let moment = |micros: i64| {
            Precision::Exact(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
        };
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Some(rows) = file.rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Exact(rows);
        }
        if let (Ok(time), Some((min, max))) = (self.schema.index_of("time"), file.time) {
            statistics.column_statistics[time] = ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: moment(min.0),
                max_value: moment(max.0),
                ..ColumnStatistics::new_unknown()
            };
        }
        statistics
    }
}
