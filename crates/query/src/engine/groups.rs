//! Rows by group.

use super::Engine;
use super::columns::{column, group_columns, sum_of};
use crate::QueryError;
use crate::lower;
use crate::rollup::{self, Bucket, Counted, Want};
use crate::source::Window;
use crate::stream::RowStream;
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::measures;
use datafusion::functions_aggregate::min_max::max;
use datafusion::logical_expr::{Expr, SortExpr, lit};
use std::time::Instant;

impl Engine {
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
        let by = group_columns(kind, by, self.asked().sight())?;
        let grouped = Grouped { kind, filter, window, by, bucket: None, n, last };
        self.grouped(&grouped).await
    }

    /// The groups of a question, without those of files that cannot be read.
    pub(super) async fn grouped(&self, question: &Grouped<'_>) -> Result<RowStream, QueryError> {
        let engine = self.asked();
        loop {
            match engine.grouped_once(question).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn grouped_once(&self, question: &Grouped<'_>) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let &Grouped { kind, filter, window, bucket, n, last, .. } = question;
        let by = &question.by;
        let filter = &self.sight().scoped(kind, filter)?;
        let predicate = lower::filter(kind, filter);
        let want = Want::new(filter, by, bucket, last);
        let summed: Vec<&'static str> =
            measures(kind).iter().copied().filter(|name| !by.contains(name)).collect();
        let (frame, files, counted) = match self.pieces(kind, &want, window)? {
            Some(pieces) => {
                if let (["src"], Some(n), false) = (by.as_slice(), n, last)
                    && let Some(top) = self.top_sources(&pieces, &want, filter, window, n, started).await?
                {
                    return Ok(top);
                }
                let frame = rollup::frame(&self.planner, &pieces, &want, &predicate, window)?;
                (frame, pieces.files, Some(pieces.counted()))
            }
            None => {
                let view = self.view(kind, window)?;
                let files = view.files.len();
                let frame = self.planner.frame(kind, view, predicate, window)?;
                (frame.select(plain(&summed, by, bucket, last))?, files, None)
            }
        };
        let groups: Vec<Expr> = bucket.iter().map(|_| "time").chain(by.iter().copied()).map(column).collect();
        let mut totals: Vec<Expr> = sum_of(&summed).collect();
        totals.extend(sum_of(&["rows"]));
        if last {
            totals.push(max(column("last")).alias("last"));
        }
        let mut order: Vec<SortExpr> = Vec::new();
        if bucket.is_none() {
            order.push(column(summed.first().copied().unwrap_or("rows")).sort(false, false));
        }
        order.extend(groups.iter().map(|group| group.clone().sort(true, false)));
        let frame = frame.aggregate(groups, totals)?.sort(order)?.limit(0, n)?;
        Ok(self.planner.run(frame, files, started).await?.counted(counted))
    }

    /// What the answer to a question about how many would be made of, in words; nothing is read.
    ///
    /// # Errors
    /// As [`Engine::top`].
    pub fn explain<S: AsRef<str>>(
        &self,
        kind: Kind,
        filter: &Filter,
        window: Window,
        by: &[S],
        bucket: Option<Bucket>,
    ) -> Result<String, QueryError> {
        let engine = self.asked();
        let by = if by.is_empty() { Vec::new() } else { group_columns(kind, by, engine.sight())? };
        let filter = &engine.sight().scoped(kind, filter)?;
        let want = Want::new(filter, &by, bucket, false);
        if let Some(pieces) = self.pieces(kind, &want, window)? {
            return Ok(pieces.counted().to_string());
        }
        let view = self.view(kind, window)?;
        let rows = view.files.iter().filter_map(|file| file.rows).sum();
        let hot = view.hot.iter().map(|batch| batch.num_rows() as u64).sum();
        let counted =
            Counted { rows: view.files.len(), row_rows: rows, hot, exact: true, ..Counted::default() };
        Ok(counted.to_string())
    }
}

/// A question about groups.
pub(super) struct Grouped<'a> {
    pub(super) kind: Kind,
    pub(super) filter: &'a Filter,
    pub(super) window: Window,
    pub(super) by: Vec<&'static str>,
    /// Pieces of time, which come first then.
    pub(super) bucket: Option<Bucket>,
    /// At most so many.
    pub(super) n: Option<usize>,
    /// With the latest time of each.
    pub(super) last: bool,
}

/// The columns of [`rollup::frame`], of any table's rows.
fn plain(summed: &[&'static str], by: &[&'static str], bucket: Option<Bucket>, last: bool) -> Vec<Expr> {
    let mut columns: Vec<Expr> = Vec::new();
    columns.extend(bucket.map(|bucket| bucket.call(column("time")).alias("time")));
    columns.extend(by.iter().chain(summed).map(|name| column(name)));
    columns.push(lit(1_i64).alias("rows"));
    if last {
        columns.push(column("time").alias("last"));
    }
    columns
}
