//! Sign-in by an identity provider: where the browser goes, and what it gets when it comes back.
//!
//! The provider sends the browser to the page (`/sign-in`), which is files and knows nobody; the page asks here with
//! what came along, as it asks for everything. So nothing of the API is ever asked by way of another site, no question
//! changes anything by GET, and the cookie that holds a sign-in to its browser is as strict as that of a session.

use crate::auth::cookie as cookie_of;
use crate::body::Body;
use crate::fleet::unavailable;
use crate::needs::Noting;
use crate::people::{may, problem};
use crate::sessions::{Asker, cookie, here, opened, refused};
use crate::{ApiState, Problem};
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use bartizan_oidc::{Begun, Finished, Grant, Identity, Oidc, OidcError, OidcErrorKind, Returned};
use bartizan_people::{Deed, Entered, PeopleError, Principal, ProvidedSignIn, network};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Instant;

/// The cookie of a sign-in that was begun.
const COOKIE: &str = "__Host-bartizan-sign-in";
/// How long a browser keeps it, in seconds.
const LIFE: u64 = 600;
/// Bytes of what a provider sends a browser back with; the codes of some are long.
pub(crate) const RETURN_LIMIT: usize = 8 << 10;

/// What the provider is called.
#[derive(Serialize)]
pub(crate) struct Named {
    name: Option<String>,
}

/// Whether there is a provider.
pub(crate) async fn named(State(state): State<ApiState>) -> Json<Named> {
    Json(Named { name: state.oidc.map(|oidc| oidc.settings().name.clone()) })
}

/// A sign-in is to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begin {
    back: Option<String>,
}

/// Where the browser goes.
#[derive(Serialize)]
struct Leaving {
    location: String,
}

/// Begins a sign-in.
pub(crate) async fn begin(
    State(state): State<ApiState>,
    asker: Option<Extension<Asker>>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    Body(body): Body<Begin>,
) -> Result<Response, Problem> {
    let (oidc, from) = stranger(&state, asker, &method, &uri, &headers)?;
    if let Err(wait) = state.people.may_try(from, Instant::now()) {
        return refused(wait.into());
    }
    let back = body.back.as_deref().unwrap_or("/");
    let begun = oidc.begin(back, from.map(network), Instant::now()).await;
    let Begun { location, secret } = begun.map_err(|error| told(&error))?;
    Ok(([(SET_COOKIE, cookie(COOKIE, &secret, LIFE))], Json(Leaving { location })).into_response())
}

/// A browser came back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finish {
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Where the page goes on.
#[derive(Serialize)]
struct Back {
    back: String,
}

/// Finishes a sign-in, and opens a session.
pub(crate) async fn finish(
    State(state): State<ApiState>,
    asker: Option<Extension<Asker>>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    Body(body): Body<Finish>,
) -> Result<Response, Problem> {
    let (oidc, from) = stranger(&state, asker, &method, &uri, &headers)?;
    if let Err(wait) = state.people.may_try(from, Instant::now()) {
        return refused(wait.into());
    }
    let returned = Returned {
        state: &body.state,
        code: body.code.as_deref(),
        issuer: body.iss.as_deref(),
        error: body.error.as_deref(),
        words: body.error_description.as_deref(),
    };
    let secret = cookie_of(&headers, COOKIE).unwrap_or_default();
    let Finished { identity, back } = match oidc.finish(returned, secret, Instant::now()).await {
        Ok(finished) => finished,
        Err(error) => {
            if error.kind() == OidcErrorKind::Refused {
                // As a wrong password: who only makes codes up has to wait.
                state.people.tried(from, Instant::now());
                note_refused(&state, from, format!("by {}: {}", oidc.settings().name, chain(&error))).await?;
            }
            return Err(told(&error));
        }
    };
    let who = enter(&state, oidc, &identity, from).await?;
    let session = opened(&state, who, from, &headers, "sign_in_oidc").await?;
    let cookies = [session, cookie(COOKIE, "", 0)].map(|cookie| (SET_COOKIE, cookie));
    Ok((StatusCode::OK, AppendHeaders(cookies), Json(Back { back })).into_response())
}

