//! Every operation, asked as a stranger and as somebody, over real tables.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{
    ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    new_null_array,
};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use bartizan_api::{
    Access, ApiState, Feed, HostInfo, HostState, Hosts, NewToken, PROBLEM_JSON, Tokens, Unavailable, router,
};
use bartizan_filter::Context;
use bartizan_lake::{Options, Tables};
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId, addr_from_ip};
use bartizan_query::{Engine, Limits};
use bartizan_schema::table_schema;
use futures::StreamExt;
use http_body_util::BodyExt;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

const TOKEN: &str = "bzt_0123456789";
/// 2026-11-23T05:00:43Z.
const NOW: i64 = 1_795_410_043_000_000;

struct Fleet {
    made: Mutex<Vec<NewToken>>,
}

#[async_trait]
impl Hosts for Fleet {
    async fn hosts(&self) -> Result<Vec<HostInfo>, Unavailable> {
        Ok(vec![HostInfo {
            name: "web1".to_owned(),
            id: HostId::from_bytes([7; 16]),
            first_seen: Micros(NOW),
            last_contact: None,
            last_event: Some(Micros(NOW + 1)),
            events: 3,
            lost: 1,
            cert_not_after: None,
            clock_offset_ms: Some(-1500),
            clone_seen: Some(Micros(NOW + 2)),
            state: HostState::Online,
        }])
    }
}

#[async_trait]
impl Tokens for Fleet {
    async fn create(&self, new: NewToken) -> Result<String, Unavailable> {
        if new.comment == "broken" {
            return Err(Unavailable("the secret reason".into()));
        }
        self.made.lock().unwrap().push(new);
        Ok("bzj_new".to_owned())
    }
}

struct Server {
    app: Router,
    feed: Arc<Feed>,
    fleet: Arc<Fleet>,
    _dir: tempfile::TempDir,
}

fn times(kind: Kind, rows: usize, first: i64) -> Vec<(&'static str, ArrayRef)> {
    let times = || {
        Arc::new(
            TimestampMicrosecondArray::from_iter_values((0..rows as i64).map(|r| first + r))
                .with_timezone("UTC"),
        ) as ArrayRef
    };
    match kind {
        Kind::Events => vec![("time", times()), ("received", times())],
        Kind::Losses => vec![("time", times()), ("received", times()), ("from", times())],
        Kind::Flows | Kind::Counters | Kind::Rulesets => vec![("time", times()), ("received", times())],
    }
}

/// Rows one microsecond apart, `row` counting; what is not given is null, or `x` or 0 where it must not be.
fn rows(kind: Kind, n: usize, first: i64, given: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    let mut known = times(kind, n, first);
    known.push(("row", Arc::new(Int32Array::from_iter_values(0..n as i32))));
    known.extend(given);
    let schema = table_schema(kind);
    let arrays = schema.fields().iter().map(|f| {
        if let Some((_, array)) = known.iter().rev().find(|(name, _)| name == f.name()) {
            return Arc::clone(array);
        }
        match f.data_type() {
            _ if f.is_nullable() => new_null_array(f.data_type(), n),
            arrow_schema::DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(vec!["x"; n])),
            arrow_schema::DataType::Int64 => Arc::new(Int64Array::from(vec![0; n])),
            other => panic!("{other}"),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap()
}

fn events(n: usize, first: i64, port: i32, host: &str) -> RecordBatch {
    let mut src = FixedSizeBinaryBuilder::new(16);
    for row in 0..n {
        let text = if row % 2 == 0 { "192.0.2.1" } else { "2001:db8::1" };
        src.append_value(addr_from_ip(text.parse().unwrap())).unwrap();
    }
    let given: Vec<(&str, ArrayRef)> = vec![
        ("host", Arc::new(StringViewArray::from_iter_values(vec![host; n]))),
        ("prefix", Arc::new(StringViewArray::from_iter_values(vec!["a\"b\n\u{1b}[31m"; n]))),
        ("src", Arc::new(src.finish())),
        ("dport", Arc::new(Int32Array::from(vec![port; n]))),
        ("proto", Arc::new(Int16Array::from(vec![6; n]))),
        ("tcp_flags", Arc::new(Int16Array::from(vec![18; n]))),
        ("packets", Arc::new(Int64Array::from(vec![3; n]))),
    ];
    rows(Kind::Events, n, first, given)
}

/// A ruleset of web1 that became active; without texts one that was known.
fn ruleset(time: i64, generation: &str, netns: &str, texts: &[(&str, &str)]) -> RecordBatch {
    let n = texts.len().max(1);
    let same = |text: &str| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(vec![text; n])) };
    let part = |at: usize| texts[..at].iter().filter(|(form, _)| *form == texts[at].0).count() as i32;
    let parts = |form: &str| texts.iter().filter(|(f, _)| *f == form).count() as i32;
    let mut given: Vec<(&'static str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from_value(time, n).with_timezone("UTC"))),
        ("host", same("web1")),
        ("generation", same(generation)),
        ("pid", Arc::new(Int64Array::from(vec![77; n]))),
        ("process", same("nft")),
    ];
    if !netns.is_empty() {
        given.push(("netns", same(netns)));
    }
    if !texts.is_empty() {
        given
            .push(("form", Arc::new(StringViewArray::from_iter_values(texts.iter().map(|(form, _)| *form)))));
        given.push((
            "content",
            Arc::new(StringViewArray::from_iter_values(texts.iter().map(|(_, text)| *text))),
        ));
        given.push(("part", Arc::new(Int32Array::from_iter_values((0..n).map(part)))));
        given.push((
            "parts",
            Arc::new(Int32Array::from_iter_values(texts.iter().map(|(form, _)| parts(form)))),
        ));
    }
    rows(Kind::Rulesets, n, time, given)
}

