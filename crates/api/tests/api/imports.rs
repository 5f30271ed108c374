//! Imports: opened, delivered, refused in words.

use crate::support::*;
use axum::http::StatusCode;
use serde_json::{Value, json};

const ROWS: &str = "/api/v1/imports/07070707070707070707070707070707/rows";

async fn deliver(server: &Server, query: &str, body: &str) -> (StatusCode, Value) {
    let (status, _, text) = server.text(post(&format!("{ROWS}?{query}"), body)).await;
    (status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn an_import_is_opened_delivered_and_finished() {
    let server = server().await;
    let new = json!({ "format": "syslog", "name": "kern.log", "kinds": ["events", "lines"], "head": "eA==" });
    let (status, open) = server.ask("/api/v1/imports", new).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(open["import"], "07070707070707070707070707070707");
    assert_eq!((&open["session"], &open["committed"]), (&json!(1), &json!(60)));
    assert_eq!(open["marks"][1], json!({ "kind": "lines", "position": 70 }));
    assert_eq!(open["checks"][0]["position"], 70);
    // more than a question may be, less than rows may be
    let body = "x".repeat(1 << 20);
    let (status, answer) = deliver(&server, "session=1&kind=events&from=70&seq=90", &body).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "committed": 1 << 20 })));
    let finish = json!({ "session": 1, "position": 70, "totals": { "records": 1 } });
    let (_, answer) = server.ask("/api/v1/imports/07070707070707070707070707070707/finish", finish).await;
    assert_eq!(answer, json!({ "committed": 70, "done": true }));
    let (_, _, list) = server.text(get("/api/v1/imports")).await;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()[0]["state"], "done");
}

#[tokio::test]
async fn what_is_wrong_is_a_problem_with_its_kind() {
    let server = server().await;
    for (query, body, status, kind) in [
        ("session=2&kind=events&from=70&seq=90", "", 409, "urn:bartizan:import-taken"),
        ("session=1&kind=events&from=60&seq=90", "", 409, "urn:bartizan:import-position"),
        ("session=1&kind=events&from=70&seq=90", "no arrow", 400, "urn:bartizan:bad-request"),
        ("session=1&kind=packets&from=70&seq=90", "", 400, "urn:bartizan:bad-request"),
        ("kind=events&from=70&seq=90", "", 400, "urn:bartizan:bad-request"),
        ("session=1&kind=events&from=70&seq=90&more=1", "", 400, "urn:bartizan:bad-request"),
    ] {
        let (is, problem) = deliver(&server, query, body).await;
        assert_eq!((is.as_u16(), problem["type"].as_str()), (status, Some(kind)), "{query} {problem}");
    }
    let (status, problem) =
        deliver(&server, "session=1&kind=events&from=70&seq=90", &"x".repeat((16 << 20) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    let (status, _, _) =
        server.text(post("/api/v1/imports/none/rows?session=1&kind=events&from=0&seq=1", "")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let closed = format!("/api/v1/imports/{}/rows?session=1&kind=events&from=0&seq=1", "08".repeat(16));
    let (status, _, text) = server.text(post(&closed, "")).await;
    assert!(status == StatusCode::CONFLICT && text.contains("import-closed"), "{text}");
    let broken = json!({ "format": "syslog", "name": "broken", "kinds": ["events"], "head": "eA==" });
    let (status, problem) = server.ask("/api/v1/imports", broken).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!problem.to_string().contains("secret"), "{problem}");
}