/// Somebody who is not known yet, at the page of this server: the provider, and his address.
fn stranger<'a>(
    state: &'a ApiState,
    asker: Option<Extension<Asker>>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(&'a Oidc, Option<IpAddr>), Problem> {
    here(method, uri, headers)?;
    let none =
        || Problem::not_found_thing("no identity provider is configured: see `[oidc]` in docs/people.md");
    let oidc = state.oidc.as_deref().ok_or_else(none)?;
    let from = asker.map(|Extension(Asker(ip))| ip.to_canonical());
    Ok((oidc, from))
}

/// Lets somebody in with what his groups give him; who may not is told why, and it is noted.
async fn enter(
    state: &ApiState,
    oidc: &Oidc,
    identity: &Identity,
    from: Option<IpAddr>,
) -> Result<Principal, Problem> {
    let Identity { issuer, subject, name, groups } = identity;
    let label = format!("{name} ({subject})");
    let refuse =
        |why: &str| note_refused(state, from, format!("by {}: {label}: {why}", oidc.settings().name));
    let Some(Grant { role, scope, payload, .. }) = oidc.settings().grant(groups) else {
        // What his groups gave him before ends as well.
        if let Some(name) = state.people.vouches_no_more(issuer, subject).await.map_err(problem)? {
            state.sessions.end_of(&name, None).await.map_err(unavailable)?;
        }
        let why =
            "none of your groups there may use this server: an administrator can name one in `oidc.grant`";
        refuse("no group of his gives him anything").await?;
        return Err(Problem::forbidden(why));
    };
    let attempt = ProvidedSignIn {
        issuer,
        subject,
        name,
        role: *role,
        scope: scope.as_deref(),
        payload: *payload,
        keep: oidc.settings().keep,
        from,
    };
    let Entered { who, old, new } = match state.people.sign_in_provided(attempt).await {
        Ok(entered) => entered,
        Err(error @ PeopleError::Catalog(_)) => return Err(problem(error)),
        Err(error) => {
            refuse(&error.to_string()).await?;
            return Err(problem(error));
        }
    };
    // What he may changed at the provider, and not here: so it did it. No user can be called so.
    let (was, is) = (old.as_ref().map(may), may(&new));
    if was.as_ref() != Some(&is) {
        let by = Principal { name: format!("oidc:{}", oidc.settings().name), ..who.clone() };
        let what = if was.is_some() { "users_change" } else { "add_user" };
        let noting = Noting::new(state.people.trail(), &by, from.map(|ip| Extension(Asker(ip))).as_ref());
        noting.note(what, &who.name, was, Some(is)).await?;
    }
    Ok(who)
}

async fn note_refused(state: &ApiState, from: Option<IpAddr>, about: String) -> Result<(), Problem> {
    let deed = Deed {
        who: "nobody".into(),
        address: from.map(|ip| ip.to_string()),
        what: "sign_in_refused",
        about: Some(about),
        ..Deed::default()
    };
    state.people.trail().note(deed).await.map(drop).map_err(problem)
}

/// What is told to somebody who is not known yet. What concerns provider and network is for the log.
fn told(error: &OidcError) -> Problem {
    match error.kind() {
        OidcErrorKind::Again => Problem::unauthorized(&error.to_string()),
        OidcErrorKind::Wait => Problem::too_many(error.to_string()),
        OidcErrorKind::Refused => Problem::unauthorized(&chain(error)),
        OidcErrorKind::Operator => {
            let what = "the identity provider cannot be asked, or answers what it should not; the server's log says more";
            Problem::internal(StatusCode::BAD_GATEWAY, what, error)
        }
    }
}

fn chain(error: &OidcError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
