//! An answer as newline-delimited JSON: one object per row, and one line more that says how it ended.

use crate::Problem;
use crate::queries::{Asked, Stats};
use arrow_array::RecordBatch;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_query::render::Rows;
use bartizan_query::{Position, RowStream};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;

/// Rows that are written before the task gives way.
const CHUNK_ROWS: usize = 512;

#[derive(Serialize)]
struct End<'a> {
    rows: u64,
    complete: bool,
    took_ms: u64,
    /// Of a page: where the next one begins, if anything was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// Of a page: whether it is full, so that there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    stats: Stats,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a Problem>,
}

#[derive(Serialize)]
struct LastLine<'a> {
    end: End<'a>,
}

/// A page of an answer: how many rows it has at most, and the last row that was given.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) limit: u64,
    pub(crate) last: Option<Position>,
}

/// All columns, or only these.
pub(crate) fn respond(
    rows: RowStream,
    columns: Option<Vec<String>>,
    asked: Arc<Asked>,
    page: Option<Page>,
) -> Response {
    let answer = Answer { rows: Some(rows), given: 0, shown: Shown::Table(columns), asked, page };
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines(answer))).into_response()
}

/// Columns of any names and types, after a first line.
pub(crate) fn plain(rows: RowStream, first: Bytes, asked: Arc<Asked>) -> Response {
    let answer = Answer { rows: Some(rows), given: 0, shown: Shown::Plain, asked, page: None };
    let body = futures::stream::iter([Ok(first)]).chain(lines(answer));
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response()
}

/// What of a batch is shown.
enum Shown {
    /// The columns of a table, or some of them.
    Table(Option<Vec<String>>),
    /// All columns, whatever they are.
    Plain,
}

struct Answer {
    rows: Option<RowStream>,
    /// Rows, once it has ended.
    given: u64,
    shown: Shown,
    asked: Arc<Asked>,
    page: Option<Page>,
}

fn lines(answer: Answer) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold((answer, None::<(RecordBatch, usize)>), async |(mut answer, mut batch)| {
        loop {
            if let Some((rows, at)) = batch.take_if(|(rows, at)| *at < rows.num_rows()) {
                let n = CHUNK_ROWS.min(rows.num_rows() - at);
                let chunk = write_rows(&rows, &answer.shown, at, n);
                return Some((Ok(chunk), (answer, Some((rows, at + n)))));
            }
            match answer.rows.as_mut()?.next().await {
                Some(Ok(rows)) => {
                    if let Some(page) = &mut answer.page
                        && let Some(row) = rows.num_rows().checked_sub(1)
                    {
                        page.last = Position::of(&rows, row).or(page.last.take());
                    }
                    batch = Some((rows, 0));
                }
                Some(Err(e)) => return Some((Ok(answer.end(Some(e.into()))), (answer, None))),
                None => return Some((Ok(answer.end(None)), (answer, None))),
            }
        }
    })
}

fn write_rows(batch: &RecordBatch, shown: &Shown, at: usize, n: usize) -> Bytes {
    let rows = match shown {
        Shown::Table(None) => Rows::new(batch),
        Shown::Table(Some(columns)) => Rows::of(batch, columns),
        Shown::Plain => Rows::plain(batch),
    };
    let mut out = Vec::with_capacity(n * 512);
    for row in at..at + n {
        rows.write_json(row, &mut out);
        out.push(b'\n');
    }
    out.into()
}

impl Answer {
    /// The last line. Nothing comes after it.
    fn end(&mut self, problem: Option<Problem>) -> Bytes {
        // What it was made of is counted when it is dropped.
        if let Some(rows) = self.rows.take() {
            self.given = rows.rows();
        }
        let stats = self.asked.stats();
        let cursor = self.page.as_ref().and_then(|page| Some(page.last.as_ref()?.to_string()));
        let line = LastLine {
            end: End {
                rows: self.given,
                complete: problem.is_none(),
                took_ms: stats.took_ms,
                cursor,
                more: self.page.as_ref().map(|page| self.given == page.limit),
                stats,
                problem: problem.as_ref(),
            },
        };
        let mut out = serde_json::to_vec(&line).expect("the last line has only texts and numbers");
        out.push(b'\n');
        out.into()
    }
}

pub(crate) fn millis(took: std::time::Duration) -> u64 {
    took.as_millis().try_into().unwrap_or(u64::MAX)
}
