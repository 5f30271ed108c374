//! How many over time.

use crate::ask::{groups, parse, plan};
use crate::body::{Body, When, limit, window};
use crate::queries::Current;
use crate::{ApiState, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bartizan_model::{Kind, Micros};
use bartizan_query::{Bucket, Histogram};
use serde::Deserialize;

/// Rows of an answer that says no limit, and most rows of one.
const LIMIT: usize = 10_000;
const MAX: usize = 100_000;
/// The longest piece of time that can be asked for, in seconds: 400 days.
const LONGEST: i64 = 400 * 86_400;

const fn events() -> Kind {
    Kind::Events
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistogramBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    since: Option<When>,
    until: Option<When>,
    /// The length of a piece of time.
    bucket_seconds: i64,
    /// When one begins, for pieces that are days of a time zone; 1970 in UTC if left out.
    origin: Option<When>,
    #[serde(default)]
    by: Vec<String>,
    limit: Option<u64>,
    #[serde(default)]
    explain: bool,
}

/// How many over time.
pub(crate) async fn histogram(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<HistogramBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, body.table, &body.filter)?;
    let window = window(body.since, body.until)?;
    if !(1..=LONGEST).contains(&body.bucket_seconds) {
        let text = format!("`bucket_seconds` is 1 to {LONGEST}, not {}", body.bucket_seconds);
        return Err(Problem::bad_request(StatusCode::BAD_REQUEST, text));
    }
    let bucket = Bucket::new(body.bucket_seconds * 1_000_000, body.origin.map_or(Micros(0), |when| when.0));
    let plan = plan(&state, body.explain, (body.table, &filter, window), &body.by, Some(bucket))?;
    let limit = Some(limit(body.limit, LIMIT, MAX)?);
    let question = Histogram { kind: body.table, filter: &filter, window, bucket, by: body.by, limit };
    groups(state.engine.histogram(question).await?, plan, &asked).await
}
