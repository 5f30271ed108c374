//! An answer as newline-delimited JSON: one object per row, and one line more that says how it ended.

use crate::Problem;
use arrow_array::RecordBatch;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_query::RowStream;
use bartizan_query::render::Rows;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use std::convert::Infallible;

/// Rows that are written before the task gives way.
const CHUNK_ROWS: usize = 512;

#[derive(Serialize)]
struct End<'a> {
    rows: u64,
    complete: bool,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a Problem>,
}

#[derive(Serialize)]
struct LastLine<'a> {
    end: End<'a>,
}

/// All columns, or only these.
pub(crate) fn respond(rows: RowStream, columns: Option<Vec<String>>) -> Response {
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines(rows, columns))).into_response()
}

enum State {
    /// Rows of this batch from this one on are to be written, then more.
    Writing(RecordBatch, usize),
    Ended,
}

fn lines(rows: RowStream, columns: Option<Vec<String>>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let state = State::Writing(RecordBatch::new_empty(rows.schema()), 0);
    futures::stream::unfold((rows, columns, state), async |(mut rows, columns, mut state)| {
        loop {
            match state {
                State::Ended => return None,
                State::Writing(batch, at) if at < batch.num_rows() => {
                    let n = CHUNK_ROWS.min(batch.num_rows() - at);
                    let chunk = write_rows(&batch, columns.as_deref(), at, n);
                    return Some((Ok(chunk), (rows, columns, State::Writing(batch, at + n))));
                }
                State::Writing(..) => match rows.next().await {
                    Some(Ok(batch)) => state = State::Writing(batch, 0),
                    Some(Err(e)) => {
                        return Some((Ok(end(&rows, Some(e.into()))), (rows, columns, State::Ended)));
                    }
                    None => return Some((Ok(end(&rows, None)), (rows, columns, State::Ended))),
                },
            }
        }
    })
}

fn write_rows(batch: &RecordBatch, columns: Option<&[String]>, at: usize, n: usize) -> Bytes {
    let rows = columns.map_or_else(|| Rows::new(batch), |columns| Rows::of(batch, columns));
    let mut out = Vec::with_capacity(n * 512);
    for row in at..at + n {
        rows.write_json(row, &mut out);
        out.push(b'\n');
    }
    out.into()
}

fn end(rows: &RowStream, problem: Option<Problem>) -> Bytes {
    let line = LastLine {
        end: End {
            rows: rows.rows(),
            complete: problem.is_none(),
            took_ms: millis(rows.stats().took),
            problem: problem.as_ref(),
        },
    };
    let mut out = serde_json::to_vec(&line).expect("the last line has only texts and numbers");
    out.push(b'\n');
    out.into()
}

pub(crate) fn millis(took: std::time::Duration) -> u64 {
    took.as_millis().try_into().unwrap_or(u64::MAX)
}
