//! What people keep: views, which are questions with a name.

use crate::ask::parse;
use crate::body::Body;
use crate::fleet::time;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_model::{Kind, Micros};
use bartizan_schema::table_columns;
use serde::{Deserialize, Serialize};

/// Bytes of a name, and of what a view says of time.
const NAME: usize = 64;
const SINCE: usize = 64;

/// A question with a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewView {
    /// What it is called.
    pub name: String,
    /// Of which table.
    #[serde(default = "events")]
    pub table: Kind,
    /// Which rows.
    pub filter: String,
    /// Which columns are shown; as usual, if there are none.
    #[serde(default)]
    pub columns: Vec<String>,
    /// From when on, as a person writes it: `1h`, `today`.
    #[serde(default)]
    pub since: Option<String>,
    /// Whether it is for everybody.
    #[serde(default)]
    pub shared: bool,
}

const fn events() -> Kind {
    Kind::Events
}

/// A view as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewInfo {
    /// What it is called.
    pub name: String,
    /// Of which table.
    pub table: String,
    /// Which rows: as the filter is printed.
    pub filter: String,
    /// Which columns are shown.
    pub columns: Vec<String>,
    /// From when on.
    pub since: Option<String>,
    /// Whether it is for everybody.
    pub shared: bool,
    /// When it was last changed.
    #[serde(serialize_with = "time")]
    pub changed: Micros,
}

/// Keeps what people keep.
#[async_trait]
pub trait Saved: Send + Sync {
    /// Every view, by name.
    async fn views(&self) -> Result<Vec<ViewInfo>, Unavailable>;

    /// Keeps a view, in the place of one of the same name.
    async fn put_view(&self, new: NewView) -> Result<(), Unavailable>;

    /// Removes a view; false if there is none of that name.
    async fn delete_view(&self, name: &str) -> Result<bool, Unavailable>;
}

/// What was kept.
#[derive(Serialize)]
pub(crate) struct Kept {
    name: String,
}

/// What is to be removed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    name: String,
}

/// What was removed.
#[derive(Serialize)]
pub(crate) struct Removed {
    removed: String,
}

/// Questions with names.
pub(crate) async fn views(State(state): State<ApiState>) -> Result<Json<Vec<ViewInfo>>, Problem> {
    state.saved.views().await.map(Json).map_err(unavailable)
}

/// Keeps a view.
pub(crate) async fn put_view(
    State(state): State<ApiState>,
    Body(mut new): Body<NewView>,
) -> Result<(StatusCode, Json<Kept>), Problem> {
    check_name(&new.name)?;
    new.filter = parse(&state, new.table, &new.filter)?.to_string();
    let known = |name: &String| {
        name == bartizan_query::ID || table_columns(new.table).iter().any(|c| c.name == *name)
    };
    if let Some(unknown) = new.columns.iter().find(|name| !known(name)) {
        let unknown: String = unknown.chars().take(80).collect();
        return Err(wrong(format!("table {} has no column `{unknown}`", new.table)));
    }
    if new.since.as_ref().is_some_and(|since| since.len() > SINCE) {
        return Err(wrong(format!("`since` has at most {SINCE} bytes")));
    }
    let name = new.name.clone();
    state.saved.put_view(new).await.map_err(unavailable)?;
    Ok((StatusCode::CREATED, Json(Kept { name })))
}

/// Removes a view.
pub(crate) async fn delete_view(
    State(state): State<ApiState>,
    Body(body): Body<Named>,
) -> Result<Json<Removed>, Problem> {
    let done = state.saved.delete_view(&body.name).await.map_err(unavailable)?;
    if done {
        return Ok(Json(Removed { removed: body.name }));
    }
    let name: String = body.name.chars().take(80).collect();
    Err(Problem::not_found_thing(format!("there is no view `{name}`")))
}

/// Names are shown in lists and typed at prompts.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let fits = !name.is_empty() && name.len() <= NAME && name.trim() == name;
    if fits && !name.contains(|c: char| c == ',' || c.is_control()) {
        return Ok(());
    }
    let text = "has 1 to 64 bytes, no comma, no control character, and no space at its ends";
    Err(wrong(format!("a name {text}")))
}

fn wrong(detail: String) -> Problem {
    Problem::bad_request(StatusCode::BAD_REQUEST, detail)
}

fn unavailable(e: Unavailable) -> Problem {
    Problem::internal(StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer; try again", &e)
}
