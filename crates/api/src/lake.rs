//! Work on the lake itself: what it holds, and what is done with its files.
//!
//! Work takes its time, so its answer is a stream of lines: items (what was found, done or would be done), now and
//! then a `progress` for people, and one `end`. Work that was begun goes on when its asker goes away; one piece of
//! work is done at a time, and who asks for another meanwhile is told so.

use crate::ask::parse;
use crate::body::Body;
use crate::saved::check_name;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::Json;
use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_model::{Kind, Micros};
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// One table as it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableStatus {
    /// Its name.
    pub table: String,
    /// The newest entry of its log.
    pub version: i64,
    /// Files that the log names.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes per row, of those in files.
    pub bytes_per_row: f64,
    /// Rows that no file holds yet.
    pub hot_rows: u64,
    /// Files that were removed and are not deleted yet.
    pub removed: u64,
}

/// The lake as it is.
#[derive(Clone, Debug, Serialize)]
pub struct LakeStatus {
    /// Each table.
    pub tables: Vec<TableStatus>,
    /// What is being done, if anything is.
    pub doing: Option<&'static str>,
    /// Whatever else is to be known, by name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Verify the lake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Compare log and files without reading the files.
    #[serde(default)]
    pub quick: bool,
    /// Take files that are missing or damaged out of the log.
    #[serde(default)]
    pub repair: bool,
}

/// Compact the lake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compact {}

/// What may be done in earnest, or only told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dry {
    /// Only tell.
    #[serde(default)]
    pub dry_run: bool,
}

/// Erase what names some addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// The addresses.
    pub addresses: Vec<String>,
    /// Why, for the receipt.
    #[serde(default)]
    pub reason: String,
    /// Only tell.
    #[serde(default)]
    pub dry_run: bool,
}

/// Copy the lake, the catalog and the keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeBackup {
    /// The folder, on the server's machine.
    pub to: String,
}

/// Rows that no retention may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// What it is called.
    pub name: String,
    /// Of which table.
    #[serde(default = "events")]
    pub table: String,
    /// Which rows; nothing means all.
    #[serde(default)]
    pub filter: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

fn events() -> String {
    "events".to_owned()
}

/// A hold as it is.
#[derive(Clone, Debug, Serialize)]
pub struct HoldInfo {
    /// What it is called.
    pub name: String,
    /// Of which table.
    pub table: String,
    /// Which rows.
    pub filter: String,
    /// Why.
    pub comment: String,
    /// Since when.
    #[serde(serialize_with = "crate::fleet::time")]
    pub created: Micros,
}

/// What is kept, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// The rules; of each table the first one that means a row counts. A table without one is kept for ever.
    pub rules: Vec<RetentionRule>,
    /// Bytes of all tables, above which the oldest rows go.
    pub max_bytes: Option<u64>,
}

/// A rule of retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetentionRule {
    /// Of which table.
    pub table: String,
    /// Which rows; nothing means all.
    pub filter: String,
    /// For how many days; for ever, if that is not said.
    pub days: Option<u64>,
}

/// A hold that is to end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Release {
    name: String,
}

/// Work on the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeTask {
    /// See whether all is there and whole.
    Verify(Verify),
    /// Merge what can be merged now, and count it.
    Compact,
    /// Delete files that nobody needs any more.
    Vacuum(Dry),
    /// Remove rows that are old enough.
    Retain(Dry),
    /// Remove rows that name an address.
    Erase(Erase),
    /// Copy everything.
    Backup(MakeBackup),
}

/// A line of an answer.
#[derive(Clone, Debug)]
pub enum LakeLine {
    /// Something found or done.
    Item(Value),
    /// How far it has come, for people.
    Progress(String),
    /// It is done: whether everything is as it should be, and sums.
    End(bool, Map<String, Value>),
    /// It failed, and why, for people.
    Failed(String),
}

