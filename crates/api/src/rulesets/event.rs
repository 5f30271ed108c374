//! One event with the rule that logged it, as it was then and as it is now.

use super::Change;
use super::compare::{Fate, Placed, fate, find, rules_of};
use super::context::{Around, around};
use super::listing::{Found, Listings, Place, text};
use crate::body::Body;
use crate::queries::{Current, Stats};
use crate::{ApiState, Problem};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_model::Kind;
use bartizan_query::RowId;
use bartizan_query::render::Rows;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventBody {
    id: String,
}

#[derive(Serialize)]
pub(crate) struct Shown {
    event: Box<RawValue>,
    /// The rule as it was when it logged this; absent where nobody can tell which one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Then>,
    /// Where several rules could have logged it: which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<Value>,
    /// The generations under any of which it was logged, where the rules changed at that moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    in_flight: Vec<Value>,
    now: Now,
    /// What else its source did, and its connection; absent where the event has no source.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Around>,
    stats: Stats,
}

#[derive(Serialize)]
struct Then {
    #[serde(flatten)]
    rule: Rule,
    /// When its ruleset became active, and who made it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    ruleset: Option<Change>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rule {
    /// Found in the listing of its generation.
    Placed(Placed),
    /// As the event tells.
    Told { table: Option<String>, chain: Option<String>, handle: Option<i64>, text: String },
}

#[derive(Serialize)]
struct Now {
    state: Fate,
    /// The newest ruleset.
    #[serde(skip_serializing_if = "Option::is_none")]
    ruleset: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Placed>,
}

/// One event, with its rule as it was and as it is.
pub(crate) async fn event(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<EventBody>,
) -> Result<Json<Shown>, Problem> {
    let id: RowId = body.id.parse().map_err(|e: bartizan_query::RowIdError| {
        Problem::bad_request(StatusCode::BAD_REQUEST, e.to_string())
    })?;
    let batches = state.engine.row(Kind::Events, id).await?.collect().await?;
    let Some(batch) = batches.into_iter().find(|batch| batch.num_rows() > 0) else {
        return Err(Problem::not_found_thing(format!("there is no event {id}")));
    };
    let context = around(&state, &batch).await?;
    let cell = |name| text(&batch, name, 0);
    let (host, netns) = (cell("host").unwrap_or_default(), cell("netns").unwrap_or_default());
    let place = Place { host: &host, netns: &netns };
    let listings = Listings::new(&state.engine);
    let newest = listings.active(place, None).await?;
    let Some(rule) = cell("rule") else {
        let now = Now { state: Fate::Unknown, ruleset: newest.map(Change::from), rule: None };
        let (candidates, in_flight) = (said(&batch, "candidates"), said(&batch, "in_flight"));
        return Ok(Json(Shown {
            event: json(&batch),
            rule: None,
            candidates,
            in_flight,
            now,
            context,
            stats: asked.stats(),
        }));
    };
    let in_flight = said(&batch, "in_flight");
    let told =
        Told { table: cell("table"), chain: cell("chain"), handle: number(&batch, "handle"), text: rule };
    // Of several that all have this rule the last one says best what became of it.
    let last = || in_flight.last().and_then(Value::as_str).map(str::to_owned);
    let then = match cell("generation").or_else(last) {
        Some(generation) => Some(rules_at(&listings, place, &generation).await?),
        None => None,
    };
    let (listed, then) = then.unwrap_or_default();
    let placed = told.find(&then).cloned();
    let now = now(&listings, place, placed.as_ref(), &then, newest, listed.as_ref()).await?;
    let rule =
        Then { rule: placed.map_or_else(|| told.into(), Rule::Placed), ruleset: listed.map(Change::from) };
    Ok(Json(Shown {
        event: json(&batch),
        rule: Some(rule),
        candidates: Vec::new(),
        in_flight,
        now,
        context,
        stats: asked.stats(),
    }))
}

/// The rule as the event's own columns have it.
struct Told {
    table: Option<String>,
    chain: Option<String>,
    handle: Option<i64>,
    text: String,
}

impl Told {
    fn find<'a>(&self, rules: &'a [Placed]) -> Option<&'a Placed> {
        find(rules, self.table.as_deref()?, self.chain.as_deref()?, self.handle, &self.text)
    }
}

impl From<Told> for Rule {
    fn from(Told { table, chain, handle, text }: Told) -> Self {
        Self::Told { table, chain, handle, text }
    }
}

/// The newest listing of a generation, and its rules.
async fn rules_at(
    listings: &Listings<'_>,
    place: Place<'_>,
    generation: &str,
) -> Result<(Option<Found>, Vec<Placed>), Problem> {
    let listed = listings.of_generation(place, generation).await?;
    let texts = listings.text(place, generation).await?.unwrap_or_default().0;
    // A large ruleset takes a while to read; others want to be served.
    let rules = tokio::task::spawn_blocking(move || rules_of(&texts)).await.map_err(|e| {
        Problem::internal(StatusCode::INTERNAL_SERVER_ERROR, "the ruleset cannot be read", &e)
    })?;
    Ok((listed, rules))
}

async fn now(
    listings: &Listings<'_>,
    place: Place<'_>,
    rule: Option<&Placed>,
    then: &[Placed],
    newest: Option<Found>,
    listed: Option<&Found>,
) -> Result<Now, Problem> {
    let (Some(rule), Some(newest)) = (rule, newest.clone()) else {
        return Ok(Now { state: Fate::Unknown, ruleset: newest.map(Change::from), rule: None });
    };
    if listed.is_some_and(|listed| listed.generation == newest.generation) {
        return Ok(Now { state: Fate::Same, ruleset: Some(newest.into()), rule: Some(rule.clone()) });
    }
    let (_, rules) = rules_at(listings, place, &newest.generation).await?;
    let (state, rule) = match rules.is_empty() && listings.text(place, &newest.generation).await?.is_none() {
        true => (Fate::Unknown, None),
        false => fate(rule, then, &rules),
    };
    Ok(Now { state, ruleset: Some(newest.into()), rule: rule.cloned() })
}

fn json(batch: &RecordBatch) -> Box<RawValue> {
    let mut out = Vec::new();
    Rows::new(batch).write_json(0, &mut out);
    let text = String::from_utf8(out).expect("JSON is text");
    RawValue::from_string(text).expect("rows are written as JSON")
}

fn number(batch: &RecordBatch, name: &str) -> Option<i64> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    column.is_valid(0).then(|| column.value(0))
}

/// A list that the sender says in the event's details.
fn said(batch: &RecordBatch, key: &str) -> Vec<Value> {
    let extra = text(batch, "extra", 0).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    extra.and_then(|extra| extra.get(key)?.as_array().cloned()).unwrap_or_default()
}
