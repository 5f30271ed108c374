//! What a question may cost.

use crate::{DAY, HOUR, answer, engine, lake, refusal, told};
use bartizan_query::{Engine, ErrorKind, Limits};
use bartizan_sql::{Question, ask};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// How many files were opened for an answer.
async fn opened(engine: &Engine, text: &str) -> usize {
    told(engine, Question::new(text, Arc::default())).await.unwrap().1.opened
}

#[tokio::test]
async fn files_that_cannot_match_stay_unread() {
    let engine = engine(&lake());
    let hour = |n: i64| format!("to_timestamp_micros({})", DAY + n * HOUR);
    for (expected, condition) in [
        (3, "true".to_owned()),
        (1, format!("time >= {} AND time < {}", hour(1), hour(2))),
        (1, "time >= '2026-11-23T01:00:00Z' AND time < '2026-11-23T02:00:00Z'".to_owned()),
        (1, "time >= TIMESTAMP '2026-11-23 01:00:00' AND time < TIMESTAMP '2026-11-23 02:00:00'".to_owned()),
        (1, "time BETWEEN '2026-11-23T01:00:00Z' AND '2026-11-23T01:59:59Z'".to_owned()),
        (0, "time > now() + INTERVAL '1 hour'".to_owned()),
    ] {
        let text = format!("SELECT count(dport) FROM events WHERE {condition}");
        assert_eq!(opened(&engine, &text).await, expected, "{text}");
    }
    // Of files that hold the time, only pages that may hold the address.
    let (_, all) =
        told(&engine, Question::new("SELECT sum(dport) FROM events", Arc::default())).await.unwrap();
    for (pruned, condition) in
        [(4, "src = ip('192.0.1.3')"), (4, "src = '192.0.1.3'"), (2, "in_cidr(src, '192.0.1.0/24')")]
    {
        let text = format!("SELECT sum(dport) FROM events WHERE {condition}");
        let (_, stats) = told(&engine, Question::new(text, Arc::default())).await.unwrap();
        assert!(stats.groups_pruned >= pruned, "{condition}: {stats:?}");
        assert!(stats.looked_at < all.looked_at, "{condition}: {stats:?} {all:?}");
    }
    assert_eq!(all.looked_at, 400);
    // Through a view and a subquery as well.
    let text = "SELECT count(*) FROM (SELECT * FROM ulog) WHERE \"timestamp\" < '2026-11-23T01:00:00Z'";
    assert_eq!(opened(&engine, text).await, 1);
}

#[tokio::test]
async fn deep_and_wide_questions_end() {
    let engine = engine(&lake());
    let chain = |op: &str, n: usize| vec!["dport = 22"; n].join(op);
    let text = format!("SELECT count(*) n FROM events WHERE {}", chain(" OR ", 200));
    assert_eq!(answer(&engine, &text).await, r#"{"n":100}"#);
    let text = format!("SELECT {} AS n FROM events LIMIT 1", vec!["dport"; 480].join("+"));
    assert!(answer(&engine, &text).await.contains("\"n\":"));
    // Twice as many columns with each part: the tables that a question may name keep it small.
    let mut text = "WITH a0 AS (SELECT * FROM events)".to_owned();
    for n in 1..=7 {
        text.push_str(&format!(", a{n} AS (SELECT x.* FROM a{} x, a{} y)", n - 1, n - 1));
    }
    let said = refusal(&engine, &format!("{text} SELECT count(*) FROM a7 x, a7 y")).await;
    assert!(said.contains("times"), "{said}");
    // A list of ten thousand is one operator.
    let list = (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let text = format!("SELECT count(*) n FROM events WHERE dport IN ({list})");
    assert_eq!(answer(&engine, &text).await, r#"{"n":400}"#);
    assert!(
        refusal(&engine, "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n+1 FROM r) SELECT * FROM r")
            .await
            .len()
            > 1
    );
}

/// Each part has four times the text of the one before; without a bound the last one takes 300 megabytes a row.
#[tokio::test]
async fn texts_do_not_grow_without_bound() {
    let engine = engine(&lake());
    for grown in [
        "concat(t, t, t, t)",
        "t || t || t || t",
        "replace(t, 'b', 'bbbb')",
        "concat_ws(t, t, t, t)",
        "regexp_replace(t, 'b', 'bbbb', 'g')",
    ] {
        let mut text = "WITH t0 AS (SELECT host AS t FROM events)".to_owned();
        for n in 1..14 {
            text.push_str(&format!(", t{n} AS (SELECT {grown} AS t FROM t{})", n - 1));
        }
        let text = format!("{text} SELECT max(octet_length(t)) FROM t13");
        let error = told(&engine, Question::new(text, Arc::default())).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge), "{grown}: {error:?}");
    }
}

/// A text that stands in many rows is there once, until somebody writes the answer.
#[tokio::test]
async fn rows_of_long_texts_come_in_pieces() {
    let engine = engine(&lake());
    // A megabyte in 400 rows.
    let text = "SELECT t FROM (SELECT string_agg(a.host, '') AS t FROM events a, events b), events";
    let mut rows = ask(&engine, Question::new(text, Arc::default())).await.unwrap();
    let mut read = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap();
        read += batch.num_rows();
        assert!(batch.num_rows() <= 16, "{} rows at once", batch.num_rows());
    }
    assert_eq!(read, 400);
}

#[tokio::test]
async fn limits_of_questions_hold() {
    let lake = lake();
    let limits = Limits { question_time: Duration::from_millis(300), ..Limits::default() };
    let timed = Engine::new(Arc::clone(&lake) as _, &limits).unwrap();
    let long = "SELECT count(*) FROM events a, events b, events c, events d WHERE a.sport + b.sport + c.sport + d.sport = 1";
    let error = told(&timed, Question::new(long, Arc::default())).await.unwrap_err();
    assert!(error.to_string().contains("limit of time"), "{error:?}");

    let limits = Limits { question_bytes: 1000, ..Limits::default() };
    let small = Engine::new(Arc::clone(&lake) as _, &limits).unwrap();
    let error = told(&small, Question::new("SELECT * FROM events", Arc::default())).await.unwrap_err();
    assert!(error.to_string().contains("limit of bytes"), "{error:?}");

    let limits = Limits { question_memory: 256 << 10, ..Limits::default() };
    let poor = Engine::new(Arc::clone(&lake) as _, &limits).unwrap();
    let text = "SELECT array_agg(a.sport) FROM events a, events b, events c";
    let error = told(&poor, Question::new(text, Arc::default())).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_dropped_ends_its_work() {
    let engine = engine(&lake());
    let text = "SELECT a.sport FROM events a, events b, events c, events d";
    let mut rows = ask(&engine, Question::new(text, Arc::default())).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    assert!(engine.working() > 0);
    drop(rows);
    for _ in 0..1000 {
        if engine.working() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks still work", engine.working());
}
