//! The values of several columns at once, for who looks for what to ask next.

use super::Engine;
use super::columns::group_columns;
use super::distinct::values;
use super::groups::Grouped;
use crate::files::LeftOut;
use crate::rollup::Want;
use crate::scan::{self, Tally};
use crate::source::{View, Window};
use crate::{QueryError, Scoped};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::{measures, table_columns};
use datafusion::error::DataFusionError;
use futures::StreamExt;
use std::sync::Arc;

/// Most columns of one question.
pub const MAX_FACETS: usize = 16;

/// The values of several columns.
#[derive(Debug)]
pub struct Facets {
    /// One for each column, in the order of the question.
    pub facets: Vec<Facet>,
    /// All rows that match.
    pub rows: u64,
    /// What they sum up to: the table's measures.
    pub sums: Vec<(&'static str, i64)>,
    /// False where the window cuts counts of rows that are gone.
    pub exact: bool,
    /// Files that cannot be read, and whose rows are not counted.
    pub left_out: Vec<LeftOut>,
}

/// One column's values.
#[derive(Debug)]
pub struct Facet {
    /// The column.
    pub column: &'static str,
    /// Those of the largest sum of the first measure: the column, the measures, `rows`. A null is a value.
    pub values: RecordBatch,
    /// Rows of all other values.
    pub other_rows: u64,
    /// What these sum up to.
    pub other_sums: Vec<(&'static str, i64)>,
    /// How many values there are, where that is known.
    pub distinct: Option<u64>,
}

impl Engine {
    /// The `n` values of each of several columns with the largest sums, and how much all others make. All numbers are
    /// of one moment, so that the rows of each column's values and of its others are all rows that match.
    ///
    /// # Errors
    /// As [`Engine::top`].
    pub async fn facets<S: AsRef<str>>(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        fields: &[S],
        n: usize,
    ) -> Result<Facets, QueryError> {
        if fields.is_empty() || fields.len() > MAX_FACETS {
            return Err(QueryError::Groups { given: fields.len(), max: MAX_FACETS });
        }
        let engine = self.asked().at_one_moment(kind, window);
        let filter = &engine.sight().scoped(kind, filter)?;
        let columns = fields.iter().map(|field| Ok(group_columns(kind, &[field], engine.sight())?[0]));
        let columns = columns.collect::<Result<Vec<_>, QueryError>>()?;
        loop {
            match engine.facets_once(kind, filter, window, &columns, n).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn facets_once(
        &self,
        kind: Kind,
        filter: &Scoped<'_>,
        window: Window,
        columns: &[&'static str],
        n: usize,
    ) -> Result<Facets, QueryError> {
        let view = self.view(kind, window)?;
        let counted = |column: &&'static str| -> Result<bool, QueryError> {
            Ok(self.pieces(kind, &Want::new(filter, &[column], None, false), window)?.is_some())
        };
        let few = view.files.iter().all(|file| file.time.is_some() && file.rows.is_some())
            && about(&view, window) <= self.planner.limits.one_pass_rows
            // What is gone is only in counts.
            && self.source.rolled(window).history.is_empty();
        let mut by_rows = Vec::new();
        for column in columns {
            if few || !counted(column)? {
                by_rows.push(*column);
            }
        }
        by_rows.sort_unstable();
        by_rows.dedup();
        let mut passed = Vec::new();
        let mut all = None;
        if !by_rows.is_empty() {
            let mut read: Vec<&'static str> = by_rows.clone();
            read.extend(measures(kind));
            let question = scan::Question::new(&self.planner, kind, filter, window, &read);
            let names = by_rows.clone();
            let pass = async move { scan::facets(question, view, &names, n).await };
            let (counts, tally) = self.planner.workers.one(&self.planner.question, pass).await?;
            passed = counts;
            all = Some(tally);
        }
        let mut exact = true;
        let total = match all.filter(|_| by_rows.len() == columns.len()) {
            Some(tally) => tally,
            None => {
                // Counts that outlived their rows are in these and not in those of a pass.
                let count = self.count(kind, filter, window).await?;
                exact &= count.counted.is_none_or(|counted| counted.exact);
                for file in count.left_out {
                    self.planner.question.lacks(&file.path, file.damage);
                }
                let mut sums = <[i64; 4]>::default();
                sums.iter_mut().zip(&count.sums).for_each(|(into, (_, sum))| *into = *sum);
                Tally { rows: count.rows, sums }
            }
        };
        let mut facets = Vec::new();
        for column in columns {
            let facet = match by_rows.iter().position(|name| name == column) {
                Some(at) => {
                    let batch = batch_of(kind, column, &passed[at].values)?;
                    facet(kind, column, batch, all.unwrap_or_default(), Some(passed[at].distinct))
                }
                None => {
                    let (batch, is_exact) = self.one_facet(kind, filter, window, column, n).await?;
                    exact &= is_exact;
                    let distinct = (batch.num_rows() < n).then_some(batch.num_rows() as u64);
                    facet(kind, column, batch, total, distinct)
                }
            };
            facets.push(facet);
        }
        let sums = measures(kind).iter().copied().zip(total.sums).collect();
        let left_out = self.planner.question.left_out();
        Ok(Facets { facets, rows: total.rows, sums, exact, left_out })
    }

    /// The values of a column that rollups count.
    async fn one_facet(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        column: &'static str,
        n: usize,
    ) -> Result<(RecordBatch, bool), QueryError> {
        let grouped =
            Grouped { kind, filter, window, by: vec![column], bucket: None, n: Some(n), last: false };
        let mut rows = self.grouped(&grouped).await?;
        let (schema, mut batches) = (rows.schema(), Vec::new());
        while let Some(batch) = rows.next().await {
            match batch {
                // Said beside the numbers.
                Err(QueryError::LeftOut(left_out)) => {
                    left_out
                        .into_iter()
                        .for_each(|file| self.planner.question.lacks(&file.path, file.damage));
                    break;
                }
                batch => batches.push(batch?),
            }
        }
        let exact = rows.counted_from().is_none_or(|counted| counted.exact);
        let batch =
            datafusion::arrow::compute::concat_batches(&schema, &batches).map_err(DataFusionError::from)?;
        Ok((batch, exact))
    }
}

/// About how many rows of a view are inside a window.
fn about(view: &View, window: Window) -> u64 {
    let files = view.files.iter().map(|file| {
        let (Some((min, max)), Some(rows)) = (file.time, file.rows) else { return 0.0 };
        let from = window.since.map_or(min.0, |since| since.0.max(min.0));
        let to = window.until.map_or(max.0, |until| until.0.saturating_sub(1).min(max.0));
        let length = |a: i64, b: i64| (i128::from(b) - i128::from(a) + 1).max(0) as f64;
        rows as f64 * length(from, to) / length(min.0, max.0)
    });
    let hot: usize = view.hot.iter().map(RecordBatch::num_rows).sum();
    files.sum::<f64>() as u64 + hot as u64
}

/// A column's values with their sums.
fn batch_of(
    kind: Kind,
    name: &'static str,
    counted: &[(scan::Value, Tally)],
) -> Result<RecordBatch, QueryError> {
    let column = table_columns(kind).iter().find(|c| c.name == name);
    let column = column.ok_or_else(|| DataFusionError::Internal(format!("the column {name}")))?;
    let mut fields = vec![Field::new(name, column.kind.arrow(), true)];
    let mut arrays: Vec<ArrayRef> = vec![values(column, counted.iter().map(|(value, _)| value))];
    // A measure that is itself counted stands there once.
    let summed = measures(kind).iter().enumerate().filter(|(_, measure)| **measure != name);
    for (at, measure) in summed {
        fields.push(Field::new(*measure, DataType::Int64, false));
        arrays.push(Arc::new(Int64Array::from_iter_values(counted.iter().map(|(_, tally)| tally.sums[at]))));
    }
    fields.push(Field::new("rows", DataType::Int64, false));
    let rows = counted.iter().map(|(_, tally)| i64::try_from(tally.rows).unwrap_or(i64::MAX));
    arrays.push(Arc::new(Int64Array::from_iter_values(rows)));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(DataFusionError::from)?)
}

/// With what the others make.
fn facet(kind: Kind, column: &'static str, values: RecordBatch, all: Tally, distinct: Option<u64>) -> Facet {
    let sum = |name: &str| -> i64 {
        let numbers = values.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
        numbers.map_or(0, |numbers| numbers.iter().flatten().fold(0, i64::saturating_add))
    };
    let other_rows = all.rows.saturating_sub(sum("rows").cast_unsigned());
    let summed = measures(kind).iter().copied().zip(all.sums).filter(|(name, _)| *name != column);
    let other_sums = summed.map(|(name, all)| (name, all.saturating_sub(sum(name)))).collect();
    Facet { column, values, other_rows, other_sums, distinct }
}
