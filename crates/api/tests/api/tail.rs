//! The live tail.

use crate::support::*;
use axum::http::{StatusCode, header};
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;

/// The next server-sent event of a body: its name and its data.
pub(crate) struct Events {
    body: axum::body::BodyDataStream,
    buffer: String,
    /// The last one.
    id: String,
}

impl Events {
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let lines = || event.lines();
                let of = |key: &str| lines().find_map(|line| line.strip_prefix(key));
                let name = of("event: ").unwrap().to_owned();
                let data = serde_json::from_str(of("data: ").unwrap()).unwrap();
                self.id = of("id: ").map_or_else(|| std::mem::take(&mut self.id), str::to_owned);
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
    tail_with(server, json!({"filter": filter})).await
}

pub(crate) async fn tail_with(server: &Server, body: Value) -> Events {
    let response = server.send(post("/api/v1/tail", &body.to_string())).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    Events { body: response.into_body().into_data_stream(), buffer: String::new(), id: String::new() }
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
    let mut stats = loop {
        let (name, stats) = tail.next().await.unwrap();
        assert_eq!(name, "stats");
        if stats["shown"] == 2 {
            break stats;
        }
    };
    assert!(stats.as_object_mut().unwrap().remove("lag_ms").is_some());
    let newest = "2026-11-23T05:00:43.000001Z";
    assert_eq!(
        stats,
        json!({"matched": 2, "shown": 2, "sampled": 0, "skipped": 0, "missed": 0, "newest": newest})
    );
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_did_not_get() {
    let Server { app, feed, fleet, _dir, people } = server().await;
    let server = Server { app, feed: Arc::clone(&feed), fleet, people, _dir };
    let mut tail = tail(&server, "dport:22").await;
    // More than its buffer holds, and nobody reads. Published in two parts, with time for the task to look.
    let mut published = 0;
    for _ in 0..14 {
        feed.publish(events(1000, NOW, 22, "web1"));
        published += 1000;
    }
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    // More than the feed's ring holds, in less time than it takes to look at one.
    let large = events(50_000, NOW, 22, "web1");
    for _ in 0..40 {
        feed.publish(large.clone());
        published += 50_000;
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
    let tail = tail(&server, "").await;
    assert_eq!(server.feed.watchers(), 1);
    drop(tail);
    for _ in 0..500 {
        if server.feed.watchers() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the task is still there");
}

/// Rows that arrived at a moment.
fn arrived(n: usize, at: i64, port: i32, host: &str) -> arrow_array::RecordBatch {
    let rows = events(n, NOW, port, host);
    let mut columns = rows.columns().to_vec();
    let times = arrow_array::TimestampMicrosecondArray::from_value(at, n).with_timezone("UTC");
    columns[rows.schema().index_of("received").unwrap()] = Arc::new(times);
    arrow_array::RecordBatch::try_new(rows.schema(), columns).unwrap()
}

/// Batches are stored and then shown, as ingest does it; a reader comes back again and again, in the middle of batches.
#[tokio::test]
async fn a_tail_that_is_resumed_has_no_hole_and_nothing_twice() {
    const BATCHES: i64 = 60;
    let (dir, tables) = empty().await;
    let server = serving(dir, tables.clone()).await;
    let start = NOW + 5_000_000;
    let stream = bartizan_model::StreamId {
        host: bartizan_model::HostId::from_bytes([7; 16]),
        lane: bartizan_model::Lane::DISK[0],
        epoch: bartizan_model::Epoch(1),
    };
    let (table, feed) = (tables.of(bartizan_model::Kind::Events).clone(), Arc::clone(&server.feed));
    let writer = tokio::spawn(async move {
        for n in 1..=BATCHES {
            let rows = arrived(7, start + n, if n % 3 == 0 { 443 } else { 22 }, &format!("h{n}"));
            let id = bartizan_model::BatchId { stream, seq: bartizan_model::Seq(n as u64) };
            table.append(id, vec![rows.clone()], 1000, bartizan_model::Micros(start + n)).unwrap();
            feed.publish(rows);
            if n % 10 == 0 {
                table.commit(bartizan_model::Micros(start + n)).await.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    let mut after = format!("{start}.0");
    let mut got = Vec::new();
    let want: Vec<_> =
        (1..=BATCHES).filter(|n| n % 3 > 0).flat_map(|n| (0..7).map(move |row| (n, row))).collect();
    let mut rounds = 0;
    while got.len() < want.len() {
        rounds += 1;
        let mut tail = tail_with(&server, json!({"filter": "dport:22", "after": after})).await;
        for _ in 0..rounds % 5 + 1 {
            if got.len() == want.len() {
                break;
            }
            let row = tail.next_row().await.unwrap();
            got.push((row["host"].as_str().unwrap()[1..].parse().unwrap(), row["row"].as_i64().unwrap()));
            after = tail.id.clone();
        }
    }
    writer.await.unwrap();
    assert_eq!(got, want, "after {rounds} rounds");
    // From its very end on there is nothing.
    let mut tail = tail_with(&server, json!({"filter": "", "after": format!("{}.6", start + BATCHES)})).await;
    let (name, stats) = tail.next().await.unwrap();
    assert_eq!((name.as_str(), &stats["matched"]), ("stats", &json!(0)));
}

#[tokio::test]
async fn a_rate_samples_and_says_so() {
    let server = server().await;
    let mut tail = tail_with(&server, json!({"filter": "", "rate": 40})).await;
    server.feed.publish(events(1000, NOW, 22, "web1"));
    let mut rows = 0;
    let stats = loop {
        let (name, data) = tail.next().await.unwrap();
        match name.as_str() {
            "row" => rows += 1,
            _ if data["matched"] == 1000 => break data,
            _ => {}
        }
    };
    assert_eq!(
        (rows, &stats["shown"], &stats["sampled"]),
        (10, &json!(10), &json!(990)),
        "a quarter of a second's"
    );
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let server = server().await;
    for body in [json!({"filter": "", "after": "now"}), json!({"filter": "", "after": "5.-1"})] {
        let (status, problem) = server.ask("/api/v1/tail", body).await;
        assert_eq!((status, &problem["type"]), (StatusCode::BAD_REQUEST, &json!("urn:bartizan:bad-cursor")));
    }
    let mut request = post("/api/v1/tail", r#"{"filter":""}"#);
    request.headers_mut().insert("last-event-id", "x".parse().unwrap());
    assert_eq!(server.text(request).await.0, StatusCode::BAD_REQUEST, "the header is read");
    assert_eq!(server.ask("/api/v1/tail", json!({"filter": "", "rate": 0})).await.0, StatusCode::BAD_REQUEST);
}
