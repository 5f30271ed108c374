//! Who may what: every operation as nobody, as every role, and within a scope; and how people get in.

use crate::firewall::firewall;
use crate::support::*;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bartizan_model::Role::{self, Admin, Analyst, Operator, Viewer};
use bartizan_people::{AuditPage, NewUser};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What each operation needs, and whether it is about everything, so that a scope forbids it. An operation that is not
/// here fails the test: whoever adds one says here who may.
const NEEDS: &[(Option<Role>, bool, &[&str])] = &[
    (None, false, &["health", "sign_in", "invitation", "provider", "provider_begin", "provider_finish"]),
    (
        Some(Viewer),
        false,
        &[
            "search",
            "count",
            "top",
            "histogram",
            "distinct",
            "spread",
            "facets",
            "compare",
            "losses",
            "ledger",
            "rules",
            "rules_history",
            "rules_hits",
            "event",
            "tail",
            "unparsed",
            "filter_check",
            "queries",
            "queries_cancel",
            "hosts",
            "senders",
            "sets",
            "groups",
            "enrich_lookup",
            "views",
            "keep_view",
            "views_delete",
            "retention",
            "openapi",
            "session",
            "sign_out",
            "sessions",
            "sessions_revoke",
            "me",
            "me_password",
            "me_totp",
            "me_totp_confirm",
            "me_totp_remove",
            "access",
            "make_access",
            "access_revoke",
        ],
    ),
    (Some(Viewer), true, &["enrich", "imports", "lake", "lake_holds", "metrics", "authority"]),
    (Some(Analyst), false, &["export", "sql"]),
    (
        Some(Operator),
        true,
        &[
            "tokens",
            "make_token",
            "tokens_revoke",
            "hosts_revoke",
            "hosts_retire",
            "hosts_rename",
            "hosts_approve",
            "configure",
            "configurations_history",
            "configurations_rollback",
            "open_import",
            "imports_rows",
            "imports_finish",
            "lake_verify",
            "lake_compact",
            "lake_vacuum",
            "lake_retain",
            "lake_erasures",
            "hold",
            "lake_holds_release",
        ],
    ),
    (
        Some(Admin),
        true,
        &[
            "lake_erase",
            "authority_rotate",
            "lake_backup",
            "users",
            "add_user",
            "users_change",
            "users_invite",
            "users_delete",
            "audit",
            "audit_verify",
        ],
    ),
];

/// Every operation of the document: its name, its method and its path.
fn operations() -> Vec<(String, Method, String)> {
    let document = bartizan_api::document();
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let method = method.to_uppercase().parse().unwrap();
            all.push((id, method, format!("/api/v1{}", path.replace("{id}", &"0".repeat(32)))));
        }
    }
    all
}