async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
    let now = Micros(NOW);
    let tables = Tables::open(&store, &Options::default(), now).await.unwrap();
    let (events_table, losses_table) = (tables.of(Kind::Events), tables.of(Kind::Losses));
    let stream = StreamId { host: HostId::from_bytes([7; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
    let id = |seq| BatchId { stream, seq: Seq(seq) };
    // Two rows in a file, one hot.
    events_table.append(id(1), vec![events(2, NOW, 22, "web1")], 1000, now).unwrap();
    events_table.commit(now).await.unwrap();
    events_table.append(id(2), vec![events(1, NOW + 1_000_000, 443, "web2")], 1000, now).unwrap();
    let lost = rows(
        Kind::Losses,
        1,
        NOW,
        vec![
            ("host", Arc::new(StringViewArray::from_iter_values(["web1"]))),
            ("count", Arc::new(Int64Array::from(vec![9]))),
        ],
    );
    losses_table.append(id(1), vec![lost], 1000, now).unwrap();

    let rulesets = tables.of(Kind::Rulesets);
    let listings = [
        ruleset(
            NOW,
            "a1",
            "",
            &[("nft", "table inet filter {\n"), ("nft", "}\n"), ("iptables-save", "*filter\n")],
        ),
        ruleset(NOW + 10_000_000, "b2", "", &[("nft", "table inet other {\n}\n")]),
        ruleset(NOW + 15_000_000, "c3", "blue", &[("nft", "blue")]),
        // What was there before is active again: its text is known.
        ruleset(NOW + 20_000_000, "a1", "", &[]),
    ];
    for (seq, listing) in (1..).zip(listings) {
        rulesets.append(id(seq), vec![listing], 1000, now).unwrap();
        if seq == 2 {
            rulesets.commit(now).await.unwrap();
        }
    }

    let feed = Arc::new(Feed::new(16));
    let fleet = Arc::new(Fleet { made: Mutex::default() });
    let app = router(ApiState {
        engine: Arc::new(Engine::new(Arc::new(tables), &Limits::default()).unwrap()),
        hosts: Arc::clone(&fleet) as _,
        tokens: Arc::clone(&fleet) as _,
        live: Arc::clone(&feed) as _,
        names: Arc::new(Arc::new(Context::default())),
        access: Arc::new(Access::new(vec![Access::digest("another"), Access::digest(TOKEN)])),
        version: "1.2.3",
    });
    Server { app, feed, fleet, _dir: dir }
}

fn post(path: &str, body: &str) -> Request<Body> {
    Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}")).body(Body::empty()).unwrap()
}

impl Server {
    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    async fn text(&self, request: Request<Body>) -> (StatusCode, String, String) {
        let response = self.send(request).await;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn ask(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let (status, _, text) = self.text(post(path, &body.to_string())).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn lines(&self, path: &str, body: Value) -> Vec<Value> {
        let (status, kind, text) = self.text(post(path, &body.to_string())).await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/x-ndjson"), "{text}");
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const OPERATIONS: &[(&str, &str)] = &[
    ("POST", "/api/v1/search"),
    ("POST", "/api/v1/count"),
    ("POST", "/api/v1/top"),
    ("POST", "/api/v1/losses"),
    ("POST", "/api/v1/export"),
    ("POST", "/api/v1/rules"),
    ("POST", "/api/v1/rules/history"),
    ("POST", "/api/v1/tail"),
    ("POST", "/api/v1/filter/check"),
    ("GET", "/api/v1/hosts"),
    ("POST", "/api/v1/tokens"),
];

#[tokio::test]
async fn nothing_answers_without_a_known_token() {
    let server = server().await;
    let strangers =
        [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic YTpi"), Some(TOKEN), Some("Bearer")];
    // Also what does not exist: a stranger does not learn that.
    let more = [("GET", "/api/v1/secret"), ("GET", "/api/v1/search"), ("DELETE", "/api/v1/hosts")];
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
    let (status, problem) = server.ask("/api/v1/top", json!({"filter": "", "by": ["ip"]})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("urn:bartizan:bad-question")));
    assert_eq!(problem["detail"], "`ip` is either of `src`, `dst`: group by one of them");
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
async fn the_ruleset_of_a_moment_is_told_with_who_made_it_so() {
    let server = server().await;
    let (status, rules) = server.ask("/api/v1/rules", json!({"host": "WEB1", "at": NOW + 5_000_000})).await;
    assert_eq!(status, StatusCode::OK, "{rules}");
    assert_eq!(
        rules,
        json!({
            "time": "2026-11-23T05:00:43.000000Z", "host": "web1", "netns": "", "generation": "a1", "pid": 77,
            "process": "nft", "notes": [], "forms": [
                {"form": "iptables-save", "text": "*filter\n"}, {"form": "nft", "text": "table inet filter {\n}\n"},
            ],
        })
    );
    for (question, generation, first) in [
        (json!({"at": NOW + 10_000_000}), "b2", "table inet other {\n}\n"),
        (json!({"at": NOW + 19_999_999}), "b2", "table inet other {\n}\n"),
        (json!({}), "a1", "*filter\n"),
        (json!({"netns": "blue"}), "c3", "blue"),
        (json!({"generation": "B2"}), "b2", "table inet other {\n}\n"),
    ] {
        let mut body = question.clone();
        body["host"] = "web1".into();
        let (status, rules) = server.ask("/api/v1/rules", body).await;
        assert_eq!(status, StatusCode::OK, "{question}: {rules}");
        let told = (&rules["generation"], &rules["forms"][0]["text"]);
        assert_eq!(told, (&json!(generation), &json!(first)), "{question}");
    }
    for missing in [
        json!({"host": "web1", "at": NOW - 1}),
        json!({"host": "web2"}),
        json!({"host": "web1", "netns": "red"}),
        json!({"host": "web1", "generation": "c3"}),
    ] {
        let (status, problem) = server.ask("/api/v1/rules", missing.clone()).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::NOT_FOUND, &json!("urn:bartizan:not-found")),
            "{missing}"
        );
    }
}

#[tokio::test]
async fn the_history_of_a_hosts_rulesets_is_told() {
    let server = server().await;
    let history = async |body: Value| {
        let (status, told) = server.ask("/api/v1/rules/history", body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let of = |change: &Value| change["generation"].as_str().unwrap().to_owned();
        told["generations"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(history(json!({"host": "web1"})).await, ["a1", "c3", "b2", "a1"]);
    assert_eq!(history(json!({"host": "web1", "netns": ""})).await, ["a1", "b2", "a1"]);
    assert_eq!(history(json!({"host": "web1", "limit": 2})).await, ["a1", "c3"]);
    assert_eq!(history(json!({"host": "web1", "until": NOW + 1})).await, ["a1"]);
    assert!(history(json!({"host": "web9"})).await.is_empty());
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
        "state": "online",
    }]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);

    let new = json!({"uses": 5, "ttl_seconds": 60, "comment": "rack 4"});
    assert_eq!(server.ask("/api/v1/tokens", new).await, (StatusCode::CREATED, json!({"token": "bzj_new"})));
    let made = NewToken { uses: 5, ttl_seconds: 60, comment: "rack 4".to_owned() };
    assert_eq!(*server.fleet.made.lock().unwrap(), [made]);
    for bad in [
        json!({"uses": 0}),
        json!({"ttl_seconds": 0}),
        json!({"ttl_seconds": u64::MAX}),
        json!({"comment": "x".repeat(201)}),
    ] {
        assert_eq!(server.ask("/api/v1/tokens", bad.clone()).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let (status, problem) = server.ask("/api/v1/tokens", json!({"comment": "broken"})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!problem.to_string().contains("secret"), "causes go to the log only");
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

/// The next server-sent event of a body: its name and its data.
struct Events {
    body: axum::body::BodyDataStream,
    buffer: String,
}

impl Events {
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (name, data) = event.split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap().to_owned();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                self.buffer = rest.to_owned();
                return Some((name, data));
            }
            let chunk = self.body.next().await?.unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next_row(&mut self) -> Option<Value> {
        loop {
            let (name, data) = self.next().await?;
            if name == "row" {
                return Some(data);
            }
        }
    }
}

async fn tail(server: &Server, filter: &str) -> Events {
    let response = server.send(post("/api/v1/tail", &json!({"filter": filter}).to_string())).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    Events { body: response.into_body().into_data_stream(), buffer: String::new() }
}

#[tokio::test]
async fn a_tail_shows_what_matches_from_now_on() {
    let server = server().await;
    server.feed.publish(events(1, NOW, 22, "before"));
    let mut tail = tail(&server, "dport:22").await;
    server.feed.publish(events(3, NOW, 443, "web1"));
    server.feed.publish(events(2, NOW, 22, "web2"));
    let rows = [tail.next_row().await.unwrap(), tail.next_row().await.unwrap()];
    assert_eq!((&rows[0]["host"], &rows[1]["host"]), (&json!("web2"), &json!("web2")));
    assert_eq!((&rows[0]["row"], &rows[1]["row"]), (&json!(0), &json!(1)));
    let stats = loop {
        let (name, stats) = tail.next().await.unwrap();
        assert_eq!(name, "stats");
        if stats["shown"] == 2 {
            break stats;
        }
    };
    assert_eq!(stats, json!({"matched": 2, "shown": 2, "skipped": 0, "missed": 0}));
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_did_not_get() {
    let Server { app, feed, fleet, _dir } = server().await;
    let server = Server { app, feed: Arc::clone(&feed), fleet, _dir };
    let mut tail = tail(&server, "dport:22").await;
    // More than its buffer holds, and nobody reads. Published in two parts, with time for the task to look.
    let mut published = 0;
    for _ in 0..14 {
        feed.publish(events(1000, NOW, 22, "web1"));
        published += 1000;
    }
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    // More than the feed's ring holds, at once: the task does not get to run in between.
    for _ in 0..40 {
        feed.publish(events(10, NOW, 22, "web1"));
        published += 10;
    }
    drop(server);
    drop(feed);
    let (mut shown, mut last) = (0, Value::Null);
    while let Some((name, data)) = tail.next().await {
        if name == "row" { shown += 1 } else { last = data }
    }
    let number = |key: &str| last[key].as_u64().unwrap();
    assert_eq!(number("shown"), shown);
    assert!(number("skipped") > 0 && number("missed") > 0, "{last}");
    assert_eq!(number("matched"), number("shown") + number("skipped"));
    assert_eq!(number("matched") + number("missed"), published);
}

#[tokio::test]
async fn a_tail_that_nobody_reads_any_more_ends() {
    let server = server().await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let tail = tail(&server, "").await;
    assert_eq!(alive(), before + 1);
    drop(tail);
    for _ in 0..500 {
        if alive() == before {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the task is still there");
}
