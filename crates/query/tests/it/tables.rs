//! The engine over real tables, while they commit.

use crate::common::{addr, batch, int, text};
use bartizan_filter::{Context, Filter};
use bartizan_lake::{Append, Options, Tables};
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId};
use bartizan_query::{Engine, Limits, Search, Window};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::sync::Arc;

const NOW: Micros = Micros(1_795_410_043_000_000);
const ROWS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_is_found_once_before_while_and_after_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
    let tables = Tables::open(&store, &Options::default(), NOW).await.unwrap();
    let events = tables.of(Kind::Events).clone();
    let engine = Engine::new(Arc::new(tables), &Limits::default()).unwrap();

    let committer = {
        let events = events.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                events.commit(NOW).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let stream = StreamId { host: HostId::from_bytes([1; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
    let filter = Filter::parse("src:10.0.0.0/28 -host:db* payload:*", &Context::default());
    assert!(filter.is_err(), "`payload` is no field");
    let filter = Filter::parse("src:10.0.0.0/29 -host:db*", &Context::default()).unwrap();
    for seq in 1..=30 {
        let rows = batch(Kind::Events, ROWS, |column, row| match column.name {
            "time" | "received" => int(NOW.0 - seq * 1000 + row as i64),
            "host" => text(if row % 2 == 0 { "web1" } else { "db1" }),
            "src" => addr(&format!("10.0.0.{row}")),
            "payload" => Some(crate::common::Value::Bytes(vec![1, 2])),
            "seq" => int(seq),
            "row" => int(row as i64),
            _ => None,
        });
        let id = BatchId { stream, seq: Seq(seq.cast_unsigned()) };
        assert_eq!(events.append(id, vec![rows], 1000, NOW).unwrap(), Append::Appended);
        let all = engine.count(Kind::Events, &Filter::all(), Window::ALL).await.unwrap();
        assert_eq!(all.rows, seq.cast_unsigned() * ROWS as u64);
        // 0, 2, 4, 6 of each batch.
        assert_eq!(
            engine.count(Kind::Events, &filter, Window::ALL).await.unwrap().rows,
            seq.cast_unsigned() * 4
        );
        let found = engine.search(Search::new(Kind::Events, &filter)).await.unwrap().collect().await.unwrap();
        assert_eq!(found.iter().map(|b| b.num_rows() as u64).sum::<u64>(), seq.cast_unsigned() * 4);
    }
    committer.await.unwrap();
    events.commit(NOW).await.unwrap();
    assert!(events.view().hot.is_empty());
    assert_eq!(engine.count(Kind::Events, &filter, Window::ALL).await.unwrap().rows, 120);
}
