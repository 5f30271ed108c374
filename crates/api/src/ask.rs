//! Questions about rows.

use crate::body::{Body, When, limit, window};
use crate::ndjson::Page;
use crate::queries::{Asked, Current, Stats};
use crate::{ApiState, Problem, exact, ndjson};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_query::render::Rows;
use bartizan_query::{Bucket, ID, Position, QueryError, RowStream, Search, Spread, Window};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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

const fn events() -> Kind {
    Kind::Events
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
    columns: Option<Vec<String>>,
    /// Go on behind this row: the `cursor` of the `end` of the page before.
    after: Option<String>,
}

/// Rows, the newest first, page by page.
pub(crate) async fn search(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<SearchBody>,
) -> Result<Response, Problem> {
    named(body.columns.as_ref())?;
    let filter = parse(&state, body.table, &body.filter)?;
    let after = body.after.as_deref().map(str::parse::<Position>).transpose();
    let after = after.map_err(|e| Problem::bad_cursor(e.to_string()))?;
    let limit = limit(body.limit, SEARCH_LIMIT, SEARCH_MAX)?;
    // The place of the last row is told, whatever its columns are.
    let columns = body.columns.clone().map(|mut columns| {
        columns.extend(["time", ID].map(str::to_owned));
        columns
    });
    let search = Search {
        window: window(body.since, body.until)?,
        limit: Some(limit),
        columns,
        after: after.clone(),
        ..Search::new(body.table, &filter)
    };
    let rows = state.engine.search(search).await?;
    let page = Page { limit: limit as u64, last: after };
    Ok(ndjson::respond(rows, body.columns, asked, Some(page)))
}

