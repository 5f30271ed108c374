//! The fleet's authority, and how another follows it.

use crate::body::Body;
use crate::fleet::unavailable;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

/// The authorities, and which hosts know the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuthorityStatus {
    /// The one that counts: the first digits of its certificate's hash.
    pub pin: String,
    /// Its successor, while hosts learn of it.
    pub next: Option<String>,
    /// Live hosts whose certificate is of the newest.
    pub renewed: usize,
    /// Live hosts that have not learned of the successor.
    pub left: usize,
    /// Some of them, by name.
    pub names: Vec<String>,
}

/// A step from one authority to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityStep {
    /// A successor is made, which signs hosts' certificates.
    Begin,
    /// It counts, and the one before ends.
    Finish {
        /// Even if live hosts have not learned of it; they will, when they ask next.
        force: bool,
    },
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityRefusal {
    /// It does not go together with what is there.
    #[error("{0}")]
    Conflict(String),
    /// Something behind it failed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Keeps the fleet's authority.
#[async_trait]
pub trait FleetAuthority: Send + Sync {
    /// How things are.
    async fn status(&self) -> Result<AuthorityStatus, Unavailable>;

    /// Takes a step; how things are then.
    async fn step(&self, step: AuthorityStep) -> Result<AuthorityStatus, AuthorityRefusal>;
}

/// How things are.
pub(crate) async fn status(State(state): State<ApiState>) -> Result<Json<AuthorityStatus>, Problem> {
    state.authority.status().await.map(Json).map_err(unavailable)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotate {
    /// Whether the successor is to count; otherwise one is made.
    #[serde(default)]
    finish: bool,
    /// Even if live hosts have not learned of it.
    #[serde(default)]
    force: bool,
}

/// Makes a successor, or lets it count.
pub(crate) async fn rotate(
    State(state): State<ApiState>,
    Body(body): Body<Rotate>,
) -> Result<Json<AuthorityStatus>, Problem> {
    let step = if body.finish { AuthorityStep::Finish { force: body.force } } else { AuthorityStep::Begin };
    match state.authority.step(step).await {
        Ok(status) => Ok(Json(status)),
        Err(AuthorityRefusal::Conflict(detail)) => Err(Problem::conflict("urn:bartizan:conflict", detail)),
        Err(AuthorityRefusal::Unavailable(e)) => Err(unavailable(e)),
    }
}
