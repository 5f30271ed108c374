//! Rulesets of the past and of now: `rules`, `rules/history`, `rules/hits`, `event`.
//!
//! A ruleset that became active is one listing: rows of one host, namespace and time. A listing whose content the
//! agent had sent before has no text of its own; the text is that of the newest listing of the same generation, of
//! the same host where it has one, for the generation names the content whoever runs it.
//!
//! Reading is in two steps, so that memory holds one listing and never a history of them: first which listing it
//! is, by its small columns, then its text.

mod compare;
mod context;
mod event;
mod hits;
mod listing;

pub(crate) use event::{EventBody, event};
pub(crate) use hits::{HitsBody, hits};

use crate::body::{Body, When, limit, window};
use crate::queries::{Current, Stats};
use crate::{ApiState, Problem};
use axum::Json;
use axum::extract::State;
use bartizan_query::render::time_text;
use listing::{Listings, Place};
use serde::{Deserialize, Serialize};

/// Generations of a history that says no limit.
const HISTORY_LIMIT: usize = 100;
/// Most generations of one history.
const HISTORY_MAX: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulesBody {
    host: String,
    #[serde(default)]
    netns: String,
    /// The one that was active then; now, if it is left out.
    at: Option<When>,
    /// This one, whenever it was active.
    generation: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Rules {
    #[serde(flatten)]
    change: Change,
    forms: Vec<Text>,
    notes: Vec<String>,
    stats: Stats,
}

/// A ruleset became active.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) time: String,
    pub(crate) host: String,
    pub(crate) netns: String,
    pub(crate) generation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Text {
    form: String,
    text: String,
}

/// The ruleset of a moment, and who made it active.
pub(crate) async fn rules(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<RulesBody>,
) -> Result<Json<Rules>, Problem> {
    let listings = Listings::new(&state.engine);
    let place = Place { host: &body.host, netns: &body.netns };
    let found = match &body.generation {
        Some(generation) => listings.of_generation(place, generation).await?,
        None => listings.active(place, body.at.map(|at| at.0)).await?,
    };
    let Some(found) = found else { return Err(no_ruleset(&body)) };
    let text = listings.text(place, &found.generation).await?;
    let (forms, mut notes) = text.unwrap_or_default();
    if forms.is_empty() {
        notes.push("its text has not come yet".to_owned());
    }
    notes.splice(0..0, found.notes.clone());
    notes.dedup();
    let forms = forms.into_iter().map(|(form, text)| Text { form, text }).collect();
    Ok(Json(Rules { change: found.into(), forms, notes, stats: asked.stats() }))
}

fn no_ruleset(body: &RulesBody) -> Problem {
    let of = match body.netns.as_str() {
        "" => format!("host {}", body.host),
        netns => format!("namespace {netns} of host {}", body.host),
    };
    Problem::not_found_thing(match (&body.generation, body.at) {
        (Some(generation), _) => format!("{of} never had the ruleset {generation}"),
        (None, Some(at)) => format!("no ruleset of {of} is known from before {}", time_text(at.0)),
        (None, None) => format!("no ruleset of {of} is known"),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryBody {
    host: String,
    /// All namespaces, if it is left out.
    netns: Option<String>,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct History {
    generations: Vec<Change>,
    stats: Stats,
}

/// The rulesets of a host over time.
pub(crate) async fn history(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<HistoryBody>,
) -> Result<Json<History>, Problem> {
    let window = window(body.since, body.until)?;
    let limit = limit(body.limit, HISTORY_LIMIT, HISTORY_MAX)?;
    let listings = Listings::new(&state.engine);
    let found = listings.history(&body.host, body.netns.as_deref(), window, limit).await?;
    Ok(Json(History { generations: found.into_iter().map(Change::from).collect(), stats: asked.stats() }))
}

impl From<listing::Found> for Change {
    fn from(found: listing::Found) -> Self {
        Self {
            time: time_text(found.time),
            host: found.host,
            netns: found.netns,
            generation: found.generation,
            kernel_generation: found.kernel_generation,
            pid: found.pid,
            process: found.process,
        }
    }
}
