//! Pages, facets, comparisons, the ledger, and the list of questions.

use crate::support::*;
use axum::http::StatusCode;
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_search_goes_on_where_its_cursor_says() {
    let server = ids().await;
    let mut after = Value::Null;
    let mut hosts = Vec::new();
    for more in [true, true, false] {
        let mut body = json!({"filter": "", "columns": ["host", "row"], "limit": 1});
        if !after.is_null() {
            body["after"] = after.clone();
        }
        let lines = server.lines("/api/v1/search", body).await;
        let end = &lines.last().unwrap()["end"];
        assert_eq!(end["more"], more, "{end}");
        hosts.extend(lines[..lines.len() - 1].iter().cloned());
        after = end["cursor"].clone();
        assert!(after.is_string(), "{end}");
    }
    assert_eq!(
        hosts,
        [json!({"host": "web1", "row": 1}), json!({"host": "web1", "row": 0})],
        "only the columns"
    );
    let lines = server.lines("/api/v1/search", json!({"filter": "dport:1"})).await;
    assert!(lines[0]["end"].get("cursor").is_none(), "{}", lines[0]);
    let (status, problem) = server.ask("/api/v1/search", json!({"filter": "", "after": "yesterday"})).await;
    assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("urn:bartizan:bad-cursor")));
}

/// Two rows whose stream has the form of a real one.
async fn ids() -> Server {
    let (dir, tables) = empty().await;
    let rows = events(2, NOW, 22, "web1");
    let stream = bartizan_model::StreamId {
        host: bartizan_model::HostId::from_bytes([7; 16]),
        lane: bartizan_model::Lane::DISK[0],
        epoch: bartizan_model::Epoch(1),
    };
    let names = arrow_array::StringViewArray::from_iter_values(vec![stream.to_string(); 2]);
    let mut columns = rows.columns().to_vec();
    columns[rows.schema().index_of("stream").unwrap()] = Arc::new(names);
    let rows = arrow_array::RecordBatch::try_new(rows.schema(), columns).unwrap();
    let id = bartizan_model::BatchId { stream, seq: bartizan_model::Seq(1) };
    let table = tables.of(bartizan_model::Kind::Events);
    table.append(id, vec![rows], 1000, bartizan_model::Micros(NOW)).unwrap();
    serving(dir, tables).await
}

#[tokio::test]
async fn every_answer_says_what_it_cost() {
    let server = server().await;
    let since = json!({"filter": "dport:22", "since": NOW, "until": NOW + 9_000_000, "by": ["host"]});
    let with = |name: &str, value: Value| {
        let mut body = json!({"filter": ""});
        body[name] = value;
        body
    };
    for (path, body) in [
        ("count", json!({"filter": "dport:22"})),
        ("top", with("by", json!(["host"]))),
        ("histogram", with("bucket_seconds", json!(60))),
        ("distinct", json!({"filter": "", "by": "host", "of": "src"})),
        ("spread", json!({"filter": "", "ports": 1, "hosts": 1})),
        ("facets", with("fields", json!(["host", "dport"]))),
        ("compare", since),
        ("ledger", json!({})),
        ("unparsed", json!({})),
        ("rules", json!({"host": "web1"})),
        ("rules/history", json!({"host": "web1"})),
        ("rules/hits", json!({"host": "web1"})),
        ("event", json!({"id": "07070707070707070707070707070707/disk-0/0000000000000001/1/0"})),
    ] {
        let (status, answer) = server.ask(&format!("/api/v1/{path}"), body).await;
        if path == "event" {
            assert_eq!(status, StatusCode::BAD_REQUEST, "the rows of this server have no such names");
            continue;
        }
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        check_stats(path, &answer["stats"]);
    }
    for path in ["search", "losses", "export"] {
        let lines = server.lines(&format!("/api/v1/{path}"), json!({"filter": ""})).await;
        check_stats(path, &lines.last().unwrap()["end"]["stats"]);
    }
}

fn check_stats(path: &str, stats: &Value) {
    let names: Vec<_> = stats.as_object().unwrap_or_else(|| panic!("{path}")).keys().cloned().collect();
    assert_eq!(names, ["bytes", "complete", "files", "looked_at", "query", "took_ms"], "{path}");
    assert_eq!(stats["complete"], true, "{path}");
    let looked_at = stats["looked_at"].as_u64().unwrap();
    // Counts of whole files need no look at a row, and nothing here is unparsed.
    assert!(looked_at > 0 || path == "unparsed", "{path}: {stats}");
}

