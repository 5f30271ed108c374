//! What people keep: views, which are questions with a name.

use crate::ask::parse;
use crate::body::Body;
use crate::fleet::time;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use bartizan_model::{Kind, Micros, Role};
use bartizan_people::Principal;
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
    /// Every view, by name, with whose it is.
    async fn views(&self) -> Result<Vec<(String, ViewInfo)>, Unavailable>;

    /// Keeps somebody's view, in the place of one of the same name.
    async fn put_view(&self, owner: &str, new: NewView) -> Result<(), Unavailable>;

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
pub(crate) async fn views(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
) -> Result<Json<Vec<ViewInfo>>, Problem> {
    let views = state.saved.views().await.map_err(unavailable)?.into_iter();
    let seen = views.filter(|(owner, view)| view.shared || is_own(owner, &who));
    Ok(Json(seen.map(|(_, view)| view).collect()))
}

/// Whether a view is somebody's; those from before there were people are everybody's.
fn is_own(owner: &str, who: &Principal) -> bool {
    owner.is_empty() || owner == who.name
}

/// Whether somebody may put a view in the place of one, or remove it.
fn may_change(existing: Option<&(String, ViewInfo)>, who: &Principal) -> Result<(), Problem> {
    match existing {
        Some((_, view)) if view.shared && who.role < Role::Analyst => {
            Err(Problem::forbidden("this view is everybody's: to change it needs the role analyst"))
        }
        Some((owner, view)) if !view.shared && !is_own(owner, who) => Err(Problem::conflict(
            "urn:bartizan:taken",
            "somebody else has a view of this name: choose another",
        )),
        _ => Ok(()),
    }
}

/// Keeps a view.
pub(crate) async fn put_view(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
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
    if new.shared && who.role < Role::Analyst {
        return Err(Problem::forbidden("a view for everybody needs the role analyst"));
    }
    let views = state.saved.views().await.map_err(unavailable)?;
    may_change(views.iter().find(|(_, view)| view.name == name), &who)?;
    state.saved.put_view(&who.name, new).await.map_err(unavailable)?;
    Ok((StatusCode::CREATED, Json(Kept { name })))
}

/// Removes a view.
pub(crate) async fn delete_view(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    Body(body): Body<Named>,
) -> Result<Json<Removed>, Problem> {
    let views = state.saved.views().await.map_err(unavailable)?;
    let existing = views.iter().find(|(_, view)| view.name == body.name);
    may_change(existing, &who)?;
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
