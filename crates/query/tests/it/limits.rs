//! What one question may use, and how it ends when nobody wants it any more.

use crate::common::{Lake, batch, int, text};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_query::{Engine, ErrorKind, Limits, QueryError, Search, Sight, Window, asked_by};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

const ROWS: usize = 5_000;

fn lake() -> Arc<Lake> {
    let lake = Lake::new();
    for n in 0..4 {
        let rows = batch(Kind::Events, ROWS, |column, row| match column.name {
            "time" => int((n * ROWS + row) as i64),
            "extra" => text(&format!("{:064}", n * ROWS + row)),
            _ => None,
        });
        lake.add_file(Kind::Events, &rows);
    }
    lake
}

fn engine(lake: &Arc<Lake>, limits: Limits) -> Engine {
    Engine::new(Arc::clone(lake) as _, &limits).unwrap()
}

async fn failure(engine: &Engine) -> QueryError {
    match engine.totals(Kind::Events, &Filter::all(), Window::ALL, &["extra"]).await {
        Err(error) => error,
        Ok(rows) => rows.collect().await.unwrap_err(),
    }
}

#[tokio::test]
async fn each_limit_ends_the_question_that_goes_over_it_and_no_other() {
    let lake = lake();
    for limits in [
        Limits { question_memory: 64 << 10, ..Limits::default() },
        Limits { question_bytes: 100_000, ..Limits::default() },
        Limits { question_time: Duration::from_micros(200), ..Limits::default() },
    ] {
        let engine = engine(&lake, limits.clone());
        let error = failure(&engine).await;
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?} {limits:?}");
        assert!(engine.quarantined().is_empty());
        if limits.question_time > Duration::from_secs(1) {
            // Known without reading a file.
            let count = engine.count(Kind::Events, &Filter::all(), Window::ALL).await.unwrap();
            assert_eq!(count.rows, 4 * ROWS as u64, "{limits:?}");
        }
    }
    let (engine, all) = (engine(&lake, Limits::default()), Filter::all());
    let rows =
        engine.totals(Kind::Events, &all, Window::ALL, &["extra"]).await.unwrap().collect().await.unwrap();
    assert_eq!(rows.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 4 * ROWS);
}

/// One that nobody reads any more frees its turn, whether it has begun or not, and a slow reader holds none.
#[tokio::test]
async fn turns_come_back_from_readers_that_go_away_or_sleep() {
    let lake = lake();
    let limits = Limits { questions: 1, sort_rows: 1000, batch_rows: 500, ..Limits::default() };
    let engine = Arc::new(engine(&lake, limits));
    let all = Filter::all();
    let asleep = engine.search(Search::new(Kind::Events, &all)).await.unwrap();
    for who in 0..20 {
        // Dropped at its first wait.
        let mut gone = Box::pin(asked_by(
            who,
            Sight::default(),
            engine.totals(Kind::Events, &all, Window::ALL, &["extra"]),
        ));
        assert!(futures::FutureExt::now_or_never(gone.as_mut()).is_none());
        drop(gone);
        // Dropped after its first batch.
        let mut begun =
            asked_by(who, Sight::default(), engine.search(Search::new(Kind::Events, &all))).await.unwrap();
        begun.next().await.unwrap().unwrap();
    }
    let rest = asleep.collect().await.unwrap();
    assert_eq!(rest.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 4 * ROWS);
}
