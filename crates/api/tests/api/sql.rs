//! Questions in SQL.

use crate::support::*;
use axum::http::StatusCode;
use bartizan_api::PROBLEM_JSON;
use serde_json::{Value, json};

#[tokio::test]
async fn an_answer_names_its_columns_and_ends() {
    let server = server().await;
    let query = "SELECT host, dport, src FROM events WHERE dport = ? ORDER BY time DESC";
    let lines = server.lines("/api/v1/sql", json!({"query": query, "parameters": [22]})).await;
    assert_eq!(
        lines[0],
        json!({"columns": [
            {"name": "host", "type": "text"},
            {"name": "dport", "type": "integer"},
            {"name": "src", "type": "text"},
        ]})
    );
    assert_eq!(lines[1], json!({"host": "web1", "dport": 22, "src": "2001:db8::1"}));
    assert_eq!(lines[2], json!({"host": "web1", "dport": 22, "src": "192.0.2.1"}));
    let end = &lines[3]["end"];
    assert_eq!((&end["rows"], &end["complete"]), (&json!(2), &json!(true)));
    let lines = server.lines("/api/v1/sql", json!({"query": "SELECT * FROM flows WHERE false"})).await;
    assert_eq!((lines.len(), lines[0]["columns"][0]["name"].as_str()), (2, Some("time")));
}

#[tokio::test]
async fn it_counts_what_filters_count() {
    let server = server().await;
    for (filter, condition) in [
        ("", "true"),
        ("dport:22", "dport = 22"),
        ("-dport:22", "dport <> 22 OR dport IS NULL"),
        ("src:192.0.2.0/24", "in_cidr(src, '192.0.2.0/24')"),
        ("host:web2", "host = 'web2'"),
    ] {
        let (_, count) = server.ask("/api/v1/count", json!({"filter": filter})).await;
        let query = format!("SELECT count(*) AS rows, sum(packets) AS packets FROM events WHERE {condition}");
        let lines = server.lines("/api/v1/sql", json!({"query": query})).await;
        assert_eq!(
            (&lines[1]["rows"], &lines[1]["packets"]),
            (&count["rows"], &count["packets"]),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn an_answer_may_be_a_file() {
    let server = server().await;
    let body = |query: &str, format: &str| json!({"query": query, "format": format}).to_string();
    let query = "SELECT host, prefix, dport, -1 AS n FROM events ORDER BY time";
    let (status, media, text) = server.text(post("/api/v1/sql", &body(query, "csv"))).await;
    assert_eq!((status, media.as_str()), (StatusCode::OK, "text/csv; charset=utf-8"));
    assert_eq!(text.split("\r\n").next(), Some("host,prefix,dport,n"));
    assert!(text.contains("web1,\"a\"\"b\n\u{1b}[31m\",22,-1\r\n"), "{text:?}");
    let query = "SELECT '=1+1' AS \"@x\", 'a,b' AS b, NULL AS c";
    let (_, _, text) = server.text(post("/api/v1/sql", &body(query, "csv"))).await;
    assert_eq!(text, "'@x,b,c\r\n'=1+1,\"a,b\",\r\n");
    for (format, media) in
        [("arrow", "application/vnd.apache.arrow.stream"), ("parquet", "application/vnd.apache.parquet")]
    {
        let response = server.send(post("/api/v1/sql", &body("SELECT src FROM events", format))).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], media);
    }
}

#[tokio::test]
async fn what_is_wrong_is_a_problem() {
    let server = server().await;
    for (body, status, kind, detail) in [
        (json!({"query": "DROP TABLE events"}), 400, "bad-question", "only questions are answered"),
        (json!({"query": "SELECT nothing FROM events"}), 400, "bad-question", "nothing"),
        (json!({"query": "SELECT ("}), 400, "bad-question", "EOF"),
        (json!({"query": "SELECT ?"}), 400, "bad-question", "parameters"),
        (json!({"query": "SELECT 1", "parameters": [[1]]}), 400, "bad-request", "a parameter is"),
        (json!({"query": "SELECT 1", "format": "xml"}), 422, "bad-request", "xml"),
        (json!({"sql": "SELECT 1"}), 422, "bad-request", "sql"),
    ] {
        let (got, media, text) = server.text(post("/api/v1/sql", &body.to_string())).await;
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((got.as_u16(), media.as_str()), (status, PROBLEM_JSON), "{body}: {text}");
        assert_eq!(problem["type"], format!("urn:bartizan:{kind}"), "{body}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{body}: {text}");
    }
}
