//! Work on the lake: lines as they come, and an end that says whether all is well.

use crate::support::{get, server};
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn the_lake_s_tables_are_listed() {
    let server = server().await;
    let (status, _, text) = server.text(get("/api/v1/lake")).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["tables"][0]["table"]), (StatusCode::OK, &json!("events")));
    assert_eq!(answer["tables"][0]["rows"], 7);
}

#[tokio::test]
async fn work_tells_what_it_finds_and_how_it_ended() {
    let server = server().await;
    let lines = server.lines("/api/v1/lake/verify", json!({"quick": true})).await;
    assert_eq!(
        lines,
        [
            json!({"progress": "1 of 2"}),
            json!({"problem": "missing"}),
            json!({"end": {"complete": false, "files": 2}})
        ]
    );
    let lines = server.lines("/api/v1/lake/verify", json!({})).await;
    assert_eq!(lines[2]["end"]["complete"], false);
    assert_eq!(lines[2]["end"]["problem"]["detail"], "the disk is gone");
}

#[tokio::test]
async fn one_piece_of_work_is_done_at_a_time() {
    let server = server().await;
    let (status, problem) = server.ask("/api/v1/lake/vacuum", json!({})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("urn:bartizan:busy")));
    let (status, _) = server.ask("/api/v1/lake/compact", json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, _) = server.ask("/api/v1/lake/vacuum", json!({"dryrun": true})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "an unknown member");
}

#[tokio::test]
async fn holds_are_made_and_end() {
    let server = server().await;
    let (status, answer) =
        server.ask("/api/v1/lake/holds", json!({"name": "case 7", "filter": "host:web-01"})).await;
    assert_eq!((status, &answer["name"]), (StatusCode::CREATED, &json!("case 7")));
    let (status, answer) = server.ask("/api/v1/lake/holds", json!({"name": "case 8"})).await;
    assert_eq!((status, &answer["detail"]), (StatusCode::BAD_REQUEST, &json!("all of it?")));
    let (status, _) = server.ask("/api/v1/lake/holds/release", json!({"name": "case 7"})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = server.ask("/api/v1/lake/holds/release", json!({"name": "case 8"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
