//! Who asks: by a token in `Authorization`, or by the cookie of a session, which a browser sends by itself and which
//! therefore counts only where the page of this server asked.

use crate::body::drain;
use crate::sessions::{COOKIE, Session};
use crate::{ApiState, BODY_LIMIT, Problem};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE as COOKIES, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bartizan_filter::{Context, Filter};
use bartizan_people::Principal;
use bartizan_query::Sight;
use futures::StreamExt;
use sha2::{Digest, Sha256};

/// Tells those who ask apart where they take turns: whoever has many sessions is one.
#[must_use]
pub fn asker(who: &Principal) -> u64 {
    let digest: [u8; 32] = Sha256::digest(who.name.as_bytes()).into();
    digest.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// What somebody sees: his scope, as names stand for things now.
///
/// # Errors
/// If his scope cannot be read any more, because it names what is gone. Then he sees nothing.
pub fn sight(who: &Principal, names: &Context) -> Result<Sight, Problem> {
    let scope = match &who.scope {
        None => Filter::all(),
        Some(text) => Filter::parse(text, names).map_err(|error| {
            Problem::forbidden(format!("your scope `{text}` cannot be read any more: {}", error.message))
        })?,
    };
    Ok(Sight::new(scope, who.payload))
}

/// Who may ask, and in which session.
struct Admitted {
    who: Principal,
    session: Option<Session>,
}

pub(crate) async fn require(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let admitted = admit(&state, request.method(), request.uri(), request.headers()).await;
    let admitted = admitted.and_then(|admitted| {
        let sight = sight(&admitted.who, &state.names.context())?;
        Ok((admitted, sight))
    });
    let (Admitted { who, session }, sight) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => {
            drain(request.into_body(), BODY_LIMIT).await;
            return problem.into_response();
        }
    };
    if let Err(error) = state.people.used(&who).await {
        tracing::warn!(%error, "the catalog lags behind");
    }
    let id = asker(&who);
    let extensions = request.extensions_mut();
    extensions.insert(who);
    extensions.insert(state.people.trail());
    if let Some(session) = &session {
        extensions.insert(session.clone());
    }
    let answer = bartizan_query::asked_by(id, sight, next.run(request)).await;
    match session {
        Some(session) => ends_with(session, answer),
        None => answer,
    }
}

async fn admit(
    state: &ApiState,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Admitted, Problem> {
    // Whoever sends a token says who asks; a browser adds its cookies to everything.
    if headers.contains_key(AUTHORIZATION) {
        return match bearer(headers) {
            Some(token) => match state.people.holder(token) {
                Some(who) => Ok(Admitted { who, session: None }),
                None => Err(Problem::unauthorized("the token is not known")),
            },
            None => Err(Problem::unauthorized("`Authorization: Bearer TOKEN` is the one form of it")),
        };
    }
    let text = "a bearer token is needed, `Authorization: Bearer TOKEN`, or a session";
    let secret = cookie(headers, COOKIE).ok_or_else(|| Problem::unauthorized(text))?;
    if !is_own(method, uri, headers) {
        return Err(Problem::cross_site("a session counts only where the page of this server asks"));
    }
    let session = state.sessions.used(secret).await;
    let admitted = session.and_then(|session| {
        let who = state.people.principal(&session.who)?;
        Some(Admitted { who, session: Some(session) })
    });
    admitted.ok_or_else(|| Problem::unauthorized("the session has ended: sign in again"))
}

/// The token of the one `Authorization` header; several of them are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut headers = headers.get_all(AUTHORIZATION).iter();
    let header = headers.next()?;
    if headers.next().is_some() {
        return None;
    }
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The secret in the one cookie of this name; several of them are none.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIES).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(known, _)| *known == name).map(|(_, secret)| secret);
    let secret = ours.next()?;
    ours.next().is_none().then_some(secret)
}