/// Columns are named, each once, or all are meant.
pub(crate) fn named(columns: Option<&Vec<String>>) -> Result<(), Problem> {
    match columns {
        Some(columns) if columns.is_empty() => {
            Err(Problem::bad_request(StatusCode::BAD_REQUEST, "`columns` is empty; leave it out for all"))
        }
        Some(columns) => {
            let mut seen = BTreeSet::new();
            let twice = columns.iter().find(|column| !seen.insert(column.as_str()));
            twice.map_or(Ok(()), |column| {
                let column: String = column.chars().take(80).collect();
                let text = format!("`columns` has `{column}` twice");
                Err(Problem::bad_request(StatusCode::BAD_REQUEST, text))
            })
        }
        None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    since: Option<When>,
    until: Option<When>,
    #[serde(default)]
    explain: bool,
    /// Also about how many different sources events have.
    #[serde(default)]
    sources: bool,
}

/// About how many different sources there are; between the other two in 95 of 100 cases.
#[derive(Serialize)]
struct SourcesAbout {
    about: u64,
    least: u64,
    most: u64,
}

#[derive(Serialize)]
pub(crate) struct Counted {
    rows: u64,
    /// What the table counts: `packets` of events.
    #[serde(flatten)]
    sums: BTreeMap<&'static str, i64>,
    took_ms: u64,
    /// What it was made of, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// False, where the window cuts counts of rows that are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<SourcesAbout>,
    /// Only where rows could not be read.
    #[serde(flatten)]
    incomplete: Option<Incomplete>,
    stats: Stats,
}

/// Rows are missing, and why.
#[derive(Serialize)]
pub(crate) struct Incomplete {
    complete: bool,
    problem: Problem,
}

impl Incomplete {
    pub(crate) fn of(error: QueryError) -> Self {
        Self { complete: false, problem: error.into() }
    }
}

/// How many rows there are, and what they sum up to.
pub(crate) async fn count(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<CountBody>,
) -> Result<Json<Counted>, Problem> {
    let filter = parse(&state, body.table, &body.filter)?;
    let window = window(body.since, body.until)?;
    let plan = plan(&state, body.explain, (body.table, &filter, window), &[], None)?;
    let count = state.engine.count(body.table, &filter, window).await?;
    let sources = match (body.sources, body.table) {
        (false, _) => None,
        (true, Kind::Events) => {
            let found = state.engine.sources(&filter, window).await?;
            Some(SourcesAbout { about: found.about, least: found.least, most: found.most })
        }
        (true, other) => {
            let text = format!("`sources` are counted of `events`, not of `{other}`");
            return Err(Problem::bad_request(StatusCode::BAD_REQUEST, text));
        }
    };
    Ok(Json(Counted {
        rows: count.rows,
        sums: count.sums.into_iter().collect(),
        took_ms: ndjson::millis(count.stats.took),
        plan,
        exact: count.counted.is_some_and(|counted| !counted.exact).then_some(false),
        sources,
        incomplete: (!count.left_out.is_empty()).then(|| Incomplete::of(QueryError::LeftOut(count.left_out))),
        stats: asked.stats(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    by: Vec<String>,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
    #[serde(default)]
    explain: bool,
}

/// The largest groups.
pub(crate) async fn top(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<TopBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, body.table, &body.filter)?;
    let limit = limit(body.limit, TOP_LIMIT, TOP_MAX)?;
    let window = window(body.since, body.until)?;
    let plan = plan(&state, body.explain, (body.table, &filter, window), &body.by, None)?;
    groups(state.engine.top(body.table, &filter, window, &body.by, limit).await?, plan, &asked).await
}

/// What an answer will be made of, if that is asked for.
pub(crate) fn plan(
    state: &ApiState,
    asked: bool,
    (table, filter, window): (Kind, &Filter, Window),
    by: &[String],
    bucket: Option<Bucket>,
) -> Result<Option<String>, Problem> {
    let plan = asked.then(|| state.engine.explain(table, filter, window, by, bucket));
    Ok(plan.transpose()?)
}

/// A few groups as one object.
pub(crate) async fn groups(
    mut top: RowStream,
    plan: Option<String>,
    asked: &Asked,
) -> Result<Response, Problem> {
    let columns: Vec<_> = top.schema().fields().iter().map(|f| f.name().clone()).collect();
    let columns = serde_json::to_string(&columns).expect("names are texts");
    let mut out = format!("{{\"columns\":{columns},\"rows\":[").into_bytes();
    let mut first = true;
    let mut incomplete = None;
    while let Some(batch) = futures::StreamExt::next(&mut top).await {
        let batch = match batch {
            Err(error @ QueryError::LeftOut(_)) => {
                incomplete = Some(Incomplete::of(error));
                break;
            }
            batch => batch?,
        };
        let rows = Rows::new(&batch);
        for row in 0..rows.len() {
            if !first {
                out.push(b',');
            }
            first = false;
            rows.write_json(row, &mut out);
        }
    }
    out.extend_from_slice(format!("],\"took_ms\":{}", ndjson::millis(top.stats().took)).as_bytes());
    if let Some(plan) = plan {
        let plan = serde_json::to_string(&plan).expect("a plan is a text");
        out.extend_from_slice(format!(",\"plan\":{plan}").as_bytes());
    }
    if top.counted_from().is_some_and(|counted| !counted.exact) {
        out.extend_from_slice(b",\"exact\":false");
    }
    if let Some(Incomplete { problem, .. }) = incomplete {
        let problem = serde_json::to_string(&problem).expect("a problem has only texts and numbers");
        out.extend_from_slice(format!(",\"complete\":false,\"problem\":{problem}").as_bytes());
    }
    // All of it is read: the stream is over, and what it was made of has been counted.
    drop(top);
    let stats = serde_json::to_string(&asked.stats()).expect("stats are texts and numbers");
    out.extend_from_slice(format!(",\"stats\":{stats}}}").as_bytes());
    Ok(([(CONTENT_TYPE, "application/json")], out).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DistinctBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    by: String,
    of: String,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
}

/// How many different values each group has.
pub(crate) async fn distinct(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<DistinctBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, body.table, &body.filter)?;
    let limit = limit(body.limit, TOP_LIMIT, TOP_MAX)?;
    let window = window(body.since, body.until)?;
    groups(state.engine.distinct(body.table, &filter, window, &body.by, &body.of, limit).await?, None, &asked)
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpreadBody {
    filter: String,
    ports: u64,
    hosts: u64,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
}

/// Sources that touched many ports on many hosts.
pub(crate) async fn spread(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<SpreadBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, Kind::Events, &body.filter)?;
    let limit = limit(body.limit, TOP_LIMIT, TOP_MAX)?;
    let window = window(body.since, body.until)?;
    let spread = Spread { ports: body.ports, hosts: body.hosts };
    groups(state.engine.spread(&filter, window, spread, limit).await?, None, &asked).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossesBody {
    #[serde(default)]
    filter: String,
    since: Option<When>,
    until: Option<When>,
    host: Option<String>,
    limit: Option<u64>,
}

/// Entries of the ledger of losses, the newest first.
pub(crate) async fn losses(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<LossesBody>,
) -> Result<Response, Problem> {
    let mut filter = parse(&state, Kind::Losses, &body.filter)?;
    if let Some(host) = &body.host {
        filter = filter.and(exact::is("host", host));
    }
    let rows = state
        .engine
        .search(Search {
            window: window(body.since, body.until)?,
            limit: Some(limit(body.limit, LOSSES_LIMIT, SEARCH_MAX)?),
            ..Search::new(Kind::Losses, &filter)
        })
        .await?;
    Ok(ndjson::respond(rows, None, asked, None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
}

#[derive(Serialize)]
pub(crate) struct Checked {
    filter: String,
}

/// A filter as it is printed, or what is wrong with it.
pub(crate) async fn check(
    State(state): State<ApiState>,
    Body(body): Body<CheckBody>,
) -> Result<Json<Checked>, Problem> {
    Ok(Json(Checked { filter: parse(&state, body.table, &body.filter)?.to_string() }))
}

/// The filter of a question about a table, in the context of now.
pub(crate) fn parse(state: &ApiState, table: Kind, text: &str) -> Result<Filter, Problem> {
    Ok(Filter::parse_for(table, text, &state.names.context())?)
}
