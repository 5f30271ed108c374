//! A row that moves from memory to a file is counted once, at any moment.

use crate::common::{Lake, batch, int};
use arrow_array::RecordBatch;
use bartizan_filter::{Context, Filter};
use bartizan_model::Kind;
use bartizan_query::{Engine, Limits, Search, Window};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BATCHES: i64 = 12;
const ROWS: usize = 50;

fn rows(seq: i64) -> RecordBatch {
    batch(Kind::Events, ROWS, |column, row| match column.name {
        "time" => int(seq * 1000 + row as i64),
        "seq" => int(seq),
        "row" => int(row as i64),
        "dport" => int(row as i64 % 2),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_while_rows_move() {
    let rounds = if std::env::var_os("BARTIZAN_SOAK").is_some() { 500 } else { 10 };
    let lake = Lake::new();
    for seq in 0..BATCHES {
        lake.add_hot(Kind::Events, rows(seq));
    }
    let done = Arc::new(AtomicBool::new(false));
    let mover = {
        let (lake, done) = (Arc::clone(&lake), Arc::clone(&done));
        std::thread::spawn(move || {
            for _ in 0..rounds {
                // All hot batches become files, one by one, each in one change of the view.
                for seq in 0..BATCHES {
                    let file = lake.write(Kind::Events, &rows(seq));
                    lake.change(Kind::Events, |view| {
                        view.hot.remove(0);
                        view.files.push(file);
                    });
                }
                // And all at once back. (A real lake does not, but the next round needs them.)
                lake.change(Kind::Events, |view| {
                    view.hot = (0..BATCHES).map(rows).collect();
                    view.files.clear();
                });
            }
            done.store(true, Ordering::SeqCst);
        })
    };

    let engine = Engine::new(lake, &Limits::default()).unwrap();
    let odd = Filter::parse("dport:1", &Context::default()).unwrap();
    let (all, total) = (Filter::all(), BATCHES as u64 * ROWS as u64);
    let mut asked = 0;
    while !done.load(Ordering::SeqCst) || asked < 10 {
        assert_eq!(engine.count(Kind::Events, &all, Window::ALL).await.unwrap().rows, total);
        assert_eq!(engine.count(Kind::Events, &odd, Window::ALL).await.unwrap().rows, total / 2);
        let found = engine.search(Search::new(Kind::Events, &odd)).await.unwrap().collect().await.unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, total / 2);
        asked += 1;
    }
    mover.join().unwrap();
}
