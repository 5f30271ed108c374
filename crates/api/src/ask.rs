//! Questions about rows.

use crate::body::{Body, When, limit, window};
use crate::{ApiState, Problem, ndjson};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_query::Search;
use bartizan_query::render::Rows;
use serde::{Deserialize, Serialize};

/// Rows of a search that says no limit.
const SEARCH_LIMIT: usize = 1_000;
/// Most rows of one search.
const SEARCH_MAX: usize = 100_000_000;
/// Groups of a top that says no limit.
const TOP_LIMIT: usize = 10;
/// Most groups of one top.
const TOP_MAX: usize = 10_000;
/// Entries of the ledger, if the question says no limit.
const LOSSES_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchBody {
    filter: String,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
    columns: Option<Vec<String>>,
}

pub(crate) async fn search(
    State(state): State<ApiState>,
    Body(body): Body<SearchBody>,
) -> Result<Response, Problem> {
    if body.columns.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::bad_request(
            StatusCode::BAD_REQUEST,
            "`columns` is empty; leave it out for all",
        ));
    }
    let filter = parse(&state, &body.filter)?;
    let rows = state
        .engine
        .search(Search {
            window: window(body.since, body.until)?,
            limit: Some(limit(body.limit, SEARCH_LIMIT, SEARCH_MAX)?),
            columns: body.columns,
            ..Search::new(Kind::Events, &filter)
        })
        .await?;
    Ok(ndjson::respond(rows))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountBody {
    filter: String,
    since: Option<When>,
    until: Option<When>,
}

#[derive(Serialize)]
pub(crate) struct Counted {
    count: u64,
    took_ms: u64,
}

pub(crate) async fn count(
    State(state): State<ApiState>,
    Body(body): Body<CountBody>,
) -> Result<Json<Counted>, Problem> {
    let filter = parse(&state, &body.filter)?;
    let count = state.engine.count(Kind::Events, &filter, window(body.since, body.until)?).await?;
    Ok(Json(Counted { count: count.rows, took_ms: ndjson::millis(count.stats.took) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopBody {
    filter: String,
    by: Vec<String>,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
}

pub(crate) async fn top(
    State(state): State<ApiState>,
    Body(body): Body<TopBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, &body.filter)?;
    let limit = limit(body.limit, TOP_LIMIT, TOP_MAX)?;
    let window = window(body.since, body.until)?;
    let mut top = state.engine.top(Kind::Events, &filter, window, &body.by, limit).await?;

    let columns: Vec<_> = top.schema().fields().iter().map(|f| f.name().clone()).collect();
    let columns = serde_json::to_string(&columns).expect("names are texts");
    let mut out = format!("{{\"columns\":{columns},\"rows\":[").into_bytes();
    let mut first = true;
    while let Some(batch) = futures::StreamExt::next(&mut top).await {
        let batch = batch?;
        let rows = Rows::new(&batch);
        for row in 0..rows.len() {
            if !first {
                out.push(b',');
            }
            first = false;
            rows.write_json(row, &mut out);
        }
    }
    out.extend_from_slice(format!("],\"took_ms\":{}}}", ndjson::millis(top.stats().took)).as_bytes());
    Ok(([(CONTENT_TYPE, "application/json")], out).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossesBody {
    since: Option<When>,
    until: Option<When>,
    host: Option<String>,
    limit: Option<u64>,
}

pub(crate) async fn losses(
    State(state): State<ApiState>,
    Body(body): Body<LossesBody>,
) -> Result<Response, Problem> {
    let window = window(body.since, body.until)?;
    let limit = limit(body.limit, LOSSES_LIMIT, SEARCH_MAX)?;
    Ok(ndjson::respond(state.engine.losses(window, body.host.as_deref(), Some(limit)).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    pub(crate) filter: String,
}

#[derive(Serialize)]
pub(crate) struct Checked {
    filter: String,
}

pub(crate) async fn check(
    State(state): State<ApiState>,
    Body(body): Body<CheckBody>,
) -> Result<Json<Checked>, Problem> {
    Ok(Json(Checked { filter: parse(&state, &body.filter)?.to_string() }))
}

/// The filter of a question, in the context of now.
pub(crate) fn parse(state: &ApiState, text: &str) -> Result<Filter, Problem> {
    Ok(Filter::parse(text, &state.names.context())?)
}
