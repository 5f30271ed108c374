//! Whether a host may send, and what it is called: changed by people.

use crate::body::Body;
use crate::fleet::{shown, unavailable};
use crate::{ApiState, Problem, Unavailable};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_model::HostId;
use serde::{Deserialize, Serialize};

/// Whether a host may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It may.
    In,
    /// Somebody has to approve of it first.
    Waiting,
    /// It is not trusted any more.
    Revoked,
    /// It is no more.
    Retired,
}

/// What people can change of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStanding {
    /// Its label.
    pub name: String,
    /// Whether it may send.
    pub state: Standing,
    /// Its group.
    pub group: Option<String>,
}

/// A change of a host, as it was and as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostChange {
    /// Which host.
    #[serde(serialize_with = "shown")]
    pub id: HostId,
    /// Before.
    pub was: HostStanding,
    /// After.
    pub now: HostStanding,
}

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandingChange {
    /// It is not trusted any more.
    Revoke,
    /// It is no more; its name is free.
    Retire,
    /// It gets this name.
    Rename(String),
    /// It may send.
    Approve {
        /// Whether a host that has its name is revoked for it.
        replace: bool,
    },
}

/// Why a host was not changed.
#[derive(Debug, thiserror::Error)]
pub enum HostRefusal {
    /// There is none of that name.
    #[error("{0}")]
    Unknown(String),
    /// It does not go together with what is there.
    #[error("{0}")]
    Conflict(String),
    /// It cannot be meant.
    #[error("{0}")]
    Wrong(String),
    /// The catalog does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<HostRefusal> for Problem {
    fn from(refusal: HostRefusal) -> Self {
        match refusal {
            HostRefusal::Unknown(detail) => Self::not_found_thing(detail),
            HostRefusal::Conflict(detail) => Self::conflict("urn:bartizan:conflict", detail),
            HostRefusal::Wrong(detail) => Self::bad_request(StatusCode::BAD_REQUEST, detail),
            HostRefusal::Unavailable(e) => unavailable(e),
        }
    }
}

/// Which host.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// Its name or id, or the first digits of its id.
    host: String,
}

/// Which host, and its new name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rename {
    /// Its name or id, or the first digits of its id.
    host: String,
    /// The name that it gets.
    name: String,
}

/// Which host may send from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    /// Its name or id, or the first digits of its id.
    host: String,
    /// Whether a host that has its name is revoked for it.
    #[serde(default)]
    replace: bool,
}

/// The one way in which hosts are changed.
async fn change(state: &ApiState, host: &str, change: StandingChange) -> Result<Json<HostChange>, Problem> {
    let host: String = host.trim().chars().take(128).collect();
    Ok(Json(state.hosts.change(&host, change).await?))
}

/// Trusts a host no more.
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Body(body): Body<Named>,
) -> Result<Json<HostChange>, Problem> {
    change(&state, &body.host, StandingChange::Revoke).await
}

/// Says that a host is no more.
pub(crate) async fn retire(
    State(state): State<ApiState>,
    Body(body): Body<Named>,
) -> Result<Json<HostChange>, Problem> {
    change(&state, &body.host, StandingChange::Retire).await
}

/// Gives a host another name.
pub(crate) async fn rename(
    State(state): State<ApiState>,
    Body(body): Body<Rename>,
) -> Result<Json<HostChange>, Problem> {
    change(&state, &body.host, StandingChange::Rename(body.name)).await
}

/// Lets a host in that waits.
pub(crate) async fn approve(
    State(state): State<ApiState>,
    Body(body): Body<Approve>,
) -> Result<Json<HostChange>, Problem> {
    change(&state, &body.host, StandingChange::Approve { replace: body.replace }).await
}
