//! The questions that are being answered: each has a name, says what it costs, and can be ended.
//!
//! A question is in the list from its arrival until its answer is sent, or nobody reads it any more. Its name is in
//! the header `bartizan-query` of its answer and in its `stats`.

use crate::body::Body;
use crate::{ApiState, Problem};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bartizan_model::Role;
use bartizan_people::Principal;
use bartizan_query::{Inquiry, Sight, asked_for};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// The header that names a question.
pub const QUERY_HEADER: HeaderName = HeaderName::from_static("bartizan-query");

/// All questions of a server.
#[derive(Debug, Default)]
pub struct Queries {
    life: u64,
    next: AtomicU64,
    running: Mutex<BTreeMap<u64, Arc<Asked>>>,
    totals: Mutex<QueryTotals>,
}

/// What all questions have cost since the start, those that run not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryTotals {
    /// Questions that have ended.
    pub ended: u64,
    /// Of these, the cancelled.
    pub cancelled: u64,
    /// Microseconds from question to the end of the answer.
    pub micros: u64,
    /// Rows that were looked at.
    pub rows: u64,
    /// Bytes read from files.
    pub bytes: u64,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Asked {
    number: u64,
    id: String,
    path: String,
    question: OnceLock<Value>,
    since: Instant,
    inquiry: Arc<Inquiry>,
    was_cancelled: std::sync::atomic::AtomicBool,
}

/// What an answer cost; in every answer the same.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stats {
    /// The name of the question.
    pub(crate) query: String,
    /// Rows that were looked at.
    pub(crate) looked_at: u64,
    /// Bytes read from files.
    pub(crate) bytes: u64,
    /// Files of which something was read.
    pub(crate) files: u64,
    /// Whether nothing is missing because a file could not be read.
    pub(crate) complete: bool,
    /// Milliseconds since the question came.
    pub(crate) took_ms: u64,
}

impl Asked {
    /// What it has cost so far.
    pub(crate) fn stats(&self) -> Stats {
        let cost = self.inquiry.cost();
        Stats {
            query: self.id.clone(),
            looked_at: cost.rows,
            bytes: cost.bytes,
            files: cost.files,
            complete: !cost.lacks,
            took_ms: crate::ndjson::millis(self.since.elapsed()),
        }
    }

    /// Waits until somebody cancels it.
    pub(crate) async fn cancelled(&self) {
        self.inquiry.cancelled().await;
    }

    /// Work on it, in a task of its own.
    pub(crate) async fn inside<F: Future>(&self, work: F) -> F::Output {
        asked_for(Arc::clone(&self.inquiry), work).await
    }

    /// His own, or everybody's to those who run the server.
    fn is_seen_by(&self, who: &Principal) -> bool {
        let runs = who.role >= Role::Operator && who.scope.is_none();
        runs || self.inquiry.who() == crate::auth::asker(who)
    }

    fn cancel(&self) {
        self.was_cancelled.store(true, Ordering::Relaxed);
        self.inquiry.cancel();
    }

    /// Notes what is asked, for the list.
    pub(crate) fn note(&self, question: impl FnOnce() -> Value) {
        let _ = self.question.get_or_init(question);
    }
}

/// The question that a handler answers.
#[derive(Clone, Debug)]
pub(crate) struct Current(pub(crate) Arc<Asked>);

impl<S: Send + Sync> FromRequestParts<S> for Current {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let current = parts.extensions.get::<Arc<Asked>>().cloned().map(Current);
        current.ok_or_else(|| Problem::bad_request(StatusCode::INTERNAL_SERVER_ERROR, "this is no question"))
    }
}

impl Queries {
    /// No questions yet. `life` tells this server's life from others, so that a name is never used again.
    #[must_use]
    pub fn new(life: u64) -> Self {
        Self { life, ..Self::default() }
    }

    /// How many are being answered.
    #[must_use]
    pub fn running(&self) -> usize {
        self.list().len()
    }

    /// What those that have ended cost together.
    #[must_use]
    pub fn totals(&self) -> QueryTotals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question of another port in the list, for as long as what is returned lives.
    #[must_use]
    pub fn begin(self: &Arc<Self>, who: u64, sight: Sight, path: &str, query: &str) -> Running {
        let running = self.enter(who, sight, path);
        running.asked.note(|| serde_json::json!({ "query": query }));
        running
    }

