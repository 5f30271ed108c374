//! Rows by group.

use super::Engine;
use super::columns::{column, group_columns, sum_of};
use crate::QueryError;
use crate::lower;
use crate::source::Window;
use crate::stream::RowStream;
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::measures;
use datafusion::functions_aggregate::count::count_all;
use datafusion::functions_aggregate::min_max::max;
use datafusion::logical_expr::{Expr, SortExpr};
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
        let engine = self.asked();
        loop {
            match engine.groups_once(kind, filter, window, by, n, last).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn groups_once<S: AsRef<str>>(
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
        self.planner.run(frame, files, started).await
    }
}
