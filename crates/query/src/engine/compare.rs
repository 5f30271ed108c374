//! The largest groups of a time beside what they were before.

use super::Engine;
use super::columns::{column, group_columns, sum_of};
use crate::QueryError;
use crate::lower;
use crate::rollup::{self, Want};
use crate::source::Window;
use crate::stream::{Meter, RowStream};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::measures;
use datafusion::arrow::compute::concat_batches;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, in_list, lit};
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Most groups of one [`Engine::compare`].
pub const MAX_COMPARED: usize = 1_000;

/// A question about the largest groups and what they were before.
#[derive(Clone, Debug)]
pub struct Compare<'a> {
    /// In which table.
    pub kind: Kind,
    /// Which rows.
    pub filter: &'a Filter,
    /// The time whose largest groups are wanted.
    pub window: Window,
    /// The time that they are compared with.
    pub before: Window,
    /// The groups, as in [`Engine::top`].
    pub by: Vec<String>,
    /// How many groups, at most [`MAX_COMPARED`].
    pub n: usize,
}

impl Engine {
    /// The groups of [`Engine::top`], and of each the sums and rows of the time before, under the same names with
    /// `before_` ahead; 0 where it was not there.
    ///
    /// # Errors
    /// As [`Engine::top`].
    pub async fn compare(&self, question: Compare<'_>) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let Compare { kind, filter, window, before, by, n } = question;
        let engine = self.asked();
        let by = group_columns(kind, &by, engine.sight())?;
        let n = n.min(MAX_COMPARED);
        let (now, mut left_out) = whole(engine.top(kind, filter, window, &by, n).await?).await?;
        let then = loop {
            match engine.of_groups(kind, filter, before, &by, &now).await {
                Err(error) => engine.planner.mend(error).await?,
                done => break done?,
            }
        };
        let (then, more) = whole(then).await?;
        left_out.extend(more);
        // The answer says once what either of them lacks.
        left_out.into_iter().for_each(|file| engine.planner.question.lacks(&file.path, file.damage));
        let batch = beside(&now, &then, by.len())?;
        let schema = batch.schema();
        let rows = futures::stream::iter([Ok(batch)]).boxed();
        Ok(RowStream::new(schema, rows, Meter::default(), 0, started).of(&engine.planner.question))
    }

    /// The sums of some groups, and perhaps of others.
    async fn of_groups(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &[&'static str],
        groups: &RecordBatch,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let filter = &self.sight().scoped(kind, filter)?;
        let mut predicate = lower::filter(kind, filter);
        for (at, name) in by.iter().enumerate() {
            predicate = predicate.and(among(name, groups.column(at))?);
        }
        let want = Want::new(filter, by, None, false);
        let summed: Vec<&'static str> =
            measures(kind).iter().copied().filter(|name| !by.contains(name)).collect();
        let (frame, files) = match self.pieces(kind, &want, window)? {
            Some(pieces) => (rollup::frame(&self.planner, &pieces, &want, &predicate, window)?, pieces.files),
            None => {
                let view = self.view(kind, window)?;
                let files = view.files.len();
                let mut columns: Vec<Expr> = by.iter().chain(&summed).map(|name| column(name)).collect();
                columns.push(lit(1_i64).alias("rows"));
                (self.planner.frame(kind, view, predicate, window)?.select(columns)?, files)
            }
        };
        let totals: Vec<Expr> = sum_of(&summed).chain(sum_of(&["rows"])).collect();
        let frame = frame.aggregate(by.iter().map(|name| column(name)).collect(), totals)?;
        self.planner.run(frame, files, started).await
    }
}

/// All of an answer, and the files that it lacks.
async fn whole(mut answer: RowStream) -> Result<(RecordBatch, Vec<crate::LeftOut>), QueryError> {
    let (schema, mut batches, mut lacks) = (answer.schema(), Vec::new(), Vec::new());
    while let Some(batch) = answer.next().await {
        match batch {
            Err(QueryError::LeftOut(files)) => lacks = files,
            batch => batches.push(batch?),
        }
    }
    Ok((concat_batches(&schema, &batches).map_err(DataFusionError::from)?, lacks))
}

/// Whether a column has one of these values, none among them.
fn among(name: &str, values: &ArrayRef) -> Result<Expr, QueryError> {
    let mut known = std::collections::BTreeMap::new();
    for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
        let value = ScalarValue::try_from_array(values, row)?;
        known.insert(format!("{value:?}"), lit(value));
    }
    let known = match known.len() {
        0 => lit(false),
        _ => in_list(column(name), known.into_values().collect(), false),
    };
    Ok(if values.null_count() > 0 { known.or(column(name).is_null()) } else { known })
}

/// The groups of `now` with the sums of `then`; the first `groups` columns of both are the same.
fn beside(now: &RecordBatch, then: &RecordBatch, groups: usize) -> Result<RecordBatch, QueryError> {
    let key = |batch: &RecordBatch, row: usize| -> Result<String, QueryError> {
        let values = batch.columns()[..groups].iter().map(|c| ScalarValue::try_from_array(c, row));
        Ok(format!("{:?}", values.collect::<Result<Vec<_>, _>>()?))
    };
    let mut rows = HashMap::new();
    for row in 0..then.num_rows() {
        rows.insert(key(then, row)?, row);
    }
    let mut found = Vec::with_capacity(now.num_rows());
    for row in 0..now.num_rows() {
        found.push(rows.get(&key(now, row)?).copied());
    }
    let mut fields: Vec<Field> = now.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut arrays = now.columns().to_vec();
    for (field, array) in then.schema().fields().iter().zip(then.columns()).skip(groups) {
        let numbers = array.as_primitive::<Int64Type>();
        let number = |row: usize| if numbers.is_valid(row) { numbers.value(row) } else { 0 };
        fields.push(Field::new(format!("before_{}", field.name()), DataType::Int64, false));
        arrays.push(Arc::new(Int64Array::from_iter_values(found.iter().map(|row| row.map_or(0, number)))));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(DataFusionError::from)?)
}