    fn enter(self: &Arc<Self>, who: u64, sight: Sight, path: &str) -> Running {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let asked = Arc::new(Asked {
            number,
            id: format!("{:x}-{number}", self.life),
            path: path.to_owned(),
            question: OnceLock::new(),
            since: Instant::now(),
            inquiry: Arc::new(Inquiry::of(who, sight)),
            was_cancelled: false.into(),
        });
        self.list().insert(number, Arc::clone(&asked));
        Running { queries: Arc::clone(self), asked }
    }

    /// Ends a question that somebody may see; false if there is none of that name.
    fn cancel(&self, id: &str, who: &Principal) -> bool {
        let asked = self.list().values().find(|asked| asked.id == id && asked.is_seen_by(who)).cloned();
        asked.inspect(|asked| asked.cancel()).is_some()
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Asked>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question in the list, until it is dropped.
#[derive(Debug)]
pub struct Running {
    queries: Arc<Queries>,
    asked: Arc<Asked>,
}

impl Running {
    /// What it costs, and whether it is still wanted.
    #[must_use]
    pub fn inquiry(&self) -> &Arc<Inquiry> {
        &self.asked.inquiry
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.asked.cancel();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queries.list().remove(&self.asked.number);
        let cost = self.asked.inquiry.cost();
        let mut totals = self.queries.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.ended += 1;
        totals.cancelled += u64::from(self.asked.was_cancelled.load(Ordering::Relaxed));
        let micros = u64::try_from(self.asked.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        totals.micros = totals.micros.saturating_add(micros);
        totals.rows = totals.rows.saturating_add(cost.rows);
        totals.bytes = totals.bytes.saturating_add(cost.bytes);
    }
}

/// Gives a question its name, and keeps it in the list until its answer has been sent.
pub(crate) async fn track(State(queries): State<Arc<Queries>>, mut request: Request, next: Next) -> Response {
    // Whoever asks is found before: it is inside of his.
    let his = Inquiry::current();
    let running = queries.enter(his.who(), his.sight().clone(), request.uri().path());
    let asked = Arc::clone(&running.asked);
    request.extensions_mut().insert(Arc::clone(&asked));
    let answer = asked_for(Arc::clone(&asked.inquiry), next.run(request));
    let answer = tokio::select! {
        answer = answer => answer,
        () = asked.cancelled() => Problem::cancelled().into_response(),
    };
    let (mut head, body) = answer.into_parts();
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
        head.headers.insert(QUERY_HEADER, id);
    }
    let body = body.into_data_stream().map(move |piece| {
        // It runs for as long as somebody may read its answer.
        let _ = &running;
        piece
    });
    Response::from_parts(head, axum::body::Body::from_stream(body))
}

/// A question in the list.
#[derive(Serialize)]
pub(crate) struct Listed {
    id: String,
    /// Below `/api/v1/`.
    path: String,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Value>,
    stats: Stats,
}

/// The questions that are being answered.
pub(crate) async fn list(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
) -> Json<Vec<Listed>> {
    let running: Vec<_> =
        state.queries.list().values().filter(|asked| asked.is_seen_by(&who)).cloned().collect();
    let listed = |asked: Arc<Asked>| Listed {
        id: asked.id.clone(),
        path: asked.path.trim_start_matches("/api/v1").trim_start_matches('/').to_owned(),
        question: asked.question.get().cloned(),
        stats: asked.stats(),
    };
    Json(running.into_iter().map(listed).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// As the header and the list name it.
    id: String,
}

#[derive(Serialize)]
pub(crate) struct Cancelled {
    cancelled: String,
}

/// Ends a question.
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
    Body(body): Body<CancelBody>,
) -> Result<Json<Cancelled>, Problem> {
    if state.queries.cancel(&body.id, &who) {
        return Ok(Json(Cancelled { cancelled: body.id }));
    }
    let id: String = body.id.chars().take(80).collect();
    Err(Problem::not_found_thing(format!("there is no question `{id}` now; perhaps it has been answered")))
}
