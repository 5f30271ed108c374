//! Browsers sign in, ask by their cookie, and sign out.

use crate::support::*;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bartizan_api::{Asker, Sessions};
use http_body_util::BodyExt;
use serde_json::{Value, json};

fn json_post(path: &str) -> Builder {
    Request::post(path).header(header::CONTENT_TYPE, "application/json")
}

fn sign_in(token: &str) -> Request<Body> {
    let body = json!({"token": token}).to_string();
    json_post("/api/v1/session").header(header::USER_AGENT, "A\tbrowser").body(Body::from(body)).unwrap()
}

fn from(mut request: Request<Body>, address: &str) -> Request<Body> {
    request.extensions_mut().insert(Asker(address.parse().unwrap()));
    request
}

fn own(builder: Builder, secret: &str) -> Builder {
    builder
        .header(header::COOKIE, format!("a=b; __Host-bartizan={secret}"))
        .header("sec-fetch-site", "same-origin")
}

async fn told(server: &Server, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let (head, body) = server.send(request).await.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, serde_json::from_slice(&text).unwrap_or(Value::Null))
}

async fn by_cookie(server: &Server, builder: Builder, secret: &str) -> (StatusCode, HeaderMap, Value) {
    told(server, own(builder, secret).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_browser_signs_in_asks_and_signs_out() {
    let server = server().await;
    let (status, headers, _) = told(&server, from(sign_in(&format!(" {TOKEN}\n")), "::ffff:192.0.2.9")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let cookie = "__Host-bartizan=secret-1; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60";
    assert_eq!(headers[header::SET_COOKIE], cookie);
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");

    let (status, _, session) = by_cookie(&server, Request::get("/api/v1/session"), "secret-1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        session,
        json!({"name": "1", "who": "local", "since": "2026-11-23T05:00:43.000000Z", "until": "2026-11-23T05:01:43.000000Z"})
    );
    let search = own(json_post("/api/v1/search"), "secret-1").body(Body::from("{\"filter\":\"\"}")).unwrap();
    let (status, _, text) = server.text(search).await;
    assert_eq!((status, text.lines().count()), (StatusCode::OK, 4));

    let (_, _, list) = by_cookie(&server, Request::get("/api/v1/sessions"), "secret-1").await;
    assert_eq!((&list[0]["address"], &list[0]["browser"]), (&json!("192.0.2.9"), &json!("Abrowser")));
    assert!(!list.to_string().contains("secret"), "{list}");

    assert!(server.fleet.used("secret-1").await.unwrap().who.starts_with("local:"), "with this token");
    let (status, headers, _) = by_cookie(&server, Request::delete("/api/v1/session"), "secret-1").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(headers[header::SET_COOKIE].to_str().unwrap().ends_with("Max-Age=0"));
    let (status, _, problem) = by_cookie(&server, Request::get("/api/v1/session"), "secret-1").await;
    assert_eq!((status, &problem["type"]), (StatusCode::UNAUTHORIZED, &json!("urn:bartizan:unauthorized")));
}

#[tokio::test]
async fn a_session_is_revoked_by_its_name_even_its_own() {
    let server = server().await;
    server.send(sign_in(TOKEN)).await;
    server.send(sign_in(TOKEN)).await;
    let revoke = |name: &str| Body::from(json!({"session": name}).to_string());
    let by_token = post("/api/v1/sessions/revoke", &json!({"session": "2"}).to_string());
    assert_eq!(told(&server, by_token).await.2, json!({"revoked": "2"}));
    assert_eq!(
        by_cookie(&server, Request::get("/api/v1/session"), "secret-2").await.0,
        StatusCode::UNAUTHORIZED
    );
    let own = |name| own(json_post("/api/v1/sessions/revoke"), "secret-1").body(revoke(name)).unwrap();
    assert_eq!(told(&server, own("2")).await.0, StatusCode::NOT_FOUND);
    let (status, _, answer) = told(&server, own("1")).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"revoked": "1"})), "whole, though it was the last");
    assert_eq!(told(&server, own("1")).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_beside_a_cookie_counts_and_has_no_session() {
    let server = server().await;
    server.send(sign_in(TOKEN)).await;
    let both = |token: &str, path: &str| {
        let request =
            own(Request::get(path), "secret-1").header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(told(&server, both("wrong", "/api/v1/hosts")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(told(&server, both(TOKEN, "/api/v1/hosts")).await.0, StatusCode::OK);
    assert_eq!(told(&server, both(TOKEN, "/api/v1/session")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pages_of_others_get_nothing() {
    let server = server().await;
    server.send(sign_in(TOKEN)).await;
    for site in [Some("cross-site"), Some("same-site"), Some("none"), None] {
        for path in ["/api/v1/search", "/api/v1/none"] {
            let mut request = json_post(path).header(header::COOKIE, "__Host-bartizan=secret-1");
            if let Some(site) = site {
                request = request.header("sec-fetch-site", site);
            }
            let (status, _, problem) =
                told(&server, request.body(Body::from("{\"filter\":\"\"}")).unwrap()).await;
            assert_eq!(
                (status, &problem["type"]),
                (StatusCode::FORBIDDEN, &json!("urn:bartizan:cross-site"))
            );
        }
    }
    let typed = Request::get("/api/v1/hosts").header(header::COOKIE, "__Host-bartizan=secret-1");
    let typed = typed.header("sec-fetch-site", "none").body(Body::empty()).unwrap();
    assert_eq!(told(&server, typed).await.0, StatusCode::OK);
    // Nor is somebody signed in by them.
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://elsewhere")] {
        let mut request = sign_in(TOKEN);
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(told(&server, request).await.0, StatusCode::FORBIDDEN, "{name}");
    }
    assert_eq!(server.fleet.list().len(), 1);
}

#[tokio::test]
async fn wrong_tokens_wait_and_questions_are_small() {
    let server = server().await;
    for _ in 0..10 {
        assert_eq!(told(&server, from(sign_in("wrong"), "192.0.2.1")).await.0, StatusCode::UNAUTHORIZED);
    }
    let (status, headers, problem) = told(&server, from(sign_in(TOKEN), "192.0.2.1")).await;
    assert_eq!((status, &problem["status"]), (StatusCode::TOO_MANY_REQUESTS, &json!(429)));
    let wait: u64 = headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(told(&server, from(sign_in(TOKEN), "192.0.2.2")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(told(&server, sign_in(&"x".repeat(2000))).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let form =
        Request::post("/api/v1/session").body(Body::from(format!("{{\"token\":\"{TOKEN}\"}}"))).unwrap();
    assert_eq!(told(&server, form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn what_is_being_answered_breaks_off_when_the_session_ends() {
    let server = server().await;
    server.send(sign_in(TOKEN)).await;
    let tail = own(json_post("/api/v1/tail"), "secret-1").body(Body::from("{\"filter\":\"\"}")).unwrap();
    let response = server.send(tail).await;
    assert_eq!(response.status(), StatusCode::OK);
    let reading = tokio::spawn(response.into_body().collect());
    assert!(server.fleet.end("1").await.unwrap());
    assert!(reading.await.unwrap().is_err(), "an end that looks like one would be a whole answer");
}

/// As after the token was revoked while the server was down.
#[tokio::test]
async fn a_session_ends_with_who_made_it() {
    let server = server().await;
    let new =
        bartizan_api::NewSession { who: "token:gone".into(), address: String::new(), browser: String::new() };
    let secret = Sessions::open(&*server.fleet, new).await.unwrap().secret;
    assert_eq!(
        by_cookie(&server, Request::get("/api/v1/session"), &secret).await.0,
        StatusCode::UNAUTHORIZED
    );
}

/// Everything else of it needs a provider: the walk through a real one is in `e2e/browser/oidc.mjs`.
#[tokio::test]
async fn without_a_provider_nobody_is_sent_anywhere_and_no_other_page_may_try() {
    let server = server().await;
    let request = |path: &str, site: Option<&str>, body: Value| {
        let mut request = json_post(path).header(header::COOKIE, "__Host-bartizan-sign-in=x");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        request.body(Body::from(body.to_string())).unwrap()
    };
    let (status, _, named) =
        told(&server, Request::get("/api/v1/session/provider").body(Body::empty()).unwrap()).await;
    assert_eq!((status, named), (StatusCode::OK, json!({"name": null})));
    let finish = json!({"state": "s", "code": "c".repeat(4000)});
    for (path, body) in
        [("/api/v1/session/provider", json!({"back": "/"})), ("/api/v1/session/provider/finish", finish)]
    {
        for (site, wanted) in [
            (None, StatusCode::NOT_FOUND),
            (Some("same-origin"), StatusCode::NOT_FOUND),
            (Some("cross-site"), StatusCode::FORBIDDEN),
            (Some("same-site"), StatusCode::FORBIDDEN),
            (Some("none"), StatusCode::FORBIDDEN),
        ] {
            let (status, headers, problem) = told(&server, request(path, site, body.clone())).await;
            assert_eq!(status, wanted, "{path} {site:?}: {problem}");
            assert!(!headers.contains_key(header::SET_COOKIE), "{path} {site:?}");
        }
    }
    let long =
        request("/api/v1/session/provider/finish", None, json!({"state": "s", "code": "c".repeat(9000)}));
    assert_eq!(told(&server, long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}
