//! Rows in order of time.

use super::Engine;
use super::columns::known_columns;
use crate::QueryError;
use crate::id::RowId;
use crate::lower;
use crate::ordered::{Ordered, part_of};
use crate::position::Position;
use crate::scan;
use crate::source::{View, Window};
use crate::stream::{Meter, RowStream};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::table_schema;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Instant;

/// Up to this limit a search keeps the best rows of all in memory; above it, it goes through time in slices.
const TOP_ROWS: usize = 20_000;

/// In which order rows come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By time, latest first; rows of one moment by stream, then latest batch and row first.
    #[default]
    NewestFirst,
    /// By time, earliest first; rows of one moment by stream, batch and row.
    OldestFirst,
}

/// One search.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// In which table.
    pub kind: Kind,
    /// Which rows.
    pub filter: &'a Filter,
    /// From when to when.
    pub window: Window,
    /// In which order.
    pub order: Order,
    /// At most how many rows; `None`: all.
    pub limit: Option<usize>,
    /// Which columns, in this order; `None`: all of the table.
    pub columns: Option<Vec<String>>,
    /// Only rows that come after this place.
    pub after: Option<Position>,
}

impl<'a> Search<'a> {
    /// All rows of a table that a filter matches, newest first.
    #[must_use]
    pub const fn new(kind: Kind, filter: &'a Filter) -> Self {
        let (window, order) = (Window::ALL, Order::NewestFirst);
        Self { kind, filter, window, order, limit: None, columns: None, after: None }
    }
}

impl Engine {
    /// Rows, in order of time.
    ///
    /// # Errors
    /// [`QueryError::NoColumn`] for a column, of the list or of the filter, that the table does not have;
    /// [`QueryError::Engine`] and [`QueryError::TooLarge`] also later, from the stream.
    pub async fn search(&self, search: Search<'_>) -> Result<RowStream, QueryError> {
        let Search { kind, filter, window, order, limit, columns, after } = search;
        let planner = self.asked().planner;
        let sight = planner.question.sight();
        let columns = match columns {
            Some(names) => Some(known_columns(kind, names, sight)?),
            None => sight.columns(kind).map(|seen| seen.into_iter().map(str::to_owned).collect()),
        };
        let filter = sight.scoped(kind, filter)?;
        let predicate = lower::filter(kind, &filter);
        let filter = filter.into_owned();
        let ordered = Ordered { planner, kind, predicate, filter, order, columns };
        match after {
            Some(after) => self.rows_after(ordered, window, limit, after).await,
            None => self.rows(ordered, window, limit).await,
        }
    }

    /// The row that was the `row`th of batch `seq` of a stream.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn row(&self, kind: Kind, id: RowId) -> Result<RowStream, QueryError> {
        let engine = self.asked();
        loop {
            match engine.row_once(kind, id).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn row_once(&self, kind: Kind, id: RowId) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let Ok(seq) = i64::try_from(id.batch.seq.0) else {
            return Ok(RowStream::new(
                table_schema(kind),
                futures::stream::empty().boxed(),
                Meter::default(),
                0,
                started,
            ));
        };
        let mut view = self.view(kind, Window::ALL)?;
        view.files.retain(|file| file.seq.is_none_or(|(min, max)| (min..=max).contains(&seq)));
        let files = view.files.len();
        let all = Filter::all();
        let predicate = lower::filter(kind, &self.sight().scoped(kind, &all)?).and(lower::row(&id, seq));
        let frame = self.planner.frame(kind, view, predicate, Window::ALL)?;
        self.planner.run(self.planner.in_sight(kind, frame)?, files, started).await
    }

    async fn rows(
        &self,
        ordered: Ordered,
        window: Window,
        limit: Option<usize>,
    ) -> Result<RowStream, QueryError> {
        let engine = Self { source: Arc::clone(&self.source), planner: ordered.planner.clone() };
        loop {
            match engine.rows_once(&ordered, window, limit).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    /// The rows behind a place. Those of the place's own moment are told apart by what names them, the others by time.
    async fn rows_after(
        &self,
        ordered: Ordered,
        window: Window,
        limit: Option<usize>,
        after: Position,
    ) -> Result<RowStream, QueryError> {
        let engine = Self { source: Arc::clone(&self.source), planner: ordered.planner.clone() };
        loop {
            match engine.rows_after_once(&ordered, window, limit, &after).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn rows_after_once(
        &self,
        ordered: &Ordered,
        window: Window,
        limit: Option<usize>,
        after: &Position,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        // One view for both, or a row that becomes a file's in between is in neither or in both.
        let view = self.view(ordered.kind, window)?;
        let files = view.files.len();
        let moment = window.and(after.moment());
        let ties = Ordered {
            predicate: ordered.predicate.clone().and(after.behind(ordered.order)),
            ..ordered.clone()
        };
        let ties = ties.frame(part_of(&view, moment), moment)?.limit(0, limit)?;
        let ties = self.planner.run(ties, files, started).await?;
        let rest = window.and(after.rest(ordered.order));
        let rest = self.rows_of(ordered, part_of(&view, rest), rest, limit).await?;
        Ok(ties.then(rest, files, started).limited(limit))
    }

    async fn rows_once(
        &self,
        ordered: &Ordered,
        window: Window,
        limit: Option<usize>,
    ) -> Result<RowStream, QueryError> {
        self.rows_of(ordered, self.view(ordered.kind, window)?, window, limit).await
    }

    /// The rows of one view.
    async fn rows_of(
        &self,
        ordered: &Ordered,
        view: View,
        window: Window,
        limit: Option<usize>,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let files = view.files.len();
        if let Some(limit) = limit.filter(|limit| *limit <= TOP_ROWS) {
            let filter = &ordered.filter;
            self.planner.question.planned(view.hot.iter().map(|batch| batch.num_rows() as u64).sum());
            let question = scan::Question::new(&self.planner, ordered.kind, filter, window, &["time"]);
            let newest = scan::newest(question, view.clone(), ordered.order, limit, ordered.columns.clone());
            if let Some(rows) = self.planner.workers.one(&self.planner.question, newest).await? {
                let rows = futures::stream::iter(rows.into_iter().map(Ok)).boxed();
                let rows = RowStream::new(ordered.schema(), rows, Meter::default(), files, started);
                return Ok(rows.of(&self.planner.question));
            }
            // Very many rows of one moment: the same view is sorted.
            let frame = ordered.frame(view, window)?.limit(0, Some(limit))?;
            return self.planner.run(frame, files, started).await;
        }
        Ok(ordered.clone().sliced(view, window, files, started).limited(limit))
    }
}
