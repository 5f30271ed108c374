//! Questions about rows, hosts and tokens, and who may ask.

use crate::support::*;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use bartizan_api::{NewToken, PROBLEM_JSON};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const OPERATIONS: &[(&str, &str)] = &[
    ("POST", "/api/v1/search"),
    ("POST", "/api/v1/count"),
    ("POST", "/api/v1/top"),
    ("POST", "/api/v1/histogram"),
    ("POST", "/api/v1/distinct"),
    ("POST", "/api/v1/spread"),
    ("POST", "/api/v1/facets"),
    ("POST", "/api/v1/compare"),
    ("POST", "/api/v1/ledger"),
    ("GET", "/api/v1/queries"),
    ("POST", "/api/v1/queries/cancel"),
    ("POST", "/api/v1/losses"),
    ("POST", "/api/v1/export"),
    ("POST", "/api/v1/sql"),
    ("POST", "/api/v1/rules"),
    ("POST", "/api/v1/rules/history"),
    ("POST", "/api/v1/rules/hits"),
    ("POST", "/api/v1/event"),
    ("POST", "/api/v1/tail"),
    ("POST", "/api/v1/filter/check"),
    ("GET", "/api/v1/hosts"),
    ("GET", "/api/v1/senders"),
    ("POST", "/api/v1/unparsed"),
    ("GET", "/api/v1/enrich"),
    ("POST", "/api/v1/enrich/lookup"),
    ("GET", "/api/v1/authority"),
    ("POST", "/api/v1/authority/rotate"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens/revoke"),
    ("POST", "/api/v1/hosts/revoke"),
    ("POST", "/api/v1/hosts/retire"),
    ("POST", "/api/v1/hosts/rename"),
    ("POST", "/api/v1/hosts/approve"),
    ("POST", "/api/v1/imports"),
    ("GET", "/api/v1/imports"),
    ("GET", "/api/v1/sets"),
    ("GET", "/api/v1/views"),
    ("POST", "/api/v1/views"),
    ("POST", "/api/v1/views/delete"),
    ("GET", "/api/v1/groups"),
    ("GET", "/api/v1/retention"),
    ("GET", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/api/v1/sessions"),
    ("POST", "/api/v1/sessions/revoke"),
    ("GET", "/api/v1/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/lake"),
    ("POST", "/api/v1/lake/verify"),
    ("POST", "/api/v1/lake/compact"),
    ("POST", "/api/v1/lake/vacuum"),
    ("POST", "/api/v1/lake/retain"),
    ("POST", "/api/v1/lake/erase"),
    ("GET", "/api/v1/lake/erasures"),
    ("POST", "/api/v1/lake/backup"),
    ("GET", "/api/v1/lake/holds"),
    ("POST", "/api/v1/lake/holds"),
    ("POST", "/api/v1/lake/holds/release"),
    ("POST", "/api/v1/imports/07070707070707070707070707070707/rows?session=1&kind=events&from=0&seq=1"),
    ("POST", "/api/v1/imports/07070707070707070707070707070707/finish"),
];

#[tokio::test]
async fn nothing_answers_without_a_known_token() {
    let server = server().await;
    let strangers =
        [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic YTpi"), Some(TOKEN), Some("Bearer")];
    // Also what does not exist: a stranger does not learn that.
    let more = [
        ("GET", "/api/v1/secret"),
        ("GET", "/api/v1/search"),
        ("DELETE", "/api/v1/hosts"),
        ("PUT", "/api/v1/session"),
    ];
    for (method, path) in OPERATIONS.iter().chain(&more) {
        for authorization in strangers {
            let mut request = Request::builder().method(*method).uri(*path);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let response = server.send(request.body(Body::from("{\"filter\":\"\"}")).unwrap()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} as {authorization:?}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        }
        // Somebody gets something else than 401, or the list above tests nothing.
        let request = Request::builder()
            .method(*method)
            .uri(*path)
            .header(header::AUTHORIZATION, format!("bearer {TOKEN}"));
        let response = server.send(request.body(Body::empty()).unwrap()).await;
        assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn health_answers_everybody() {
    let server = server().await;
    let request = Request::get("/api/v1/health").body(Body::empty()).unwrap();
    let (status, _, text) = server.text(request).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"status":"ok","version":"1.2.3"}"#));
}

#[tokio::test]
async fn a_search_gives_rows_newest_first_and_an_end() {
    let server = server().await;
    let lines = server.lines("/api/v1/search", json!({"filter": ""})).await;
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["host"], "web2");
    assert_eq!(lines[1]["time"], "2026-11-23T05:00:43.000001Z");
    assert_eq!(lines[1]["src"], "2001:db8::1");
    assert_eq!(lines[2]["src"], "192.0.2.1");
    assert_eq!(lines[2]["proto"], "tcp");
    assert_eq!(lines[2]["tcp_flags"], "SYN,ACK");
    assert_eq!(lines[2]["prefix"], "a\"b\n\u{1b}[31m");
    assert!(lines[2].get("sport").is_none(), "nulls are left out");
    let end = &lines[3]["end"];
    assert_eq!((&end["rows"], &end["complete"]), (&json!(3), &json!(true)));
    assert!(end["took_ms"].is_u64());
}

#[tokio::test]
async fn a_search_has_filter_window_limit_and_columns() {
    let server = server().await;
    let search = async |body: Value| {
        let mut lines = server.lines("/api/v1/search", body).await;
        assert_eq!(lines.pop().unwrap()["end"]["complete"], true);
        Value::Array(lines)
    };
    let columns = json!(["host", "dport"]);
    let (web1, web2) = (json!({"host": "web1", "dport": 22}), json!({"host": "web2", "dport": 443}));
    for (body, want) in [
        (json!({"filter": "dport:443", "columns": columns}), json!([web2])),
        (json!({"filter": "-dport:443", "columns": columns}), json!([web1, web1])),
        (json!({"filter": "", "columns": columns, "limit": 2}), json!([web2, web1])),
        (
            json!({"filter": "", "columns": columns, "since": NOW + 1, "until": NOW + 1_000_000}),
            json!([web1]),
        ),
        (json!({"filter": "", "columns": columns, "since": "2026-11-23T05:00:44Z"}), json!([web2])),
        (json!({"filter": "", "columns": columns, "until": "2026-11-23T06:00:43+01:00"}), json!([])),
    ] {
        assert_eq!(search(body.clone()).await, want, "{body}");
    }
}

#[tokio::test]
async fn rows_are_counted_and_grouped() {
    let server = server().await;
    let (status, count) = server.ask("/api/v1/count", json!({"filter": "host:web1"})).await;
    assert_eq!((status, &count["rows"], &count["packets"]), (StatusCode::OK, &json!(2), &json!(6)));
    let (_, count) = server.ask("/api/v1/count", json!({"filter": "", "sources": true})).await;
    let (_, sources) =
        server.ask("/api/v1/top", json!({"filter": "src:*", "by": ["src"], "limit": 100})).await;
    assert_eq!(count["sources"]["about"], sources["rows"].as_array().unwrap().len());
    let (status, _) =
        server.ask("/api/v1/count", json!({"table": "losses", "filter": "", "sources": true})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, top) =
        server.ask("/api/v1/top", json!({"filter": "", "by": ["dport", "proto"], "limit": 5})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(top["columns"], json!(["dport", "proto", "packets", "rows"]));
    assert_eq!(
        top["rows"],
        json!([
            {"dport": 22, "proto": "tcp", "packets": 6, "rows": 2},
            {"dport": 443, "proto": "tcp", "packets": 3, "rows": 1}
        ])
    );
    assert!(top.get("plan").is_none(), "{top}");
    let question = json!({"filter": "", "by": ["dport"], "explain": true});
    let (_, top) = server.ask("/api/v1/top", question).await;
    assert!(top["plan"].as_str().unwrap().contains("rows in memory: "), "{top}");
    let question = json!({"filter": "", "bucket_seconds": 60, "by": ["host"], "explain": true});
    let (status, bars) = server.ask("/api/v1/histogram", question).await;
    assert_eq!(status, StatusCode::OK, "{bars}");
    assert_eq!(bars["columns"], json!(["time", "host", "packets", "rows"]));
    let rows: i64 = bars["rows"].as_array().unwrap().iter().map(|bar| bar["rows"].as_i64().unwrap()).sum();
    assert_eq!(rows, 3, "{bars}");
    assert!(bars["plan"].is_string(), "{bars}");
    let (status, _) = server.ask("/api/v1/histogram", json!({"filter": "", "bucket_seconds": 0})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, problem) = server.ask("/api/v1/top", json!({"filter": "", "by": ["ip"]})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("urn:bartizan:bad-question")));
    assert_eq!(problem["detail"], "`ip` is either of `src`, `dst`: group by one of them");
}

#[tokio::test]
async fn different_values_are_counted() {
    let server = server().await;
    let body = json!({"filter": "", "by": "host", "of": "src", "limit": 5});
    let (status, answer) = server.ask("/api/v1/distinct", body).await;
    assert_eq!((status, &answer["columns"]), (StatusCode::OK, &json!(["host", "distinct", "rows"])));
    assert_eq!(
        answer["rows"],
        json!([{"host": "web1", "distinct": 2, "rows": 2}, {"host": "web2", "distinct": 1, "rows": 1}])
    );
    let (status, answer) =
        server.ask("/api/v1/spread", json!({"filter": "", "ports": 1, "hosts": 1, "since": NOW})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["rows"], json!([{"src": "192.0.2.1", "ports": 2, "hosts": 2, "rows": 2}]));
    let (status, problem) =
        server.ask("/api/v1/distinct", json!({"filter": "", "by": "host", "of": "port"})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("urn:bartizan:bad-question")));
}

/// The one file of the events is gone; the row in memory is answered, and every answer says that it is not all.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_of() {
    let server = server().await;
    let events = server._dir.path().join("events");
    let mut day = std::fs::read_dir(&events).unwrap().map(|e| e.unwrap().path());
    let day = day.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("date=")).unwrap();
    std::fs::remove_file(std::fs::read_dir(day).unwrap().next().unwrap().unwrap().path()).unwrap();

    let lines = server.lines("/api/v1/search", json!({"filter": "", "columns": ["host"]})).await;
    assert_eq!((lines.len(), &lines[0]), (2, &json!({"host": "web2"})));
    let end = &lines[1]["end"];
    assert_eq!((&end["rows"], &end["complete"]), (&json!(1), &json!(false)));
    assert_eq!(end["problem"]["type"], "urn:bartizan:incomplete");
    let detail = end["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("events/date=") && detail.contains("(missing)"), "{detail}");
    for (path, body) in [
        ("/api/v1/count", json!({"filter": "dport:1-999"})),
        ("/api/v1/top", json!({"filter": "", "by": ["host"]})),
        ("/api/v1/distinct", json!({"filter": "", "by": "host", "of": "src"})),
        ("/api/v1/spread", json!({"filter": "", "ports": 0, "hosts": 0})),
    ] {
        let (status, answer) = server.ask(path, body).await;
        assert_eq!((status, &answer["complete"]), (StatusCode::OK, &json!(false)), "{path} {answer}");
        assert_eq!(answer["problem"]["type"], "urn:bartizan:incomplete");
        let rows = &answer["rows"];
        assert!(*rows == json!(1) || rows.as_array().is_some_and(|rows| rows.len() == 1), "{answer}");
    }
    // A file that would not be whole breaks off.
    let body = json!({"filter": "", "format": "parquet"}).to_string();
    let response = server.send(post("/api/v1/export", &body)).await;
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn the_ledger_is_told() {
    let server = server().await;
    let lines = server.lines("/api/v1/losses", json!({})).await;
    assert_eq!((&lines[0]["count"], &lines[1]["end"]["rows"]), (&json!(9), &json!(1)));
    assert_eq!(server.lines("/api/v1/losses", json!({"host": "web9"})).await.len(), 1);
    assert_eq!(server.lines("/api/v1/losses", json!({"since": NOW + 1})).await.len(), 1);
}

#[tokio::test]
async fn everything_is_exported_oldest_first() {
    let server = server().await;
    let lines = server.lines("/api/v1/export", json!({"filter": "", "columns": ["dport", "id"]})).await;
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], json!({"dport": 22, "id": "x/0/0"}));
    assert_eq!((&lines[2]["dport"], &lines[3]["end"]["complete"]), (&json!(443), &json!(true)));
    let lines = server.lines("/api/v1/export", json!({"table": "losses", "filter": "count:9"})).await;
    assert_eq!((&lines[0]["count"], lines.len()), (&json!(9), 2));
    let lines = server.lines("/api/v1/export", json!({"filter": "", "payload": true})).await;
    assert_eq!(lines.len(), 1, "no event has one");
    for (format, kind, first) in [
        ("parquet", "application/vnd.apache.parquet", b"PAR1".as_slice()),
        ("arrow", "application/vnd.apache.arrow.stream", &[0xff; 4]),
    ] {
        let body = json!({"filter": "host:web1", "format": format}).to_string();
        let response = server.send(post("/api/v1/export", &body)).await;
        assert_eq!(
            (response.status(), &response.headers()[header::CONTENT_TYPE]),
            (StatusCode::OK, &kind.parse().unwrap())
        );
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes.starts_with(first) && bytes.len() > 500, "{format}: {} bytes", bytes.len());
    }
}

