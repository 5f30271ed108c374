//! What was done: read, and looked through.

use crate::body::{Body, When, limit, window};
use crate::fleet::time;
use crate::people::problem;
use crate::{ApiState, Problem};
use axum::Json;
use axum::extract::State;
use bartizan_model::Micros;
use bartizan_people::{AuditEntry, AuditPage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Entries of an answer that says no limit, and most of one.
const ENTRIES: (usize, usize) = (100, 10_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditBody {
    since: Option<When>,
    until: Option<When>,
    /// Only of this one.
    who: Option<String>,
    /// Only this operation.
    what: Option<String>,
    limit: Option<u64>,
    /// Only entries before the one of this number.
    before: Option<i64>,
}

#[derive(Serialize)]
pub(crate) struct Audit {
    entries: Vec<Entry>,
    /// Whether there may be older ones.
    more: bool,
}

#[derive(Serialize)]
struct Entry {
    id: i64,
    #[serde(serialize_with = "time")]
    at: Micros,
    who: String,
    address: Option<String>,
    what: String,
    /// What was asked for, or of what.
    about: Option<Value>,
    old: Option<Value>,
    new: Option<Value>,
}

/// JSON as it is; anything else as a text.
fn value(text: Option<String>) -> Option<Value> {
    text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl From<AuditEntry> for Entry {
    fn from(AuditEntry { id, at, entry, .. }: AuditEntry) -> Self {
        let (about, old, new) = (value(entry.about), value(entry.old), value(entry.new));
        Self { id, at, who: entry.who, address: entry.address, what: entry.what, about, old, new }
    }
}

/// What was done, the latest first.
pub(crate) async fn audit(
    State(state): State<ApiState>,
    Body(body): Body<AuditBody>,
) -> Result<Json<Audit>, Problem> {
    let window = window(body.since, body.until)?;
    let limit = limit(body.limit, ENTRIES.0, ENTRIES.1)?;
    let page = AuditPage {
        since: window.since,
        until: window.until,
        who: body.who,
        what: body.what,
        before: body.before,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    };
    let entries = state.people.trail().read(&page).await.map_err(problem)?;
    let more = entries.len() >= limit;
    Ok(Json(Audit { entries: entries.into_iter().map(Entry::from).collect(), more }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyBody {}

#[derive(Serialize)]
pub(crate) struct Verified {
    entries: u64,
    whole: bool,
    /// The first of which something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_at: Option<i64>,
    /// The hash of the last that is right.
    head: String,
}

/// Whether the log is whole.
pub(crate) async fn verify(
    State(state): State<ApiState>,
    Body(VerifyBody {}): Body<VerifyBody>,
) -> Result<Json<Verified>, Problem> {
    let bartizan_people::Verified { entries, broken_at, head } =
        state.people.trail().verify().await.map_err(problem)?;
    Ok(Json(Verified { entries, whole: broken_at.is_none(), broken_at, head }))
}
