//! What to ask next: the values of several columns, and what has changed.

use crate::ask::{Incomplete, groups, parse};
use crate::body::{Body, When, limit, window};
use crate::queries::{Current, Stats};
use crate::{ApiState, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bartizan_model::{Kind, Micros};
use bartizan_query::render::Rows;
use bartizan_query::{Compare, Facet, MAX_COMPARED, QueryError, Window};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Values of each field, if the question says no limit, and at most.
const VALUES: usize = 10;
const VALUES_MAX: usize = 1_000;
/// Groups of a comparison that says no limit.
const COMPARED: usize = 10;

const fn events() -> Kind {
    Kind::Events
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FacetsBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    since: Option<When>,
    until: Option<When>,
    /// Fields or columns, at most 16.
    fields: Vec<String>,
    /// Values of each.
    limit: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct FacetsAnswer {
    facets: Vec<FacetAnswer>,
    /// All rows that match.
    rows: u64,
    /// What they sum up to.
    #[serde(flatten)]
    sums: BTreeMap<&'static str, i64>,
    /// False, where the window cuts counts of rows that are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<bool>,
    #[serde(flatten)]
    incomplete: Option<Incomplete>,
    stats: Stats,
}

#[derive(Serialize)]
struct FacetAnswer {
    /// As it was asked for.
    field: String,
    /// The values with the largest sums; one without `value` counts the rows that have none.
    values: Vec<Box<RawValue>>,
    /// All other values together.
    other: Others,
    /// How many values there are, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    distinct: Option<u64>,
}

#[derive(Serialize)]
struct Others {
    rows: u64,
    #[serde(flatten)]
    sums: BTreeMap<&'static str, i64>,
}

/// The values of several fields at once.
pub(crate) async fn facets(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<FacetsBody>,
) -> Result<Json<FacetsAnswer>, Problem> {
    let filter = parse(&state, body.table, &body.filter)?;
    let window = window(body.since, body.until)?;
    let limit = limit(body.limit, VALUES, VALUES_MAX)?;
    let found = state.engine.facets(body.table, &filter, window, &body.fields, limit).await?;
    Ok(Json(FacetsAnswer {
        facets: body
            .fields
            .into_iter()
            .zip(&found.facets)
            .map(|(field, facet)| answer(field, facet))
            .collect(),
        rows: found.rows,
        sums: found.sums.into_iter().collect(),
        exact: (!found.exact).then_some(false),
        incomplete: (!found.left_out.is_empty()).then(|| Incomplete::of(QueryError::LeftOut(found.left_out))),
        stats: asked.stats(),
    }))
}

fn answer(field: String, facet: &Facet) -> FacetAnswer {
    let schema = facet.values.schema();
    let names: Vec<(&str, &str)> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| (field.name().as_str(), if at == 0 { "value" } else { field.name().as_str() }))
        .collect();
    let rows = Rows::named(&facet.values, &names);
    let value = |row| {
        let mut out = Vec::new();
        rows.write_json(row, &mut out);
        let text = String::from_utf8(out).expect("JSON is text");
        RawValue::from_string(text).expect("rows are written as JSON")
    };
    FacetAnswer {
        field,
        values: (0..rows.len()).map(value).collect(),
        other: Others { rows: facet.other_rows, sums: facet.other_sums.iter().copied().collect() },
        distinct: facet.distinct,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareBody {
    #[serde(default = "events")]
    table: Kind,
    filter: String,
    by: Vec<String>,
    since: When,
    until: When,
    /// The time to compare with; the same length just before, if it is left out.
    before_since: Option<When>,
    before_until: Option<When>,
    limit: Option<u64>,
}

/// The largest groups of a time beside what they were before.
pub(crate) async fn compare(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<CompareBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, body.table, &body.filter)?;
    let now = window(Some(body.since), Some(body.until))?;
    let before = match (body.before_since, body.before_until) {
        (None, None) => just_before(body.since.0, body.until.0)?,
        (Some(since), Some(until)) => window(Some(since), Some(until))?,
        _ => {
            let text = "`before_since` and `before_until` go together";
            return Err(Problem::bad_request(StatusCode::BAD_REQUEST, text));
        }
    };
    let n = limit(body.limit, COMPARED, MAX_COMPARED)?;
    let question = Compare { kind: body.table, filter: &filter, window: now, before, by: body.by, n };
    groups(state.engine.compare(question).await?, None, &asked).await
}

fn just_before(since: Micros, until: Micros) -> Result<Window, Problem> {
    let begin = until.0.checked_sub(since.0).and_then(|length| since.0.checked_sub(length));
    let begin = begin.ok_or_else(|| {
        Problem::bad_request(StatusCode::BAD_REQUEST, "there is no time of that length before `since`")
    })?;
    Ok(Window { since: Some(Micros(begin)), until: Some(since) })
}