async fn asked(server: &Server, method: &Method, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if method == Method::POST {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    // No question: what matters is whether it is looked at.
    let response = server.send(request.body(Body::from("[]")).unwrap()).await;
    let status = response.status();
    if status == StatusCode::OK {
        return (status, String::new());
    }
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&text).unwrap_or_default();
    (status, problem["type"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn every_operation_is_for_those_it_is_for() {
    let needs: BTreeMap<&str, (Option<Role>, bool)> =
        NEEDS.iter().flat_map(|(role, whole, ids)| ids.iter().map(|id| (*id, (*role, *whole)))).collect();
    let server = server().await;
    let mut askers = Vec::new();
    for role in Role::ALL {
        askers.push((role, false, server.token(role, "", true).await));
        askers.push((role, true, server.token(role, "host:web1", true).await));
    }
    let all = operations();
    assert_eq!(all.len(), needs.len(), "an operation is here that is gone");
    for (id, method, path) in all {
        let (needed, whole) = *needs.get(id.as_str()).unwrap_or_else(|| panic!("who may `{id}`?"));
        let (status, _) = asked(&server, &method, &path, None).await;
        assert_eq!(status == StatusCode::UNAUTHORIZED, needed.is_some(), "{id} as nobody: {status}");
        let (status, _) = asked(&server, &method, &path, Some("wrong")).await;
        assert_eq!(status == StatusCode::UNAUTHORIZED, needed.is_some(), "{id} with a wrong token: {status}");
        for (role, scoped, token) in &askers {
            let may = needed.is_none_or(|needed| *role >= needed) && !(whole && *scoped);
            let (status, kind) = asked(&server, &method, &path, Some(token)).await;
            let refused = status == StatusCode::FORBIDDEN && kind == "urn:bartizan:forbidden";
            assert_eq!(refused, !may, "{id} as {role}, scope {scoped}: {status} {kind}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{id} as {role}");
        }
    }
}

async fn as_holder(server: &Server, token: &str, path: &str, body: Value) -> (StatusCode, String) {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let (status, _, text) = server.text(request).await;
    (status, text)
}

#[tokio::test]
async fn nothing_outside_of_a_scope_is_seen() {
    let server = server().await;
    let narrow = server.token(Admin, "host:web1", true).await;
    let all = server.token(Admin, "", true).await;
    let first = json!({"filter": "", "limit": 1, "columns": ["id", "host"]});
    let (_, text) = as_holder(&server, &all, "/api/v1/search", first).await;
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["host"], "web2", "the latest is of the other host");
    for (path, body) in [
        ("/api/v1/search", json!({"filter": ""})),
        ("/api/v1/search", json!({"filter": "host:web2 OR dport:443"})),
        ("/api/v1/search", json!({"filter": "-host:web1"})),
        ("/api/v1/count", json!({"filter": ""})),
        ("/api/v1/count", json!({"filter": "host:web2"})),
        ("/api/v1/top", json!({"filter": "", "by": ["host"]})),
        ("/api/v1/histogram", json!({"filter": "", "bucket_seconds": 60, "by": ["host"]})),
        ("/api/v1/distinct", json!({"filter": "", "by": "action", "of": "host"})),
        ("/api/v1/spread", json!({"filter": "", "ports": 0, "hosts": 0})),
        ("/api/v1/facets", json!({"filter": "", "fields": ["host", "dport"]})),
        (
            "/api/v1/compare",
            json!({"filter": "", "by": ["host"], "since": NOW - 1, "until": NOW + 9_000_000}),
        ),
        ("/api/v1/export", json!({"filter": ""})),
        ("/api/v1/export", json!({"filter": "", "format": "logemu"})),
        ("/api/v1/sql", json!({"query": "SELECT host, dport, count(*) FROM events GROUP BY host, dport"})),
        ("/api/v1/unparsed", json!({})),
    ] {
        let (_, seen) = as_holder(&server, &narrow, path, body.clone()).await;
        assert!(!seen.contains("web2") && !seen.contains("443"), "{path} {body}: {seen}");
        let (_, seen) = as_holder(&server, &all, path, body.clone()).await;
        // So that each of these would show it.
        let shows = seen.contains("web2") || seen.contains("443") || seen.contains("\"rows\":3");
        assert!(
            shows || !matches!(path, "/api/v1/search" | "/api/v1/export" | "/api/v1/sql"),
            "{path} {body}: {seen}"
        );
    }
    let count = |token| as_holder(&server, token, "/api/v1/count", json!({"filter": ""}));
    assert!(count(&narrow).await.1.contains("\"rows\":2") && count(&all).await.1.contains("\"rows\":3"));
    let other = server.token(Viewer, "host:web2", true).await;
    let (_, lost) = as_holder(&server, &other, "/api/v1/losses", json!({"filter": ""})).await;
    assert!(!lost.contains("web1"), "{lost}");

    let hosts = |token: &str| {
        Request::get("/api/v1/hosts")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
    };
    let (_, _, seen) = server.text(hosts(&narrow).unwrap()).await;
    assert!(seen.contains("\"name\":\"web1\""), "{seen}");
    let (_, _, seen) = server.text(hosts(&other).unwrap()).await;
    assert_eq!(seen, "[]");
}

#[tokio::test]
async fn an_event_and_rules_outside_of_a_scope_are_not_there() {
    let (server, _) = firewall().await;
    let events = server.lines("/api/v1/export", json!({"filter": ""})).await;
    let event = json!({"id": events[1]["id"]});
    for (scope, want) in [("host:web1", StatusCode::OK), ("host:db*", StatusCode::NOT_FOUND)] {
        let token = server.token(Admin, scope, true).await;
        assert_eq!(as_holder(&server, &token, "/api/v1/event", event.clone()).await.0, want, "{scope}");
        for path in ["/api/v1/rules", "/api/v1/rules/hits"] {
            let (status, text) = as_holder(&server, &token, path, json!({"host": "web1"})).await;
            assert_eq!(status, want, "{scope} {path}: {text}");
        }
    }
}

#[tokio::test]
async fn a_tail_shows_what_is_in_sight() {
    let server = server().await;
    let narrow = server.token(Viewer, "host:web1", false).await;
    let request = Request::post("/api/v1/tail")
        .header(header::AUTHORIZATION, format!("Bearer {narrow}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{\"filter\":\"\"}"))
        .unwrap();
    let response = server.send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    for host in ["web2", "web1"] {
        server.feed.publish(events(1, NOW + 6_000_000, 8022, host));
    }
    let mut pieces = response.into_body().into_data_stream();
    let mut seen = String::new();
    while !seen.contains("event: row") {
        let piece = futures::StreamExt::next(&mut pieces).await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(seen.contains("web1") && !seen.contains("web2"), "{seen}");
}

#[tokio::test]
async fn what_packets_say_is_a_permission_of_its_own() {
    let server = server().await;
    let blind = server.token(Admin, "", false).await;
    for (path, body) in [
        ("/api/v1/search", json!({"filter": "raw:*"})),
        ("/api/v1/search", json!({"filter": "", "columns": ["raw"]})),
        ("/api/v1/search", json!({"filter": "", "columns": ["time", "payload"]})),
        ("/api/v1/count", json!({"filter": "dport:22 -raw:x"})),
        ("/api/v1/top", json!({"filter": "", "by": ["raw"]})),
        ("/api/v1/facets", json!({"filter": "", "fields": ["dport", "raw"]})),
        ("/api/v1/distinct", json!({"filter": "", "by": "src", "of": "raw"})),
        ("/api/v1/search", json!({"table": "lines", "filter": "text:*"})),
        ("/api/v1/tail", json!({"filter": "raw:*"})),
        ("/api/v1/unparsed", json!({})),
        ("/api/v1/export", json!({"filter": "", "payload": true})),
    ] {
        let (status, text) = as_holder(&server, &blind, path, body.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path} {body}: {text}");
        assert!(text.contains("no permission"), "{text}");
    }
    let (status, text) = as_holder(&server, &blind, "/api/v1/search", json!({"filter": ""})).await;
    assert_eq!((status, text.lines().count()), (StatusCode::OK, 4));
}

#[tokio::test]
async fn a_scope_that_cannot_be_read_any_more_shows_nothing() {
    let server = server().await;
    let lost = server.token(Admin, "group:gone", true).await;
    let (status, text) = as_holder(&server, &lost, "/api/v1/count", json!({"filter": ""})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    assert!(text.contains("cannot be read any more"), "{text}");
}

fn json_post(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

async fn told(server: &Server, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let (head, body) = server.send(request).await.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, serde_json::from_slice(&text).unwrap_or(Value::Null))
}

fn by_cookie(method: Method, path: &str, cookie: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn cookie(headers: &HeaderMap) -> String {
    headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn somebody_is_invited_chooses_a_password_and_signs_in() {
    let server = server().await;
    let new = json!({"name": "anna", "role": "viewer", "scope": "host:web1"});
    let (status, invited) = server.ask("/api/v1/users", new.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{invited}");
    assert_eq!(server.ask("/api/v1/users", new).await.0, StatusCode::CONFLICT);
    let (code, good) = (&invited["code"], "pale horse under the wire");
    let accept =
        |password: &str| json_post("/api/v1/invitation", &json!({"code": code, "password": password}));
    let (status, _, problem) = told(&server, accept("Password1234!")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let (status, headers, _) = told(&server, accept(good)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(told(&server, accept(good)).await.0, StatusCode::UNAUTHORIZED, "once");

    let first = cookie(&headers);
    let (_, _, me) = told(&server, by_cookie(Method::GET, "/api/v1/me", &first, &json!({}))).await;
    let want = json!({
        "name": "anna", "kind": "user", "role": "viewer", "scope": "host:web1", "payload": false, "totp": false,
        "provided": false,
    });
    assert_eq!(me, want);

    let sign_in =
        |password: &str| json_post("/api/v1/session", &json!({"user": "Anna", "password": password}));
    assert_eq!(told(&server, sign_in("pale horse under the wird")).await.0, StatusCode::UNAUTHORIZED);
    let (status, headers, _) = told(&server, sign_in(good)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let second = cookie(&headers);

    // Another password: this session stays, the other ends.
    let change = json!({"old": good, "new": "seven quiet lamps at sea"});
    let changed = by_cookie(Method::POST, "/api/v1/me/password", &second, &change);
    assert_eq!(told(&server, changed).await.0, StatusCode::NO_CONTENT);
    let is_in = async |cookie: &str| {
        told(&server, by_cookie(Method::GET, "/api/v1/me", cookie, &json!({}))).await.0 == StatusCode::OK
    };
    assert!(is_in(&second).await && !is_in(&first).await);
    assert_eq!(told(&server, sign_in(good)).await.0, StatusCode::UNAUTHORIZED);

    // Shut out, nothing counts any more.
    let (status, user) = server.ask("/api/v1/users/change", json!({"name": "anna", "disabled": true})).await;
    assert_eq!((status, &user["disabled"]), (StatusCode::OK, &json!(true)));
    assert!(!is_in(&second).await);
    assert_eq!(told(&server, sign_in("seven quiet lamps at sea")).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_was_done_is_in_the_log_without_secrets() {
    let server = server().await;
    server.ask("/api/v1/users", json!({"name": "anna", "role": "viewer"})).await;
    server.ask("/api/v1/users/change", json!({"name": "anna", "role": "operator", "payload": true})).await;
    let (_, made) = server.ask("/api/v1/access", json!({"name": "backup", "role": "viewer"})).await;
    let secret = made["token"].as_str().unwrap().to_owned();
    server.ask("/api/v1/export", json!({"filter": "dport:22"})).await;
    server.ask("/api/v1/export", json!({"filter": "no-such-field:22"})).await;
    server.ask("/api/v1/access/revoke", json!({"name": "backup"})).await;
    told(&server, json_post("/api/v1/session", &json!({"user": "anna", "password": "wrong and long"}))).await;
    let (status, log) = server.ask("/api/v1/audit", json!({"limit": 100})).await;
    assert_eq!(status, StatusCode::OK);
    let what: Vec<_> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(
        what,
        ["sign_in_refused", "access_revoke", "export", "make_access", "users_change", "add_user"]
    );
    let change = &log["entries"][4];
    assert_eq!((&change["who"], &change["about"]), (&json!("local"), &json!("anna")));
    assert_eq!((&change["old"]["role"], &change["new"]["role"]), (&json!("viewer"), &json!("operator")));
    assert_eq!(log["entries"][2]["about"], json!({"filter": "dport:22"}));
    let text = log.to_string();
    assert!(!text.contains(&secret) && !text.contains("wrong and long"), "{text}");
    let (_, seen) = server.ask("/api/v1/audit/verify", json!({})).await;
    assert_eq!((&seen["entries"], &seen["whole"]), (&json!(6), &json!(true)));
    let page = AuditPage { limit: 2, before: Some(3), ..AuditPage::default() };
    let older = server.people.trail().read(&page).await.unwrap();
    assert_eq!(older.iter().map(|entry| entry.id).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_configuration_is_noted_as_it_was_and_as_it_is() {
    let server = server().await;
    let path = "/api/v1/configurations";
    let said = json!({"target": "*", "text": "groups = [6]", "comment": "why"});
    let (status, made) = server.ask(path, said).await;
    assert_eq!(
        (status, &made["who"], &made["text"]),
        (StatusCode::CREATED, &json!("local"), &json!("groups = [6]"))
    );
    let (status, problem) = server.ask(path, json!({"target": "*", "text": "!"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().starts_with("*:1: "), "{problem}");
    let long = json!({"target": "*", "text": "", "comment": "x".repeat(501)});
    assert_eq!(server.ask(path, long).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = server.ask("/api/v1/configurations/rollback", json!({"version": 8})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (_, log) = server.ask("/api/v1/audit", json!({})).await;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{log}");
    assert_eq!((&entries[0]["what"], &entries[0]["about"]), (&json!("configure"), &json!("*")));
    assert_eq!(
        (&entries[0]["old"]["text"], &entries[0]["new"]["text"]),
        (&json!("groups = [5]"), &json!("groups = [6]"))
    );
}

#[tokio::test]
async fn a_token_is_never_more_than_its_maker() {
    let server = server().await;
    let new =
        |role| NewUser { name: format!("u-{role}"), role, scope: Some("host:web1".into()), payload: false };
    let invitation = server.people.add(new(Operator)).await.unwrap();
    let who = server.people.accept(&invitation.code, "pale horse under the wire").await.unwrap();
    let (_, headers, _) = told(
        &server,
        json_post("/api/v1/session", &json!({"user": who.name, "password": "pale horse under the wire"})),
    )
    .await;
    let cookie = cookie(&headers);
    let make =
        async |body: Value| told(&server, by_cookie(Method::POST, "/api/v1/access", &cookie, &body)).await;
    for body in [
        json!({"name": "a", "role": "admin"}),
        json!({"name": "a", "payload": true}),
        json!({"name": "a", "service": true}),
    ] {
        assert_eq!(make(body.clone()).await.0, StatusCode::FORBIDDEN, "{body}");
    }
    let (status, _, made) = make(json!({"name": "mine", "scope": "dport:22"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY.min(StatusCode::BAD_REQUEST), "{made}");
    let (status, _, made) = make(json!({"name": "mine"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = made["token"].as_str().unwrap().to_owned();
    let count = async || as_holder(&server, &token, "/api/v1/count", json!({"filter": ""})).await;
    assert!(count().await.1.contains("\"rows\":2"));
    // It follows him.
    server.ask("/api/v1/users/change", json!({"name": who.name, "scope": "host:web2"})).await;
    assert!(count().await.1.contains("\"rows\":1"));
    server.ask("/api/v1/users/change", json!({"name": who.name, "disabled": true})).await;
    assert_eq!(count().await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn views_are_somebodys_or_everybodys() {
    let server = server().await;
    let [viewer, other] = [server.token(Viewer, "", true).await, server.token(Analyst, "", true).await];
    let view = |name: &str, shared: bool| json!({"name": name, "filter": "dport:22", "shared": shared});
    let keep = async |token: &str, body| as_holder(&server, token, "/api/v1/views", body).await.0;
    assert_eq!(keep(&viewer, view("mine", false)).await, StatusCode::CREATED);
    assert_eq!(keep(&viewer, view("ours", true)).await, StatusCode::FORBIDDEN);
    assert_eq!(keep(&other, view("ours", true)).await, StatusCode::CREATED);
    assert_eq!(keep(&other, view("mine", false)).await, StatusCode::CONFLICT, "of somebody else");
    assert_eq!(keep(&viewer, view("ours", false)).await, StatusCode::FORBIDDEN, "it is everybody's");
    let names = async |token: &str| {
        let request = Request::get("/api/v1/views").header(header::AUTHORIZATION, format!("Bearer {token}"));
        let (_, _, text) = server.text(request.body(Body::empty()).unwrap()).await;
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        list.iter().map(|view| view["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&viewer).await, ["mine", "ours"]);
    assert_eq!(names(&other).await, ["ours"]);
    let (status, _) = as_holder(&server, &viewer, "/api/v1/views/delete", json!({"name": "ours"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