/// Why work was not begun.
#[derive(Debug, thiserror::Error)]
pub enum LakeRefusal {
    /// Other work is being done.
    #[error("the lake is busy: {0}")]
    Busy(&'static str),
    /// It cannot be done as it was asked for.
    #[error("{0}")]
    Question(String),
    /// What is needed for it does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<LakeRefusal> for Problem {
    fn from(refusal: LakeRefusal) -> Self {
        match refusal {
            LakeRefusal::Busy(_) => Self::conflict("urn:bartizan:busy", refusal.to_string()),
            LakeRefusal::Question(text) => Self::bad_request(StatusCode::BAD_REQUEST, text),
            LakeRefusal::Unavailable(e) => {
                Self::internal(StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer; try again", &e)
            }
        }
    }
}

/// Keeps the lake.
#[async_trait]
pub trait LakeKeeper: Send + Sync {
    /// The lake as it is.
    async fn status(&self) -> Result<LakeStatus, LakeRefusal>;

    /// What is kept, and for how long.
    fn retention(&self) -> Retention;

    /// Every hold, by name.
    async fn holds(&self) -> Result<Vec<HoldInfo>, LakeRefusal>;

    /// Makes a hold.
    async fn hold(&self, new: NewHold) -> Result<(), LakeRefusal>;

    /// Ends a hold; false if there is none of that name.
    async fn release(&self, name: &str) -> Result<bool, LakeRefusal>;

    /// What was erased, the latest first.
    async fn erasures(&self) -> Result<Vec<Value>, LakeRefusal>;

    /// Begins work, and gives what comes of it.
    async fn begin(&self, task: LakeTask) -> Result<mpsc::Receiver<LakeLine>, LakeRefusal>;
}

/// What each table holds.
pub(crate) async fn status(State(state): State<ApiState>) -> Result<Json<LakeStatus>, Problem> {
    Ok(Json(state.lake.status().await?))
}

/// Looks whether everything is there and whole.
pub(crate) async fn verify(state: State<ApiState>, Body(body): Body<Verify>) -> Result<Response, Problem> {
    begin(state, LakeTask::Verify(body)).await
}

/// Deletes files that nobody needs any more.
pub(crate) async fn compact(
    state: State<ApiState>,
    Body(Compact {}): Body<Compact>,
) -> Result<Response, Problem> {
    begin(state, LakeTask::Compact).await
}

pub(crate) async fn vacuum(state: State<ApiState>, Body(body): Body<Dry>) -> Result<Response, Problem> {
    begin(state, LakeTask::Vacuum(body)).await
}

/// Removes rows that are old enough.
pub(crate) async fn retain(state: State<ApiState>, Body(body): Body<Dry>) -> Result<Response, Problem> {
    begin(state, LakeTask::Retain(body)).await
}

/// Removes what names some addresses.
pub(crate) async fn erase(state: State<ApiState>, Body(body): Body<Erase>) -> Result<Response, Problem> {
    begin(state, LakeTask::Erase(body)).await
}

/// Copies everything to a folder of the server.
pub(crate) async fn backup(
    state: State<ApiState>,
    Body(body): Body<MakeBackup>,
) -> Result<Response, Problem> {
    begin(state, LakeTask::Backup(body)).await
}

/// What is kept, and for how long.
pub(crate) async fn retention(State(state): State<ApiState>) -> Json<Retention> {
    Json(state.lake.retention())
}

/// What no retention takes.
pub(crate) async fn holds(State(state): State<ApiState>) -> Result<Json<Vec<HoldInfo>>, Problem> {
    Ok(Json(state.lake.holds().await?))
}

/// Makes a hold.
pub(crate) async fn hold(
    State(state): State<ApiState>,
    Body(new): Body<NewHold>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    check_name(&new.name)?;
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == new.table) {
        parse(&state, kind, &new.filter)?;
    }
    let name = new.name.clone();
    state.lake.hold(new).await?;
    Ok((StatusCode::CREATED, Json(json!({ "name": name }))))
}

/// Ends a hold.
pub(crate) async fn release(
    State(state): State<ApiState>,
    Body(release): Body<Release>,
) -> Result<Json<Value>, Problem> {
    if state.lake.release(&release.name).await? {
        return Ok(Json(json!({ "released": release.name })));
    }
    let name: String = release.name.chars().take(80).collect();
    Err(Problem::not_found_thing(format!("there is no hold `{name}`")))
}

/// Receipts of what was erased.
pub(crate) async fn erasures(State(state): State<ApiState>) -> Result<Json<Vec<Value>>, Problem> {
    Ok(Json(state.lake.erasures().await?))
}

async fn begin(State(state): State<ApiState>, task: LakeTask) -> Result<Response, Problem> {
    let lines = state.lake.begin(task).await?;
    let lines = ReceiverStream::new(lines).map(|line| Ok::<_, Infallible>(print(line)));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], AxumBody::from_stream(lines)).into_response())
}

fn print(line: LakeLine) -> Bytes {
    let value = match line {
        LakeLine::Item(item) => item,
        LakeLine::Progress(text) => json!({ "progress": text }),
        LakeLine::End(complete, mut sums) => {
            sums.insert("complete".to_owned(), complete.into());
            json!({ "end": sums })
        }
        LakeLine::Failed(detail) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let problem = Problem::new("urn:bartizan:lake", "work on the lake failed", status, detail);
            json!({ "end": { "complete": false, "problem": problem } })
        }
    };
    let mut text = value.to_string();
    text.push('\n');
    text.into()
}
