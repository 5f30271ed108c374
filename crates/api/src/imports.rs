//! Imports: rows of old logs and databases, delivered in order and exactly once.
//!
//! A client opens an import by what identifies its source, and is told up to where each table has it. It delivers
//! batches in order, each from the position where the one before it ended; a batch that is there already is taken for
//! delivered, and one that would leave a gap or overlap is refused. Opening an import again ends the session of who had
//! it open: of two clients one stops.

use crate::body::Body;
use crate::fleet::{maybe_time, shown, time};
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bartizan_model::{HostId, Kind, Micros, Seq};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A source that is to be imported.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// Its format, a word.
    pub format: String,
    /// What it is called, for people.
    pub name: String,
    /// The kinds of rows that it gives.
    pub kinds: Vec<Kind>,
    /// The first bytes of its content, in base64, if that identifies it.
    #[serde(default)]
    pub head: Option<String>,
    /// The name that identifies it otherwise.
    #[serde(default)]
    pub named: Option<String>,
    /// Which of several sources with the same first bytes it is, at least.
    #[serde(default)]
    pub variant: u32,
    /// Hashes of its content up to some offsets.
    #[serde(default)]
    pub landmarks: Vec<ContentCheck>,
}

/// Up to where a table has an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Which table.
    pub kind: Kind,
    /// The position.
    pub position: Seq,
}

/// What the content of an import was before a position.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContentCheck {
    /// The position.
    pub position: u64,
    /// SHA-256 of what is before it, in hexadecimal digits.
    pub digest: String,
}

/// An import that was opened.
#[derive(Clone, Debug, Serialize)]
pub struct OpenImport {
    /// Its identity.
    #[serde(serialize_with = "shown")]
    pub import: HostId,
    /// Which of several sources with the same first bytes it is.
    pub variant: u32,
    /// The session that delivers it.
    pub session: u64,
    /// Up to where it is committed in every table.
    pub committed: Seq,
    /// Up to where each table has it.
    pub marks: Vec<Mark>,
    /// By which it is known again that it is the same source, in the order of their positions.
    pub checks: Vec<ContentCheck>,
}

/// A batch of an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Who delivers it.
    pub session: u64,
    /// Into which table.
    pub kind: Kind,
    /// The position where its rows begin.
    pub from: Seq,
    /// The position behind its rows.
    pub seq: Seq,
    /// SHA-256 of the content before `seq`, in hexadecimal digits.
    #[serde(default)]
    pub digest: Option<String>,
}

/// The end of an import.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// Who delivered it.
    pub session: u64,
    /// The position at its end.
    pub position: Seq,
    /// What became of its records.
    pub totals: serde_json::Value,
    /// Whether something of it could not be read.
    #[serde(default)]
    pub partial: bool,
}

/// One import of the list.
#[derive(Clone, Debug, Serialize)]
pub struct ImportInfo {
    /// Its identity.
    #[serde(serialize_with = "shown")]
    pub import: HostId,
    /// What its source is called.
    pub name: String,
    /// Its format.
    pub format: String,
    /// `done`, `partial` if something could not be read, `unfinished`.
    pub state: &'static str,
    /// Up to where it was delivered.
    pub position: u64,
    /// Up to where it is committed in every table.
    pub committed: Seq,
    /// What became of its records in the runs that came to an end.
    pub totals: serde_json::Value,
    /// When it began.
    #[serde(serialize_with = "time")]
    pub started: Micros,
    /// When something of it last came.
    #[serde(serialize_with = "time")]
    pub touched: Micros,
    /// When it last came to its end.
    #[serde(serialize_with = "maybe_time")]
    pub finished: Option<Micros>,
}

/// Why an import does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// What is asked makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// There is no such import, or nobody has opened it since the server started.
    #[error("nobody has opened this import; open it")]
    Closed,
    /// Another client has opened it.
    #[error("another client delivers this import now")]
    Taken,
    /// The batch does not begin where the one before it ended.
    #[error("the table has this import up to {}; go on there", .0.0)]
    Position(Seq),
    /// The catalog does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Wrong(detail) => Self::bad_request(StatusCode::BAD_REQUEST, detail),
            ImportError::Closed => Self::conflict("urn:bartizan:import-closed", error.to_string()),
            ImportError::Taken => Self::conflict("urn:bartizan:import-taken", error.to_string()),
            ImportError::Position(_) => Self::conflict("urn:bartizan:import-position", error.to_string()),
            ImportError::Unavailable(e) => {
                Self::internal(StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer; try again", &e)
            }
        }
    }
}

/// Takes imports.
#[async_trait]
pub trait Imports: Send + Sync {
    /// Opens an import; who had it open before has it no more.
    async fn open(&self, new: NewImport) -> Result<OpenImport, ImportError>;

    /// Takes a batch, in the order of positions; an empty one only moves the position. Waits while there is no room.
    /// Says up to where the import is committed in every table.
    async fn rows(&self, import: HostId, piece: Piece, batch: Bytes) -> Result<Seq, ImportError>;

    /// Waits a while for everything to be committed; up to where it is. Notes the end once it is.
    async fn finish(&self, import: HostId, finish: Finish) -> Result<Seq, ImportError>;

    /// Imports, the latest first.
    async fn list(&self) -> Result<Vec<ImportInfo>, Unavailable>;
}

#[derive(Serialize)]
pub(crate) struct Committed {
    committed: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
}

/// Opens an import.
pub(crate) async fn open(
    State(state): State<ApiState>,
    Body(new): Body<NewImport>,
) -> Result<Json<OpenImport>, Problem> {
    Ok(Json(state.imports.open(new).await?))
}

/// Delivers a batch of an import.
pub(crate) async fn rows(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
    piece: Result<Query<Piece>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Committed>, Problem> {
    let Query(piece) = piece.map_err(|e| Problem::bad_request(e.status(), e.body_text()))?;
    let body = body.map_err(|e| Problem::bad_request(e.status(), e.body_text()))?;
    let committed = state.imports.rows(import(id)?, piece, body).await?;
    Ok(Json(Committed { committed, done: None }))
}

/// Ends an import.
pub(crate) async fn finish(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
    Body(finish): Body<Finish>,
) -> Result<Json<Committed>, Problem> {
    let position = finish.position;
    let committed = state.imports.finish(import(id)?, finish).await?;
    Ok(Json(Committed { committed, done: Some(committed >= position) }))
}

/// Imports, the latest first.
pub(crate) async fn list(State(state): State<ApiState>) -> Result<Json<Vec<ImportInfo>>, Problem> {
    Ok(Json(state.imports.list().await.map_err(ImportError::from)?))
}

fn import(id: Result<Path<String>, PathRejection>) -> Result<HostId, Problem> {
    let Path(id) = id.map_err(|e| Problem::bad_request(e.status(), e.body_text()))?;
    id.parse().map_err(|_| Problem::not_found_thing(format!("there is no import `{}`", shortened(&id))))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
