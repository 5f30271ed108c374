//! The live tail.

use crate::support::*;
use axum::http::{StatusCode, header};
use futures::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;

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