/// Whether a page of this server asks. Every browser of these years says so (`Sec-Fetch-Site`); of one that does not,
/// `Origin` has to name this server. Who types an address into a browser may read.
pub(crate) fn is_own(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?;
        // several: none that could be meant
        Some(if values.next().is_some() { "" } else { value.to_str().unwrap_or_default() })
    };
    match one("sec-fetch-site") {
        Some("same-origin") => true,
        Some("none") => matches!(*method, Method::GET | Method::HEAD),
        Some(_) => false,
        None => {
            let host = uri.authority().map(|authority| authority.as_str()).or_else(|| one(HOST.as_str()));
            let origin = one(ORIGIN.as_str()).and_then(|origin| origin.strip_prefix("https://"));
            matches!((origin, host), (Some(origin), Some(host)) if !host.is_empty() && origin.eq_ignore_ascii_case(host))
        }
    }
}

/// An answer that breaks off when its session ends: who is signed out reads no more.
fn ends_with(session: Session, answer: Response) -> Response {
    // An answer to the question that ended it is whole.
    if *session.ended.borrow() {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let mut ended = session.ended;
    let end = Box::pin(async move { drop(ended.wait_for(|ended| *ended).await) });
    let pieces = futures::stream::unfold(Some((body.into_data_stream(), end)), async |rest| {
        let (mut pieces, mut end) = rest?;
        let piece: Result<Bytes, axum::Error> = tokio::select! {
            biased;
            () = &mut end => return Some((Err(axum::Error::new("the session has ended")), None)),
            piece = pieces.next() => piece?,
        };
        Some((piece, Some((pieces, end))))
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_cookie_is_ours_and_one() {
        for (lines, secret) in [
            (&["__Host-bartizan=abc"] as &[&str], Some("abc")),
            (&["a=b; __Host-bartizan=abc;c=d"], Some("abc")),
            (&["a=b", "__Host-bartizan=a=b"], Some("a=b")),
            (&["__Host-bartizan=abc; __Host-bartizan=abc"], None),
            (&["__Host-bartizan=abc", "__Host-bartizan=d"], None),
            (&["__host-bartizan=abc; X__Host-bartizan=d; __Host-bartizan"], None),
            (&[""], None),
            (&[], None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            assert_eq!(cookie(&headers(&lines), COOKIE), secret, "{lines:?}");
        }
    }

    #[test]
    fn only_a_page_of_this_server_asks_by_cookie() {
        let own = |method: Method, uri: &str, pairs: &[(&'static str, &str)]| {
            is_own(&method, &uri.parse().unwrap(), &headers(pairs))
        };
        let (get, post) = (|| Method::GET, || Method::POST);
        assert!(own(post(), "/", &[("sec-fetch-site", "same-origin")]));
        assert!(own(get(), "/", &[("sec-fetch-site", "none")]));
        assert!(!own(post(), "/", &[("sec-fetch-site", "none")]));
        assert!(!own(Method::DELETE, "/", &[("sec-fetch-site", "none")]));
        for other in ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, none"] {
            let pairs = [("sec-fetch-site", other), ("host", "a:1"), ("origin", "https://a:1")];
            assert!(!own(get(), "/", &pairs), "{other}");
        }
        assert!(!own(get(), "/", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
        assert!(own(post(), "/", &[("host", "a:1"), ("origin", "https://A:1")]));
        assert!(own(post(), "https://a:1/", &[("origin", "https://a:1")]), "HTTP/2 has no Host");
        for (host, origin) in [
            ("a:1", "https://a"),
            ("a:1", "http://a:1"),
            ("a", "https://a.b"),
            ("", "https://"),
            ("null", "null"),
        ] {
            assert!(!own(post(), "/", &[("host", host), ("origin", origin)]), "{host} {origin}");
        }
        assert!(!own(get(), "/", &[("host", "a:1")]), "nobody says who asks");
        assert!(!own(get(), "/", &[]));
    }

    proptest! {
        #[test]
        fn any_header_is_read(value in "\\PC{0,60}|(__Host-bartizan=?|;| |=|,|https://|a){0,12}") {
            if let Ok(value) = axum::http::HeaderValue::from_str(&value) {
                let mut map = HeaderMap::new();
                for name in [COOKIES, ORIGIN, AUTHORIZATION, HOST] {
                    map.insert(name, value.clone());
                }
                let _ = (cookie(&map, COOKIE), bearer(&map), is_own(&Method::POST, &Uri::from_static("/"), &map));
            }
        }
    }
}
