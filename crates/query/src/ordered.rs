//! Rows in order of time.

use crate::Order;
use crate::engine::{Planner, column};
use crate::lower::Lowered;
use crate::slices::{Slices, time_of};
use crate::source::{View, Window};
use crate::stream::{Meter, RowStream};
use crate::{QueryError, Scoped};
use arrow_schema::{Schema, SchemaRef};
use bartizan_model::Kind;
use bartizan_schema::table_schema;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::SortExpr;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A question for rows in order of time.
#[derive(Clone)]
pub(crate) struct Ordered {
    pub(crate) planner: Planner,
    pub(crate) kind: Kind,
    pub(crate) predicate: Lowered,
    /// The same as a filter.
    pub(crate) filter: Scoped<'static>,
    pub(crate) order: Order,
    pub(crate) columns: Option<Vec<String>>,
}

impl Ordered {
    /// The rows of one view and window, as one plan.
    pub(crate) fn frame(&self, view: View, window: Window) -> DfResult<DataFrame> {
        let frame = self.planner.frame(self.kind, view, self.predicate.clone(), window)?;
        let frame = frame.sort(sort_keys(self.order))?;
        match &self.columns {
            Some(columns) => frame.select(columns.iter().map(|name| column(name)).collect::<Vec<_>>()),
            None => Ok(frame),
        }
    }

    /// The rows of one view and window, slice by slice. The size of the slices follows what they give.
    pub(crate) fn sliced(self, view: View, window: Window, files: usize, started: Instant) -> RowStream {
        let meter = Meter::default();
        let schema = self.schema();
        let question = Arc::clone(&self.planner.question);
        let slices = Slices::new(&view, window, self.order);
        let wanted = self.planner.sort_rows;
        let found = Arc::new(AtomicU64::new(wanted));
        let state = (self, view, slices, wanted, meter.clone(), found);
        let slices =
            futures::stream::try_unfold(state, async |(this, view, mut slices, rows, meter, found)| {
                // Asked for when the slice before has ended: what it gave decides the size of this one.
                let rows = next_size(rows, found.swap(0, Ordering::Relaxed), this.planner.sort_rows);
                let Some(slice) = slices.next(rows) else { return Ok(None) };
                let stream = loop {
                    let frame = this.frame(part_of(&view, slice), slice)?;
                    match this.planner.start(frame, &meter).await {
                        // Sorted, so that no row of this slice was given yet.
                        Err(error) => this.planner.mend(error).await?,
                        Ok(stream) => break stream,
                    }
                };
                let count = Arc::clone(&found);
                let counted = stream.inspect_ok(move |batch| {
                    count.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                });
                Ok::<_, QueryError>(Some((counted, (this, view, slices, rows, meter, found))))
            });
        RowStream::new(schema, slices.try_flatten().boxed(), meter, files, started).of(&question)
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        let all = table_schema(self.kind);
        match &self.columns {
            None => all,
            Some(columns) => Arc::new(Schema::new(
                columns.iter().filter_map(|name| all.field_with_name(name).ok().cloned()).collect::<Vec<_>>(),
            )),
        }
    }
}

/// How many rows the next slice should read, if one of `rows` rows gave `found` that match and
/// `wanted` are to be sorted at a time.
const fn next_size(rows: u64, found: u64, wanted: u64) -> u64 {
    if found < wanted / 4 {
        rows.saturating_mul(4)
    } else if found / 2 > wanted && rows > wanted {
        rows / 2
    } else {
        rows
    }
}

/// What a slice of time reads.
pub(crate) fn part_of(view: &View, slice: Window) -> View {
    View {
        files: view.files.iter().filter(|file| slice.touches(file.time)).cloned().collect(),
        hot: view.hot.iter().filter(|batch| slice.touches(time_of(batch))).cloned().collect(),
    }
}

fn sort_keys(order: Order) -> Vec<SortExpr> {
    let forward = order == Order::OldestFirst;
    vec![
        column("time").sort(forward, false),
        column("stream").sort(true, false),
        column("seq").sort(forward, false),
        column("row").sort(forward, false),
    ]
}
