//! SQL over tables that tests make: what is answered, what is refused, and that no form of a question sees more than
//! its scope.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

// The rows, files and source of the query crate's tests.
#[path = "../../../query/tests/it/common.rs"]
#[expect(dead_code, reason = "not all of them are used here")]
mod common;

mod answers;
mod bounds;
mod flight;
mod scope;

use arrow_array::RecordBatch;
use bartizan_filter::{Context, Filter};
use bartizan_model::Kind;
use bartizan_query::render::Rows;
use bartizan_query::{Engine, Limits, QueryError, Sight, Stats, asked_by};
use bartizan_sql::{Question, ask};
use common::{Lake, addr, batch, int, text};
use futures::StreamExt;
use std::sync::Arc;

/// 2026-11-23 00:00:00 UTC.
const DAY: i64 = 1_795_392_000_000_000;
const HOUR: i64 = 3_600_000_000;

/// Three files of 100 rows, an hour each, and 100 rows in memory. Row n: host `web-N` or `db-N`, source 192.0.2.N.
fn lake() -> Arc<Lake> {
    let lake = Lake::new();
    let rows = |part: i64| {
        batch(Kind::Events, 100, |column, row| {
            let n = part * 100 + i64::try_from(row).unwrap();
            match column.name {
                "time" => int(DAY + part * HOUR + n * 1_000_000 + 123_456),
                "host" => text(if n % 2 == 0 { "web-1" } else { "db-1" }),
                "action" => text("drop"),
                "family" => text("ip"),
                "prefix" => text("in-drop"),
                "hook" => text("input"),
                "src" if n % 10 == 9 => addr("2001:db8:1:2::9"),
                "src" => addr(&format!("192.0.{part}.{}", n % 10)),
                "dst" => addr("198.51.100.7"),
                "proto" => int(6),
                "sport" => int(40_000 + n),
                "dport" => int(if n % 4 == 0 { 22 } else { 443 }),
                "tcp_flags" => int(2),
                "length" => int(60),
                "seq" => int(part),
                "row" => int(i64::try_from(row).unwrap()),
                _ => None,
            }
        })
    };
    for part in 0..3 {
        lake.add_file(Kind::Events, &rows(part));
    }
    lake.add_hot(Kind::Events, rows(3));
    let flows = batch(Kind::Flows, 10, |column, row| match column.name {
        "time" => int(DAY),
        "host" => text(if row < 4 { "web-1" } else { "db-1" }),
        "src" => addr("192.0.2.1"),
        "bytes" => int(1000),
        _ => None,
    });
    lake.add_hot(Kind::Flows, flows);
    lake
}

fn engine(lake: &Arc<Lake>) -> Engine {
    Engine::new(Arc::clone(lake) as _, &Limits::default()).unwrap()
}

/// The rows as JSON lines, joined by spaces, and what they took.
async fn told(engine: &Engine, question: Question) -> Result<(String, Stats), QueryError> {
    let mut stream = ask(engine, question).await?;
    let mut lines = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch: RecordBatch = batch?;
        let rows = Rows::plain(&batch);
        for row in 0..rows.len() {
            let mut line = Vec::new();
            rows.write_json(row, &mut line);
            lines.push(String::from_utf8(line).unwrap());
        }
    }
    Ok((lines.join(" "), stream.stats()))
}

async fn answer(engine: &Engine, text: &str) -> String {
    match told(engine, Question::new(text, Arc::default())).await {
        Ok((answer, _)) => answer,
        Err(error) => panic!("{text}: {error:?}"),
    }
}

async fn refusal(engine: &Engine, text: &str) -> String {
    match told(engine, Question::new(text, Arc::default())).await {
        Err(QueryError::Sql(text)) => text,
        other => panic!("{text}: {other:?}"),
    }
}

/// What a scope leaves in sight.
fn scoped(scope: &str) -> Sight {
    Sight::new(Filter::parse(scope, &Context::default()).unwrap(), true)
}

/// What somebody is told who sees this.
async fn seen(engine: &Engine, text: &str, sight: Sight) -> Result<(String, Stats), QueryError> {
    asked_by(1, sight, told(engine, Question::new(text, Arc::default()))).await
}
