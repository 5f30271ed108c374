//! Rows without a cap, as NDJSON or as a file.

use crate::ask::{named, parse};
use crate::body::{Body, When, window};
use crate::queries::Current;
use crate::{ApiState, Problem, exact, logemu, ndjson};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_model::Kind;
use bartizan_query::{Encoder, ExportError, FileFormat, Order, QueryError, RowStream, Search};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Deserialize;

/// Media types of files.
pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";
pub(crate) const PARQUET: &str = "application/vnd.apache.parquet";

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Ndjson,
    Arrow,
    Parquet,
    Logemu,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    since: Option<When>,
    until: Option<When>,
    columns: Option<Vec<String>>,
    #[serde(default)]
    format: Format,
    /// The zone of the times of lines: a name of the IANA's, UTC if there is none.
    zone: Option<String>,
    /// Only events that hold bytes of their packet.
    #[serde(default)]
    payload: bool,
}

const fn events() -> Kind {
    Kind::Events
}

/// All rows that match, the oldest first, in a form of choice.
///
/// All rows that match, the oldest first. A file that breaks off breaks its connection off: what came is not whole.
pub(crate) async fn export(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<ExportBody>,
) -> Result<Response, Problem> {
    named(body.columns.as_ref())?;
    let mut filter = parse(&state, body.table, &body.filter)?;
    if body.payload {
        filter = filter.and(exact::with_payload());
    }
    if let Format::Logemu = body.format {
        return logemu::export(&state, body.table, &filter, window(body.since, body.until)?, body.zone).await;
    }
    let search = Search {
        window: window(body.since, body.until)?,
        order: Order::OldestFirst,
        columns: body.columns.clone(),
        ..Search::new(body.table, &filter)
    };
    let (format, media) = match body.format {
        Format::Ndjson | Format::Logemu => {
            return Ok(ndjson::respond(state.engine.search(search).await?, body.columns, asked, None));
        }
        Format::Arrow => (FileFormat::Arrow, ARROW),
        Format::Parquet => (FileFormat::Parquet, PARQUET),
    };
    file(state.engine.search(search).await?, format, media)
}

/// Rows as a file.
pub(crate) fn file(rows: RowStream, format: FileFormat, media: &'static str) -> Result<Response, Problem> {
    let encoder = Encoder::new(format, &rows.schema())
        .map_err(|e| Problem::internal(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be begun", &e))?;
    Ok(([(CONTENT_TYPE, media)], axum::body::Body::from_stream(pieces(rows, encoder))).into_response())
}

/// Why a file is not whole.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Export(#[from] ExportError),
}

fn pieces(rows: RowStream, encoder: Encoder) -> impl Stream<Item = Result<Bytes, Broken>> {
    futures::stream::try_unfold(Some((rows, encoder)), async |state| {
        let Some((mut rows, mut encoder)) = state else { return Ok(None) };
        loop {
            match rows.next().await {
                Some(batch) => {
                    let piece = encoder.write(&batch?)?;
                    if !piece.is_empty() {
                        return Ok(Some((Bytes::from(piece), Some((rows, encoder)))));
                    }
                }
                None => return Ok(Some((Bytes::from(encoder.finish()?), None))),
            }
        }
    })
    .inspect(|piece: &Result<Bytes, Broken>| {
        if let Err(error) = piece {
            tracing::error!(%error, "export broke off");
        }
    })
}
