//! How many rows there are.

use super::Engine;
use super::columns::{column, sum_of};
use crate::files::LeftOut;
use crate::lower::{self, Lowered};
use crate::rollup::{self, Counted, Want};
use crate::source::Window;
use crate::stream::Stats;
use crate::{QueryError, Scoped};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::measures;
use datafusion::logical_expr::{Expr, lit};
use futures::StreamExt;
use std::time::Instant;

/// How many rows there are, and what they sum up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Rows.
    pub rows: u64,
    /// The table's measures ([`measures`]) with their sums.
    pub sums: Vec<(&'static str, i64)>,
    /// What it took.
    pub stats: Stats,
    /// What it was counted from, where rollups had a part in it.
    pub counted: Option<Counted>,
    /// Files that cannot be read, and whose rows are not counted.
    pub left_out: Vec<LeftOut>,
}

impl Engine {
    /// How many rows a filter matches, and the sums of what the table counts.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn count(&self, kind: Kind, filter: &Filter, window: Window) -> Result<Count, QueryError> {
        let engine = self.asked();
        let filter = &engine.sight().scoped(kind, filter)?;
        loop {
            match engine.count_once(kind, filter, window).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn count_once(&self, kind: Kind, filter: &Scoped<'_>, window: Window) -> Result<Count, QueryError> {
        let started = Instant::now();
        let predicate = lower::filter(kind, filter);
        let mut rows = 0;
        let mut sums: Vec<_> = measures(kind).iter().map(|name| (*name, 0_i64)).collect();
        let totals: Vec<Expr> = sum_of(&["rows"]).chain(sum_of(measures(kind))).collect();
        let want = Want::new(filter, &[], None, false);
        let (frame, files, counted) = if let Some(pieces) = self.pieces(kind, &want, window)? {
            let frame = rollup::frame(&self.planner, &pieces, &want, &predicate, window)?;
            (frame, pieces.files, Some(pieces.counted()))
        } else {
            let mut view = self.view(kind, window)?;
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
                let stats = Stats { took: started.elapsed(), ..Stats::default() };
                let left_out = self.planner.question.left_out();
                return Ok(Count { rows, sums, stats, counted: None, left_out });
            }
            let files = view.files.len();
            let mut columns: Vec<Expr> = measures(kind).iter().map(|name| column(name)).collect();
            columns.push(lit(1_i64).alias("rows"));
            (self.planner.frame(kind, view, predicate, window)?.select(columns)?, files, None)
        };
        let frame = frame.aggregate(vec![], totals)?;
        let mut stream = self.planner.run(frame, files, started).await?;
        while let Some(batch) = stream.next().await {
            let batch = match batch {
                // Said beside the numbers.
                Err(QueryError::LeftOut(_)) => break,
                batch => batch?,
            };
            let number = |column: usize| {
                batch.column(column).as_primitive::<Int64Type>().iter().flatten().sum::<i64>()
            };
            rows += number(0).cast_unsigned();
            for (column, (_, sum)) in sums.iter_mut().enumerate() {
                *sum = sum.saturating_add(number(column + 1));
            }
        }
        let left_out = self.planner.question.left_out();
        Ok(Count { rows, sums, stats: stream.stats(), counted, left_out })
    }
}
