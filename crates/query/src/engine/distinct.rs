//! How many different values there are.

use super::Engine;
use super::answers::{Answer, Key};
use super::columns::group_columns;
use crate::scan::{self, Value, Wanted};
use crate::source::Window;
use crate::stream::{Meter, RowStream};
use crate::{QueryError, Scoped, lower};
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, StringViewBuilder};
use arrow_array::{ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::{Column, ColumnKind, table_columns};
use datafusion::error::DataFusionError;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Instant;

/// What [`Engine::spread`] looks for.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// More destination ports than this.
    pub ports: u64,
    /// On more hosts than this.
    pub hosts: u64,
}

impl Engine {
    /// The `n` values of the column `by` with the most different values of the column `of`: `by`, then `distinct`, how
    /// many they are, and `rows`, how many rows there are. Rows without a value of `of` count among the rows; rows
    /// without a value of `by` are a group. Equals come in the order of their values. The numbers are exact.
    ///
    /// # Errors
    /// As [`Engine::top`].
    pub async fn distinct(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &str,
        of: &str,
        n: usize,
    ) -> Result<RowStream, QueryError> {
        let engine = self.asked();
        let by = group_columns(kind, &[by], engine.sight())?[0];
        let of = vec![(engine.sight().show(lower::single_column(kind, of)?)?, "distinct", 0)];
        self.distinct_of(kind, filter, window, by, &of, n).await
    }

    /// The `n` sources whose events name the most destination ports, of those with more ports, on more hosts, than
    /// `spread` says: `src`, `ports`, `hosts` and `rows`.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn spread(
        &self,
        filter: &Filter,
        window: Window,
        spread: Spread,
        n: usize,
    ) -> Result<RowStream, QueryError> {
        let more = |than: u64| than.saturating_add(1);
        let of = [("dport", "ports", more(spread.ports)), ("host", "hosts", more(spread.hosts))];
        let filter = filter.clone();
        self.distinct_of(Kind::Events, &filter, window, "src", &of, n).await
    }

    /// `of`: column, its name in the answer, and how many values a group must have at least.
    async fn distinct_of(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &'static str,
        of: &[(&'static str, &'static str, u64)],
        n: usize,
    ) -> Result<RowStream, QueryError> {
        let engine = self.asked();
        let filter = &engine.sight().scoped(kind, filter)?;
        loop {
            match engine.distinct_once(kind, filter, window, by, of, n).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn distinct_once(
        &self,
        kind: Kind,
        filter: &Scoped<'_>,
        window: Window,
        by: &'static str,
        of: &[(&'static str, &'static str, u64)],
        n: usize,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let view = self.view(kind, window)?;
        let files = view.files.len();
        // The tree, not the text: what names mean may change, and is resolved in the tree.
        let asked = format!("distinct {kind} {:?} {window:?} {by} {of:?} {n}", filter.expr());
        let key = Key::new(asked, &view);
        if let Some(Answer { schema, batches }) = key.as_ref().and_then(|key| self.planner.answers.find(key))
        {
            let rows = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
            let rows = RowStream::new(schema, rows, Meter::default(), files, started);
            return Ok(rows.of(&self.planner.question));
        }
        let columns: Vec<_> = std::iter::once(by).chain(of.iter().map(|of| of.0)).collect();
        let question = scan::Question::new(&self.planner, kind, filter, window, &columns);
        let wanted = Wanted { by, of: of.iter().map(|(column, _, least)| (*column, *least)).collect(), n };
        let counted = scan::distinct(question, view, wanted);
        let counted = self.planner.workers.one(&self.planner.question, counted).await?;

        let column = table_columns(kind).iter().find(|c| c.name == by);
        let column = column.ok_or_else(|| DataFusionError::Internal(format!("the column {by}")))?;
        let groups = values(column, counted.iter().map(|c| &c.group));
        let mut fields = vec![Field::new(by, column.kind.arrow(), true)];
        let mut arrays = vec![groups];
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for (at, (_, name, _)) in of.iter().enumerate() {
            fields.push(Field::new(*name, DataType::Int64, false));
            arrays
                .push(Arc::new(Int64Array::from_iter_values(counted.iter().map(|c| number(c.distinct[at])))));
        }
        fields.push(Field::new("rows", DataType::Int64, false));
        arrays.push(Arc::new(Int64Array::from_iter_values(counted.iter().map(|c| number(c.rows)))));
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(DataFusionError::from)?;
        if let Some(key) = key.filter(|_| self.planner.question.left_out().is_empty()) {
            let answer = Answer { schema: Arc::clone(&schema), batches: vec![batch.clone()] };
            self.planner.answers.keep(key, &answer);
        }
        let rows = futures::stream::iter([Ok(batch)]).boxed();
        Ok(RowStream::new(schema, rows, Meter::default(), files, started).of(&self.planner.question))
    }
}

/// Values of a column as its array.
pub(super) fn values<'a>(column: &Column, values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    let numbers = |value: &Value| if let Value::Number(n) = value { Some(*n) } else { None };
    let bytes = |value: &'a Value| if let Value::Bytes(bytes) = value { Some(&bytes[..]) } else { None };
    match column.kind {
        ColumnKind::I16 => {
            Arc::new(Int16Array::from_iter(values.map(|v| numbers(v).and_then(|n| n.try_into().ok()))))
        }
        ColumnKind::I32 => {
            Arc::new(Int32Array::from_iter(values.map(|v| numbers(v).and_then(|n| n.try_into().ok()))))
        }
        ColumnKind::I64 => Arc::new(Int64Array::from_iter(values.map(numbers))),
        ColumnKind::Time => {
            Arc::new(TimestampMicrosecondArray::from_iter(values.map(numbers)).with_timezone("UTC"))
        }
        ColumnKind::Text => {
            let mut builder = StringViewBuilder::new();
            values.for_each(|v| builder.append_option(bytes(v).and_then(|b| std::str::from_utf8(b).ok())));
            Arc::new(builder.finish())
        }
        ColumnKind::Bytes => {
            let mut builder = BinaryBuilder::new();
            values.for_each(|v| builder.append_option(bytes(v)));
            Arc::new(builder.finish())
        }
        ColumnKind::Addr => {
            let mut builder = FixedSizeBinaryBuilder::new(16);
            for value in values {
                match bytes(value) {
                    // Only a value of another length is refused, and all of the column have this one.
                    Some(addr) if addr.len() == 16 => drop(builder.append_value(addr)),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
    }
}
