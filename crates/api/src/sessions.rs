//! Sessions: how a browser asks without holding the token.
//!
//! Somebody gives a token once and gets a cookie that no script can read, that the browser sends to this server only,
//! and only where its own page asks. What is in the cookie is a secret of the session's own; the server keeps its hash.
//! A session ends when it is not used, after a time in any case, when somebody ends it, and with its token.

use crate::auth::{Refused, is_own};
use crate::body::Body;
use crate::fleet::time;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bartizan_model::Micros;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Instant;
use tokio::sync::watch;

/// The cookie's name; with this prefix a browser holds it to this server, TLS and all paths.
pub(crate) const COOKIE: &str = "__Host-bartizan";
/// Bytes of the question that signs in.
pub(crate) const SIGN_IN_LIMIT: usize = 1 << 10;
/// Characters of what a browser calls itself.
const BROWSER: usize = 120;

/// From where a request comes; whoever has the connection puts it beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Asker(pub IpAddr);

/// Somebody signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// SHA-256 of the token.
    pub token: [u8; 32],
    /// From where.
    pub address: String,
    /// What the browser calls itself, shortened.
    pub browser: String,
}

/// A new session.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// For the cookie; nobody else learns it.
    pub secret: String,
    /// How long it may last at most, in seconds.
    pub seconds: u64,
}

impl std::fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSession").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

/// A session that is used.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it is called in lists.
    pub name: String,
    /// SHA-256 of the token that it was made with.
    pub token: [u8; 32],
    /// When it was made.
    pub since: Micros,
    /// When it ends in any case.
    pub until: Micros,
    /// Becomes true when it ends; also when nobody is left who could say so.
    pub ended: watch::Receiver<bool>,
}

/// A session in the list.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// What it is called.
    pub name: String,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub since: Micros,
    /// When it was last used.
    #[serde(serialize_with = "time")]
    pub used: Micros,
    /// When it ends in any case.
    #[serde(serialize_with = "time")]
    pub until: Micros,
    /// Where it was made from.
    pub address: String,
    /// What the browser calls itself.
    pub browser: String,
}

/// Keeps sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Makes a session.
    async fn open(&self, new: NewSession) -> Result<OpenSession, Unavailable>;
    /// The session with this secret, which is used now; none if it has ended.
    async fn used(&self, secret: &str) -> Option<Session>;
    /// Ends a session; false if there is none of that name.
    async fn end(&self, name: &str) -> Result<bool, Unavailable>;
    /// Those that have not ended, the latest first.
    fn list(&self) -> Vec<SessionInfo>;
}

/// A token, once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    token: String,
}

/// Makes a session of a token. The one operation that asks for a token in its question, and is open to everybody.
pub(crate) async fn sign_in(
    State(state): State<ApiState>,
    asker: Option<Extension<Asker>>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    Body(body): Body<SignIn>,
) -> Result<Response, Problem> {
    // Nobody is signed in by another page without knowing. Who is no browser says nothing of either kind.
    let is_browser = headers.contains_key("sec-fetch-site") || headers.contains_key("origin");
    if is_browser && !is_own(&method, &uri, &headers) {
        return Err(Problem::cross_site("the page of another server cannot sign in to this one"));
    }
    let from = asker.map(|Extension(Asker(ip))| ip.to_canonical());
    let token = match state.access.sign_in(body.token.trim(), from, Instant::now()) {
        Ok(token) => token,
        Err(Refused::Unknown) => return Err(Problem::unauthorized("the token is not known")),
        Err(Refused::TooMany(wait)) => {
            let seconds = wait.as_secs() + 1;
            let problem = Problem::too_many(format!("too many wrong tokens; try again in {seconds} seconds"));
            return Ok(([(RETRY_AFTER, seconds.to_string())], problem).into_response());
        }
    };
    let browser = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let browser = browser.unwrap_or_default().chars().filter(|c| !c.is_control()).take(BROWSER).collect();
    let address = from.map(|ip| ip.to_string()).unwrap_or_default();
    let new = NewSession { token, address, browser };
    let OpenSession { secret, seconds } = state.sessions.open(new).await.map_err(unavailable)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie(&secret, seconds))]).into_response())
}

fn cookie(secret: &str, seconds: u64) -> String {
    format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}")
}

/// Who is signed in.
#[derive(Serialize)]
pub(crate) struct SignedIn {
    name: String,
    #[serde(serialize_with = "time")]
    since: Micros,
    #[serde(serialize_with = "time")]
    until: Micros,
}

/// The session of this browser.
pub(crate) async fn current(session: Option<Extension<Session>>) -> Result<Json<SignedIn>, Problem> {
    let Extension(Session { name, since, until, .. }) = session.ok_or_else(none)?;
    Ok(Json(SignedIn { name, since, until }))
}

/// Ends the session of this browser.
pub(crate) async fn sign_out(
    State(state): State<ApiState>,
    session: Option<Extension<Session>>,
) -> Result<Response, Problem> {
    let Extension(session) = session.ok_or_else(none)?;
    state.sessions.end(&session.name).await.map_err(unavailable)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie("", 0))]).into_response())
}

fn none() -> Problem {
    Problem::not_found_thing("this was asked with a token, without a session")
}

/// Sessions that have not ended.
pub(crate) async fn list(State(state): State<ApiState>) -> Json<Vec<SessionInfo>> {
    Json(state.sessions.list())
}

/// Which session is to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoke {
    /// As the list names it.
    session: String,
}

/// What has ended.
#[derive(Serialize)]
pub(crate) struct Revoked {
    revoked: String,
}

/// Ends a session.
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Body(body): Body<Revoke>,
) -> Result<Json<Revoked>, Problem> {
    if state.sessions.end(&body.session).await.map_err(unavailable)? {
        return Ok(Json(Revoked { revoked: body.session }));
    }
    let name: String = body.session.chars().take(80).collect();
    Err(Problem::not_found_thing(format!("there is no session `{name}`")))
}

fn unavailable(e: Unavailable) -> Problem {
    Problem::internal(StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer; try again", &e)
}
