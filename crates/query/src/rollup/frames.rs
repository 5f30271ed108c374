//! The pieces of a question as one plan.

use super::{Pieces, Want};
use crate::QueryError;
use crate::engine::{Planner, column};
use crate::lower::{self, Lowered};
use crate::source::{DataFile, View, Window};
use bartizan_model::Kind;
use bartizan_schema::{Relation, Rollup};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, lit};

/// All that is counted, in rows of the same columns: `time` where there are pieces of time, those that are grouped by,
/// then `packets`, `rows`, and `last` where it is asked for.
pub(crate) fn frame(
    planner: &Planner,
    pieces: &Pieces,
    want: &Want,
    filter: &Lowered,
    window: Window,
) -> Result<DataFrame, QueryError> {
    frame_of(planner, pieces, &|rollup| columns(want, rollup), filter, window)
}

/// The same in other columns, which are those of a rollup's rows or, without one, of events. `filter` is the filter,
/// lowered for events: a rollup has its columns, under the same names.
pub(crate) fn frame_of(
    planner: &Planner,
    pieces: &Pieces,
    columns: &dyn Fn(Option<Rollup>) -> Vec<Expr>,
    filter: &Lowered,
    window: Window,
) -> Result<DataFrame, QueryError> {
    let rows = |files: Vec<DataFile>, hot, inside: Option<Expr>| {
        let view = View { files, hot };
        let mut frame = planner.frame(Kind::Events, view, filter.clone(), window)?;
        if let Some(inside) = inside {
            frame = frame.filter(inside)?;
        }
        frame.select(columns(None))
    };
    let mut frames: Vec<DfResult<DataFrame>> = Vec::new();
    if !(pieces.rows.is_empty() && pieces.hot.is_empty()) {
        frames.push(rows(pieces.rows.clone(), pieces.hot.clone(), None));
    }
    if !pieces.edges.is_empty() {
        frames.push(rows(pieces.edges.clone(), Vec::new(), Some(outside(pieces.inner))));
    }
    for rollup in Rollup::ALL {
        let of = |files: &[(Rollup, DataFile)]| -> Vec<DataFile> {
            files.iter().filter(|(r, _)| *r == rollup).map(|(_, file)| file.clone()).collect()
        };
        let whole = pieces.whole.iter().filter(|(r, ..)| *r == rollup).map(|(_, file, _)| file.clone());
        let parts = [
            (whole.collect(), Window::ALL),
            (of(&pieces.buckets), pieces.inner),
            (of(&pieces.history), window),
        ];
        for (files, inside) in parts {
            if !files.is_empty() {
                let frame = planner.counts(Relation::from(rollup), files, filter.clone(), inside);
                frames.push(frame.and_then(|frame| frame.select(columns(Some(rollup)))));
            }
        }
    }
    let mut all: Option<DataFrame> = None;
    for frame in frames {
        let frame = frame?;
        all = Some(match all {
            None => frame,
            Some(all) => all.union(frame)?,
        });
    }
    match all {
        Some(all) => Ok(all),
        None => Ok(rows(Vec::new(), Vec::new(), None)?),
    }
}

fn columns(want: &Want, rollup: Option<Rollup>) -> Vec<Expr> {
    let mut columns: Vec<Expr> = Vec::new();
    columns.extend(want.bucket.map(|bucket| bucket.call(column("time")).alias("time")));
    columns.extend(want.by().iter().map(|name| column(name)));
    columns.push(column("packets"));
    columns.push(match rollup {
        None => lit(1_i64).alias("rows"),
        Some(_) => column("rows"),
    });
    if want.last() {
        columns.push(if rollup.is_some() { column("last") } else { column("time").alias("last") });
    }
    columns
}

/// Outside of a window that has a bound.
fn outside(window: Window) -> Expr {
    let before = lower::window(Window { since: None, until: window.since });
    let after = lower::window(Window { since: window.until, until: None });
    match (before, after) {
        (Some(before), Some(after)) => before.or(after),
        (before, after) => before.or(after).unwrap_or_else(|| lit(false)),
    }
}