#[tokio::test]
async fn values_of_fields_are_told_with_their_others() {
    let server = server().await;
    let body = json!({"filter": "", "fields": ["host", "src", "proto", "sport"], "limit": 1});
    let (status, answer) = server.ask("/api/v1/facets", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["rows"], &answer["packets"]), (&json!(3), &json!(9)));
    let facet = |at: usize| answer["facets"][at].clone();
    assert_eq!(
        facet(0),
        json!({
            "field": "host", "values": [{"value": "web1", "packets": 6, "rows": 2}],
            "other": {"packets": 3, "rows": 1}, "distinct": 2,
        })
    );
    assert_eq!(facet(1)["values"][0], json!({"value": "192.0.2.1", "packets": 6, "rows": 2}));
    assert_eq!(facet(2)["values"][0]["value"], "tcp");
    assert_eq!(facet(3)["values"][0], json!({"packets": 9, "rows": 3}), "none has one");
    for (fields, detail) in
        [(json!(["ip"]), "either of"), (json!([]), "1 to 16"), (json!(["sauce"]), "no column")]
    {
        let (status, problem) = server.ask("/api/v1/facets", json!({"filter": "", "fields": fields})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
}

#[tokio::test]
async fn the_time_before_stands_beside() {
    let server = server().await;
    let body = json!({"filter": "", "by": ["proto"], "since": NOW + 1_000_000, "until": NOW + 2_000_000});
    let (status, answer) = server.ask("/api/v1/compare", body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let row = json!({"proto": "tcp", "packets": 3, "rows": 1, "before_packets": 6, "before_rows": 2});
    assert_eq!(answer["rows"], json!([row]));
    let mut other = body;
    other["before_since"] = json!(NOW - 10);
    let (status, _) = server.ask("/api/v1/compare", other.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "only one of both");
    other["before_until"] = json!(NOW);
    let (_, answer) = server.ask("/api/v1/compare", other).await;
    assert_eq!(answer["rows"][0]["before_rows"], 0);
    let far = json!({"filter": "", "by": ["proto"], "since": i64::MIN, "until": i64::MAX});
    assert_eq!(server.ask("/api/v1/compare", far).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn losses_are_summed_by_stage_and_reason() {
    let server = server().await;
    let (status, answer) = server.ask("/api/v1/ledger", json!({"host": "web1"})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let entry = json!({
        "stage": "x", "reason": "x", "kind": "events", "count": 9, "rows": 1, "last": "2026-11-23T05:00:43.000000Z",
    });
    assert_eq!((&answer["entries"], &answer["count"]), (&json!([entry]), &json!(9)));
    let (_, answer) = server.ask("/api/v1/ledger", json!({"host": "web2"})).await;
    assert_eq!((&answer["entries"], &answer["count"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn questions_are_listed_and_ended() {
    let server = server().await;
    let list = async || -> Vec<Value> {
        let (_, _, text) = server.text(get("/api/v1/queries")).await;
        serde_json::from_str(&text).unwrap()
    };
    let response = server.send(post("/api/v1/tail", r#"{"filter":"dport:22"}"#)).await;
    let id = response.headers()["bartizan-query"].to_str().unwrap().to_owned();
    let listed = list().await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["id"], &listed[0]["path"]), (&json!(id), &json!("tail")));
    assert_eq!(listed[0]["question"], json!({"filter": "dport:22"}));
    let (status, answer) = server.ask("/api/v1/queries/cancel", json!({"id": id})).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"cancelled": id})));
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    let all = async {
        while let Some(piece) = body.next().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    assert!(text.ends_with("\n\n") && text.contains("event: end\n"), "{text}");
    assert!(text.contains("urn:bartizan:cancelled"), "{text}");
    drop(body);
    assert!(list().await.is_empty(), "it has ended");
    let (status, _) = server.ask("/api/v1/queries/cancel", json!({"id": id})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    // One whose reader goes away is not in the list either.
    let response = server.send(post("/api/v1/search", r#"{"filter":""}"#)).await;
    assert_eq!(list().await.len(), 1);
    drop(response);
    assert!(list().await.is_empty());
    let wrong = server.send(post("/api/v1/count", r#"{"filter":"dport:x"}"#)).await;
    assert!(wrong.headers().contains_key("bartizan-query"));
}
