//! Sessions: how a browser asks without holding a secret that lasts.
//!
//! Somebody gives a password or a token once and gets a cookie that no script can read, that the browser sends to this server only,
//! and only where its own page asks. What is in the cookie is a secret of the session's own; the server keeps its hash.
//! A session ends when it is not used, after a time in any case, when somebody ends it, and with whoever made it.

use crate::auth::is_own;
use crate::body::Body;
use crate::fleet::time;
use crate::people::problem;
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bartizan_model::{Micros, Role};
use bartizan_people::{Deed, PeopleError, Principal, Refused};
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
    /// Who.
    pub who: String,
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
    /// Whose it is.
    pub who: String,
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
    /// Whose it is.
    pub who: String,
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
    /// Ends the sessions of somebody, but perhaps one.
    async fn end_of(&self, who: &str, but: Option<&str>) -> Result<(), Unavailable>;
    /// Those that have not ended, the latest first.
    fn list(&self) -> Vec<SessionInfo>;
}

/// A token, or a name with a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    token: Option<String>,
    user: Option<String>,
    password: Option<String>,
    /// Of the second factor.
    code: Option<String>,
}

/// Makes a session. One of the few operations that are open to everybody.
pub(crate) async fn sign_in(
    State(state): State<ApiState>,
    asker: Option<Extension<Asker>>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    Body(body): Body<SignIn>,
) -> Result<Response, Problem> {
    here(&method, &uri, &headers)?;
    let from = asker.map(|Extension(Asker(ip))| ip.to_canonical());
    let (who, signed) = match (&body.token, &body.user, &body.password) {
        (Some(token), None, None) => {
            let signed = state.people.sign_in_with_token(token.trim(), from, Instant::now());
            (None, signed.map_err(PeopleError::from))
        }
        (None, Some(user), Some(password)) => {
            let attempt = bartizan_people::SignIn { user, password, code: body.code.as_deref(), from };
            (Some(user), state.people.sign_in(attempt, Instant::now()).await)
        }
        _ => {
            let text = "sign in with `token`, or with `user` and `password`";
            return Err(Problem::bad_request(StatusCode::BAD_REQUEST, text));
        }
    };
    match signed {
        Ok(principal) => open(&state, principal, from, &headers, "sign_in").await,
        Err(error) => {
            if matches!(error, PeopleError::Refused(Refused::Wrong)) {
                let about = who.map_or("a token".to_owned(), |user| {
                    user.chars().filter(|c| !c.is_control()).take(64).collect()
                });
                let address = from.map(|ip| ip.to_string());
                let deed = Deed {
                    who: "nobody".into(),
                    address,
                    what: "sign_in_refused",
                    about: Some(about),
                    ..Deed::default()
                };
                state.people.trail().note(deed).await.map_err(problem)?;
            }
            refused(error)
        }
    }
}

/// Nobody is signed in by another page without knowing. Who is no browser says nothing of either kind.
pub(crate) fn here(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let is_browser = headers.contains_key("sec-fetch-site") || headers.contains_key("origin");
    if is_browser && !is_own(method, uri, headers) {
        return Err(Problem::cross_site("the page of another server cannot sign in to this one"));
    }
    Ok(())
}

/// Opens a session for somebody, notes it, and has nothing to say.
pub(crate) async fn open(
    state: &ApiState,
    principal: Principal,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    what: &'static str,
) -> Result<Response, Problem> {
    let cookie = opened(state, principal, from, headers, what).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// Opens a session for somebody, and notes it: its cookie.
pub(crate) async fn opened(
    state: &ApiState,
    principal: Principal,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    what: &'static str,
) -> Result<String, Problem> {
    let browser = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let browser: String =
        browser.unwrap_or_default().chars().filter(|c| !c.is_control()).take(BROWSER).collect();
    let address = from.map(|ip| ip.to_string()).unwrap_or_default();
    let about = Some(browser.clone());
    let deed = Deed {
        who: principal.name.clone(),
        address: from.map(|ip| ip.to_string()),
        what,
        about,
        ..Deed::default()
    };
    let new = NewSession { who: state.people.maker(&principal), address, browser };
    let OpenSession { secret, seconds } = state.sessions.open(new).await.map_err(unavailable)?;
    state.people.trail().note(deed).await.map_err(problem)?;
    Ok(cookie(COOKIE, &secret, seconds))
}

/// Why nobody is signed in.
pub(crate) fn refused(error: PeopleError) -> Result<Response, Problem> {
    let PeopleError::Refused(Refused::TooMany(wait)) = error else { return Err(problem(error)) };
    let seconds = wait.as_secs() + 1;
    let problem = Problem::too_many(format!("too many wrong attempts; try again in {seconds} seconds"));
    Ok(([(RETRY_AFTER, seconds.to_string())], problem).into_response())
}

pub(crate) fn cookie(name: &str, secret: &str, seconds: u64) -> String {
    format!("{name}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}")
}

/// Who is signed in.
#[derive(Serialize)]
pub(crate) struct SignedIn {
    name: String,
    who: String,
    #[serde(serialize_with = "time")]
    since: Micros,
    #[serde(serialize_with = "time")]
    until: Micros,
}

/// The session of this browser.
pub(crate) async fn current(
    Extension(who): Extension<Principal>,
    session: Option<Extension<Session>>,
) -> Result<Json<SignedIn>, Problem> {
    let Extension(Session { name, since, until, .. }) = session.ok_or_else(none)?;
    let who = who.name;
    Ok(Json(SignedIn { name, who, since, until }))
}

/// Ends the session of this browser.
pub(crate) async fn sign_out(
    State(state): State<ApiState>,
    session: Option<Extension<Session>>,
) -> Result<Response, Problem> {
    let Extension(session) = session.ok_or_else(none)?;
    state.sessions.end(&session.name).await.map_err(unavailable)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie(COOKIE, "", 0))]).into_response())
}

fn none() -> Problem {
    Problem::not_found_thing("this was asked with a token, without a session")
}

/// Sessions that have not ended: his own, or all to those who say who may what.
pub(crate) async fn list(
    State(state): State<ApiState>,
    Extension(who): Extension<Principal>,
) -> Json<Vec<SessionInfo>> {
    let mut sessions = state.sessions.list();
    sessions.retain(|session| may_end(&session.who, &who));
    Json(sessions)
}

fn may_end(owner: &str, who: &Principal) -> bool {
    owner == who.name || (who.role == Role::Admin && who.scope.is_none())
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
    Extension(who): Extension<Principal>,
    Body(body): Body<Revoke>,
) -> Result<Json<Revoked>, Problem> {
    let sessions = state.sessions.list();
    let is_his = sessions.iter().any(|session| session.name == body.session && may_end(&session.who, &who));
    if is_his && state.sessions.end(&body.session).await.map_err(unavailable)? {
        return Ok(Json(Revoked { revoked: body.session }));
    }
    let name: String = body.session.chars().take(80).collect();
    Err(Problem::not_found_thing(format!("there is no session `{name}`")))
}

fn unavailable(e: Unavailable) -> Problem {
    Problem::internal(StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer; try again", &e)
}
