//! What the server says of its agents' configuration: versions of texts, by whom they are for.

use crate::body::{Body, limit};
use crate::fleet::{time, unavailable};
use crate::needs::Noting;
use crate::sessions::Asker;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use bartizan_model::Micros;
use bartizan_people::Principal;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Versions of an answer that says no limit, and most of one.
const VERSIONS: (usize, usize) = (50, 500);
/// Bytes of a comment.
const COMMENT: usize = 500;

/// A version, as it is kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigurationInfo {
    /// Its number.
    pub version: u64,
    /// Whom it is for: `*`, `group:NAME` or `host:NAME`.
    pub target: String,
    /// What it says, in TOML.
    pub text: String,
    /// Who wrote it.
    pub who: String,
    /// Why.
    pub comment: String,
    /// When.
    #[serde(serialize_with = "time")]
    pub at: Micros,
    /// Whether it counts: it is the newest of its target.
    pub counts: bool,
    /// For how many hosts with an agent it is, by the groups of today.
    pub hosts: usize,
}

/// What is to be said from now on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewConfiguration {
    /// Whom it is for: `*`, `group:NAME` or `host:NAME`.
    pub target: String,
    /// What it says, in TOML; empty: nothing any more.
    pub text: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// Which versions are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationPage {
    /// Only of this target.
    pub target: Option<String>,
    /// Only this one.
    pub version: Option<u64>,
    /// Only those before the one of this number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationRefusal {
    /// It cannot be meant.
    #[error("{0}")]
    Wrong(String),
    /// There is no such version.
    #[error("{0}")]
    Unknown(String),
    /// The catalog does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<ConfigurationRefusal> for Problem {
    fn from(refusal: ConfigurationRefusal) -> Self {
        match refusal {
            ConfigurationRefusal::Wrong(detail) => {
                Self::bad_request(StatusCode::UNPROCESSABLE_ENTITY, detail)
            }
            ConfigurationRefusal::Unknown(detail) => Self::not_found_thing(detail),
            ConfigurationRefusal::Unavailable(error) => unavailable(error),
        }
    }
}

/// A version that counts from now on, and the one that counted for its target before.
#[derive(Clone, Debug)]
pub struct ConfigurationChange {
    /// As it is.
    pub now: ConfigurationInfo,
    /// As it was.
    pub was: Option<ConfigurationInfo>,
}

/// Keeps configurations, and tells agents of them.
#[async_trait]
pub trait Configurations: Send + Sync {
    /// Versions, the newest first.
    async fn versions(&self, page: ConfigurationPage) -> Result<Vec<ConfigurationInfo>, Unavailable>;

    /// Lets a text count.
    async fn say(
        &self,
        who: &str,
        new: NewConfiguration,
    ) -> Result<ConfigurationChange, ConfigurationRefusal>;

    /// Lets the text of an older version count again, as a new one.
    async fn roll_back(
        &self,
        who: &str,
        version: u64,
        comment: Option<String>,
    ) -> Result<ConfigurationChange, ConfigurationRefusal>;
}

/// Which versions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    /// Only of this target.
    target: Option<String>,
    /// Only this one.
    version: Option<u64>,
    /// Only those before the one of this number.
    before: Option<u64>,
    limit: Option<u64>,
}

/// Which version is to count again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBack {
    version: u64,
    comment: Option<String>,
}

/// What was said, the latest first.
pub(crate) async fn history(
    State(state): State<ApiState>,
    Body(body): Body<History>,
) -> Result<Json<Vec<ConfigurationInfo>>, Problem> {
    let limit = limit(body.limit, VERSIONS.0, VERSIONS.1)?;
    let page = ConfigurationPage {
        target: body.target,
        version: body.version,
        before: body.before,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    state.configurations.versions(page).await.map(Json).map_err(unavailable)
}

/// Says something.
pub(crate) async fn say(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    asker: Option<Extension<Asker>>,
    Body(new): Body<NewConfiguration>,
) -> Result<(StatusCode, Json<ConfigurationInfo>), Problem> {
    check(&new.comment)?;
    let change = state.configurations.say(&who.name, new).await?;
    note(&state, &who, asker.as_ref(), "configure", change).await
}

/// Says something again.
pub(crate) async fn roll_back(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    asker: Option<Extension<Asker>>,
    Body(body): Body<RollBack>,
) -> Result<(StatusCode, Json<ConfigurationInfo>), Problem> {
    check(body.comment.as_deref().unwrap_or_default())?;
    let change = state.configurations.roll_back(&who.name, body.version, body.comment).await?;
    note(&state, &who, asker.as_ref(), "configurations_rollback", change).await
}

fn check(comment: &str) -> Result<(), Problem> {
    if comment.len() <= COMMENT && !comment.contains(char::is_control) {
        return Ok(());
    }
    let detail = format!("a comment has at most {COMMENT} bytes, and no control character");
    Err(Problem::bad_request(StatusCode::UNPROCESSABLE_ENTITY, detail))
}

/// In the audit log with the text before and the text now.
async fn note(
    state: &ApiState,
    who: &Principal,
    asker: Option<&Extension<Asker>>,
    what: &'static str,
    ConfigurationChange { now, was }: ConfigurationChange,
) -> Result<(StatusCode, Json<ConfigurationInfo>), Problem> {
    let told = |info: &ConfigurationInfo| json!({ "version": info.version, "text": info.text });
    let noting = Noting::new(state.people.trail(), who, asker);
    noting.note(what, now.target.clone(), was.as_ref().map(told), Some(told(&now))).await?;
    Ok((StatusCode::CREATED, Json(now)))
}