#[tokio::test]
async fn events_are_exported_as_the_lines_of_logemu() {
    let server = server().await;
    let lines = async |body: Value| {
        let response = server.send(post("/api/v1/export", &body.to_string())).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let (status, text) = lines(json!({"filter": "", "format": "logemu"})).await;
    let all: Vec<_> = text.lines().collect();
    assert_eq!((status, all.len()), (StatusCode::OK, 3), "{text}");
    assert!(all.iter().all(|line| line.contains(" IN= OUT= MAC=")), "{text}");
    assert!(all[0].starts_with("Nov 23 05:00:43 web1 ") && all[2].contains(" web2 "), "{text}");
    assert!(all[0].contains(" SRC=192.0.2.1 ") && all[1].contains(" SRC=2001:db8::1 "), "{text}");
    let (_, text) = lines(json!({"filter": "dport:443", "format": "logemu", "zone": "Asia/Kolkata"})).await;
    assert!(text.starts_with("Nov 23 10:30:4") && text.lines().count() == 1, "{text}");
    let (status, text) = lines(json!({"filter": "", "format": "logemu", "zone": "Moon/Far"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let (status, text) = lines(json!({"table": "losses", "filter": "", "format": "logemu"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
}

#[tokio::test]
async fn a_filter_is_of_its_table() {
    let server = server().await;
    let (status, problem) = server.ask("/api/v1/search", json!({"table": "flows", "filter": "len:9"})).await;
    assert_eq!((status, &problem["proposal"]), (StatusCode::BAD_REQUEST, &json!("bytes:9")), "{problem}");
    let (status, count) = server.ask("/api/v1/count", json!({"table": "losses", "filter": "stage:x"})).await;
    assert_eq!((status, &count["rows"], &count["count"]), (StatusCode::OK, &json!(1), &json!(9)));
    let (status, checked) =
        server.ask("/api/v1/filter/check", json!({"table": "counters", "filter": "kind:rule"})).await;
    assert_eq!((status, checked), (StatusCode::OK, json!({"filter": "kind:rule"})));
}

#[tokio::test]
async fn hosts_are_listed_and_tokens_made() {
    let server = server().await;
    let (status, _, text) = server.text(get("/api/v1/hosts")).await;
    assert_eq!(status, StatusCode::OK);
    let want = json!([{
        "name": "web1", "id": "07070707070707070707070707070707", "first_seen": "2026-11-23T05:00:43.000000Z",
        "last_contact": null, "last_event": "2026-11-23T05:00:43.000001Z", "events": 3, "lost": 1,
        "cert_not_after": null, "clock_offset_ms": -1500, "clone_seen": "2026-11-23T05:00:43.000002Z",
        "state": "online", "reports": "agent", "version": "0.1.0", "rate": 1.5, "spool_bytes": 4096, "spool_batches": 2,
        "spool_oldest": "2026-11-23T05:00:43.000000Z", "group": "edge", "waiting_for": null, "refused": 2,
        "refused_at": "2026-11-23T05:00:43.000000Z", "refused_why": "order: batches out of order",
        "config": "refused", "config_wanted": [1, 3], "config_has": [1], "config_why": "too much", "config_held": [],
        "config_after_restart": [],
    }]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);

    let (status, _, text) = server.text(get("/api/v1/senders")).await;
    assert_eq!(status, StatusCode::OK);
    let want = json!([{
        "host": "gw", "sender": "192.0.2.1", "source": "syslog", "messages": 9, "rows": 4, "unparsed": 1, "other": 3,
        "kept": 0, "cut": 1, "over": 1, "first_seen": "2026-11-23T05:00:43.000000Z",
        "last_seen": "2026-11-23T05:00:43.000001Z",
    }]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);

    let new = json!({"uses": 5, "ttl_seconds": 60, "comment": "rack 4", "group": "db", "networks": ["192.0.2.0/24"]});
    let want = json!({"token": "bzj_new", "id": "00c0ffee"});
    assert_eq!(server.ask("/api/v1/tokens", new).await, (StatusCode::CREATED, want));
    let made = NewToken {
        uses: 5,
        ttl_seconds: 60,
        comment: "rack 4".to_owned(),
        group: Some("db".to_owned()),
        networks: vec!["192.0.2.0/24".to_owned()],
        approval: false,
    };
    assert_eq!(*server.fleet.made.lock().unwrap(), [made]);
    let (status, _, text) = server.text(get("/api/v1/tokens")).await;
    assert_eq!(status, StatusCode::OK);
    let mut token = json!({
        "id": "00c0ffee", "state": "good", "comment": "rack 4", "group": "db", "networks": ["192.0.2.0/24"],
        "approval": false, "created": "2026-11-23T05:00:43.000000Z", "expires": "2026-11-23T05:00:43.000001Z",
        "uses_left": 5, "used": 0, "refused": 0,
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!([token.clone()]));
    token["state"] = "revoked".into();
    let revoke = async |id: &str| server.ask("/api/v1/tokens/revoke", json!({ "id": id })).await;
    assert_eq!(revoke("00c0ffee").await, (StatusCode::OK, token));
    assert_eq!(revoke("00c0ff00").await.0, StatusCode::NOT_FOUND);
    for bad in [
        json!({"uses": 0}),
        json!({"ttl_seconds": 0}),
        json!({"ttl_seconds": u64::MAX}),
        json!({"comment": "x".repeat(201)}),
        json!({"group": "d b"}),
        json!({"networks": ["here"]}),
    ] {
        assert_eq!(server.ask("/api/v1/tokens", bad.clone()).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let (status, problem) = server.ask("/api/v1/tokens", json!({"comment": "broken"})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!problem.to_string().contains("secret"), "causes go to the log only");
}

#[tokio::test]
async fn a_host_is_changed_and_told_as_it_was_and_is() {
    let server = server().await;
    let ask = async |what: &str, body: Value| server.ask(&format!("/api/v1/hosts/{what}"), body).await;
    let (status, change) = ask("rename", json!({"host": " web1 ", "name": "web2"})).await;
    let want = json!({
        "id": "07070707070707070707070707070707", "was": {"name": "web1", "state": "in", "group": null},
        "now": {"name": "web2", "state": "in", "group": null},
    });
    assert_eq!((status, change), (StatusCode::OK, want));
    assert_eq!(ask("revoke", json!({"host": "web1"})).await.1["now"]["state"], "revoked");
    assert_eq!(ask("retire", json!({"host": "web1"})).await.1["now"]["state"], "retired");
    assert_eq!(ask("approve", json!({"host": "gw", "replace": true})).await.0, StatusCode::OK);
    assert_eq!(ask("approve", json!({"host": "gw"})).await.0, StatusCode::CONFLICT);
    assert_eq!(ask("revoke", json!({"host": "nobody"})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask("rename", json!({"host": "web1", "name": "a b"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask("rename", json!({"host": "web1"})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn an_authority_follows_another_in_two_steps() {
    let server = server().await;
    let rotate = async |body: Value| server.ask("/api/v1/authority/rotate", body).await;
    let (status, _, text) = server.text(get("/api/v1/authority")).await;
    let want = json!({"pin": "aa", "next": "bb", "renewed": 1, "left": 1, "names": ["web1"]});
    assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (StatusCode::OK, want.clone()));
    assert_eq!(rotate(json!({})).await, (StatusCode::OK, want));
    let (status, problem) = rotate(json!({"finish": true})).await;
    assert_eq!((status, &problem["detail"]), (StatusCode::CONFLICT, &json!("web1 has not renewed")));
    assert_eq!(rotate(json!({"finish": true, "force": true})).await.1["pin"], "bb");
}

#[tokio::test]
async fn a_wrong_filter_is_told_with_its_place_and_a_proposal() {
    let server = server().await;
    for path in ["search", "count", "tail", "filter/check"] {
        let (status, problem) =
            server.ask(&format!("/api/v1/{path}"), json!({"filter": "dport:22 hots:web1"})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(problem["type"], "urn:bartizan:bad-filter");
        assert_eq!(problem["status"], 400);
        let span = &problem["span"];
        let (start, end) = (span["start"].as_u64().unwrap() as usize, span["end"].as_u64().unwrap() as usize);
        assert!("dport:22 hots:web1"[start..end].contains("hots"), "{span}");
        assert_eq!(problem["proposal"], "dport:22 host:web1");
    }
    let (status, checked) =
        server.ask("/api/v1/filter/check", json!({"filter": "dport:ssh  AND host:WEB1"})).await;
    assert_eq!((status, checked), (StatusCode::OK, json!({"filter": "dport:22 host:web1"})));
}

#[tokio::test]
async fn what_is_not_a_question_is_refused_as_a_problem() {
    let server = server().await;
    let big = json!({"filter": "x".repeat(70_000)}).to_string();
    for (path, body, status) in [
        ("search", "{", StatusCode::BAD_REQUEST),
        ("search", "", StatusCode::BAD_REQUEST),
        ("search", "[]", StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"filter":""}{"#, StatusCode::BAD_REQUEST),
        ("search", r#"{"filter":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"limit":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"filter":"","untill":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"filter":"","table":"evnets"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("export", r#"{"filter":"","limit":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("export", r#"{"filter":"","format":"xls"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("rules", r#"{"netns":"blue"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("rules", r#"{"host":"nobody"}"#, StatusCode::NOT_FOUND),
        ("count", r#"{"filter":"","limit":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("top", r#"{"filter":"","by":["src"],"n":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("losses", r#"{"filters":""}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("tail", r#"{"filter":"","since":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("tokens", r#"{"use":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("filter/check", r#"{"filters":""}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"filter":"","since":"soon"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"filter":"","since":2,"until":1}"#, StatusCode::BAD_REQUEST),
        ("search", r#"{"filter":"","limit":0}"#, StatusCode::BAD_REQUEST),
        ("lake/verify", "[]", StatusCode::UNPROCESSABLE_ENTITY),
        ("search", r#"{"filter":"","columns":["sauce"]}"#, StatusCode::BAD_REQUEST),
        ("search", r#"{"filter":"","columns":[]}"#, StatusCode::BAD_REQUEST),
        ("search", big.as_str(), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let shown = &body[..body.len().min(60)];
        let (got, kind, text) = server.text(post(&format!("/api/v1/{path}"), body)).await;
        assert_eq!((got, kind.as_str()), (status, PROBLEM_JSON), "{path} {shown}: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], status.as_u16());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    let (_, problem) = server.ask("/api/v1/search", json!({"filter": "", "untill": 1})).await;
    assert!(problem["detail"].as_str().unwrap().contains("untill"), "{problem}");

    let mut plain = post("/api/v1/search", r#"{"filter":""}"#);
    plain.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(server.text(plain).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (request, status) in [
        (get("/api/v1/search"), StatusCode::METHOD_NOT_ALLOWED),
        (post("/api/v1/health", ""), StatusCode::METHOD_NOT_ALLOWED),
        (get("/api/v1/nothing"), StatusCode::NOT_FOUND),
        (get("/elsewhere"), StatusCode::NOT_FOUND),
    ] {
        let uri = request.uri().clone();
        let (got, kind, _) = server.text(request).await;
        assert_eq!((got, kind.as_str()), (status, PROBLEM_JSON), "{uri}");
    }
}

#[tokio::test]
async fn what_is_known_of_addresses_is_told() {
    let server = server().await;
    let asked = json!({"addresses": ["192.0.2.1", "2001:db8::1"]});
    let (status, found) = server.ask("/api/v1/enrich/lookup", asked).await;
    let known = |address: &str| json!({"address": address, "country": null, "asn": null, "as_name": null, "sets": []});
    assert_eq!((status, found), (StatusCode::OK, json!([known("192.0.2.1"), known("2001:db8::1")])));
    let (status, problem) = server.ask("/api/v1/enrich/lookup", json!({"addresses": ["web"]})).await;
    assert_eq!((status, &problem["detail"]), (StatusCode::BAD_REQUEST, &json!("`web` is no address")));
    let (_, _, text) = server.text(get("/api/v1/enrich")).await;
    assert_eq!(text, r#"{"files":[],"sets":[]}"#);
}

#[tokio::test]
async fn views_are_kept() {
    let server = server().await;
    let list = async |path: &str| -> Value {
        let (_, _, text) = server.text(get(path)).await;
        serde_json::from_str(&text).unwrap()
    };
    let view = json!({"name": "ssh", "filter": "dport:ssh   src:public", "columns": ["time", "src", "id"], "since": "1h"});
    assert_eq!(server.ask("/api/v1/views", view).await, (StatusCode::CREATED, json!({"name": "ssh"})));
    let kept = list("/api/v1/views").await;
    let (_, checked) = server.ask("/api/v1/filter/check", json!({"filter": "dport:ssh src:public"})).await;
    assert_eq!(
        (&kept[0]["filter"], &kept[0]["shared"]),
        (&checked["filter"], &json!(false)),
        "as it is printed"
    );
    for wrong in [
        json!({"name": "ssh", "filter": "dport:nowhere"}),
        json!({"name": "", "filter": ""}),
        json!({"name": " x", "filter": ""}),
        json!({"name": "a\u{1b}[31m", "filter": ""}),
        json!({"name": "x".repeat(65), "filter": ""}),
        json!({"name": "x", "filter": "", "columns": ["sauce"]}),
        json!({"name": "x", "filter": "", "since": "y".repeat(65)}),
        json!({"name": "x", "table": "flows", "filter": "", "columns": ["prefix"]}),
    ] {
        assert_eq!(server.ask("/api/v1/views", wrong.clone()).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let gone = server.ask("/api/v1/views/delete", json!({"name": "ssh"})).await;
    assert_eq!(gone, (StatusCode::OK, json!({"removed": "ssh"})));
    assert_eq!(server.ask("/api/v1/views/delete", json!({"name": "ssh"})).await.0, StatusCode::NOT_FOUND);

    assert_eq!(list("/api/v1/groups").await, json!([{"name": "edge", "hosts": ["gw1", "gw2*"]}]));
    let rule = json!({"table": "events", "filter": "action:accept", "days": 7});
    assert_eq!(list("/api/v1/retention").await, json!({"rules": [rule], "max_bytes": null}));
    assert_eq!(list("/api/v1/sets").await, json!([]));
}
