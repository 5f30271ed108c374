//! Who may see some rows sees no other, however the question is put.

use crate::common::{Lake, batch, int, text};
use crate::{DAY, engine, lake, scoped, seen};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_query::{Sight, asked_by};
use bartizan_sql::Question;
use bartizan_sql::describe;
use std::sync::Arc;

#[tokio::test]
async fn no_form_of_a_question_escapes_the_scope() {
    let engine = engine(&lake());
    // Of 400 events 200 are of db-1, of 10 flows 6.
    for (text, expected) in [
        ("SELECT count(*) n FROM events", r#"{"n":200}"#),
        ("SELECT count(*) n FROM bartizan.public.events AS web", r#"{"n":200}"#),
        ("SELECT count(*) n FROM \"events\" WHERE true OR host = 'web-1'", r#"{"n":200}"#),
        ("SELECT count(*) n FROM events WHERE host = 'web-1'", r#"{"n":0}"#),
        ("WITH a AS (SELECT * FROM events) SELECT count(*) n FROM a", r#"{"n":200}"#),
        ("WITH events AS (SELECT * FROM events) SELECT count(*) n FROM events", r#"{"n":200}"#),
        ("SELECT count(*) n FROM (SELECT * FROM (SELECT * FROM events))", r#"{"n":200}"#),
        ("SELECT (SELECT count(*) FROM events) n", r#"{"n":200}"#),
        (
            "SELECT count(*) n FROM (VALUES ('web-1')) v(h) WHERE EXISTS (SELECT 1 FROM events WHERE host = h)",
            r#"{"n":0}"#,
        ),
        ("SELECT count(*) n FROM (VALUES ('web-1')) v(h) WHERE h IN (SELECT host FROM events)", r#"{"n":0}"#),
        (
            "SELECT count(*) n FROM (VALUES ('web-1')) v(h) WHERE h NOT IN (SELECT host FROM events)",
            r#"{"n":1}"#,
        ),
        (
            "SELECT count(*) n FROM (SELECT host FROM events UNION ALL SELECT host FROM events)",
            r#"{"n":400}"#,
        ),
        ("SELECT count(*) n FROM (SELECT host FROM events UNION SELECT host FROM flows)", r#"{"n":1}"#),
        (
            "SELECT count(*) n FROM (SELECT sport FROM events EXCEPT SELECT sport FROM events WHERE host = 'db-1')",
            r#"{"n":0}"#,
        ),
        ("SELECT count(*) n FROM (SELECT host FROM events INTERSECT SELECT 'web-1')", r#"{"n":0}"#),
        ("SELECT count(*) n FROM events e FULL JOIN flows f ON e.sport = -1", r#"{"n":206}"#),
        ("SELECT count(*) n FROM flows f LEFT JOIN events e ON e.host = 'web-1'", r#"{"n":6}"#),
        ("SELECT count(*) n FROM events NATURAL JOIN (VALUES ('web-1')) v(host)", r#"{"n":0}"#),
        (
            "SELECT count(*) n FROM flows CROSS JOIN LATERAL (SELECT 1 FROM events WHERE events.host <> flows.host) x",
            r#"{"n":0}"#,
        ),
        ("SELECT count(*) n FROM ulog", r#"{"n":200}"#),
        ("SELECT max(local_hostname) n FROM ulog", r#"{"n":"db-1"}"#),
        ("SELECT max(n) n FROM (SELECT count(*) OVER (PARTITION BY 1) n FROM events)", r#"{"n":200}"#),
        (
            "SELECT host, count(*) n FROM events GROUP BY ROLLUP (host) ORDER BY host LIMIT 1",
            r#"{"host":"db-1","n":200}"#,
        ),
        ("SELECT DISTINCT ON (host) host FROM events ORDER BY host", r#"{"host":"db-1"}"#),
        ("FROM events |> AGGREGATE count(*) AS n", r#"{"n":200}"#),
        ("TABLE events", ""),
    ] {
        match seen(&engine, text, scoped("host:db-1")).await {
            Ok((answer, _)) if text.starts_with("TABLE") => assert!(!answer.contains("web-1"), "{text}"),
            Ok((answer, _)) => assert_eq!(answer, expected, "{text}"),
            // A form that the planner does not know shows nothing.
            Err(bartizan_query::QueryError::Sql(_)) if text.contains("|>") || text.starts_with("TABLE") => {}
            Err(error) => panic!("{text}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_table_without_the_scopes_fields_shows_nothing() {
    let engine = engine(&lake());
    // `flows` has no hook: a scope that is denied says nothing there, also where it would be true.
    for scope in ["hook:forward", "-hook:forward", "-hook:forward OR host:db-1"] {
        let (answer, _) = seen(&engine, "SELECT count(*) n FROM flows", scoped(scope)).await.unwrap();
        assert_eq!(answer, r#"{"n":0}"#, "{scope}");
    }
    let (answer, _) = seen(&engine, "SELECT count(*) n FROM events", scoped("-hook:forward")).await.unwrap();
    assert_eq!(answer, r#"{"n":400}"#);
}

#[tokio::test]
async fn what_a_question_looks_like_is_no_row() {
    let engine = engine(&lake());
    let described = describe(&engine, Question::new("SELECT host FROM events", Arc::default()));
    let columns = asked_by(1, scoped("host:db-1"), described).await.unwrap().columns;
    assert_eq!(columns.fields().len(), 1);
    let (plan, _) = seen(&engine, "EXPLAIN SELECT * FROM events", scoped("host:db-1")).await.unwrap();
    assert!(!plan.contains("parquet") && !plan.contains("2026-11-23"), "{plan}");
}

#[tokio::test]
async fn contents_that_are_not_in_sight_are_null() {
    let lake = Lake::new();
    let said = |column: &bartizan_schema::Column, _| match column.name {
        "time" => int(DAY),
        "raw" | "text" => text("what it says"),
        _ => None,
    };
    lake.add_file(Kind::Events, &batch(Kind::Events, 3, said));
    lake.add_hot(Kind::Lines, batch(Kind::Lines, 3, said));
    let engine = engine(&lake);
    for (question, all) in [
        ("SELECT count(raw) n FROM events", r#"{"n":3}"#),
        ("SELECT count(*) n FROM events WHERE raw LIKE 'what%'", r#"{"n":3}"#),
        ("SELECT count(text) n FROM lines", r#"{"n":3}"#),
    ] {
        let (answer, _) = seen(&engine, question, Sight::new(Filter::all(), false)).await.unwrap();
        assert_eq!(answer, r#"{"n":0}"#, "{question}");
        assert_eq!(seen(&engine, question, Sight::default()).await.unwrap().0, all, "{question}");
    }
}
