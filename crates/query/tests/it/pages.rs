//! Pages that join while rows come and move, values of several columns at once, and what was before.

use crate::common::{Lake, Value, batch, int, text};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bartizan_filter::{Context, Filter};
use bartizan_model::{Kind, Micros, addr_from_ip};
use bartizan_query::render::Rows;
use bartizan_query::{
    Compare, Engine, ErrorKind, Inquiry, Limits, Order, Position, RowStream, Search, Sight, Window, asked_for,
};
use futures::StreamExt;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Time, source, port.
type Event = (i64, u8, i32);

fn event() -> impl Strategy<Value = Event> {
    (0..12_i64, 0..5_u8, 20..24_i32)
}

fn rows_of(seq: i64, events: &[Event]) -> RecordBatch {
    batch(Kind::Events, events.len(), |column, row| {
        let (time, src, port) = events[row];
        match column.name {
            "time" => int(time),
            "stream" => text(if src % 2 == 0 { "a" } else { "b" }),
            "seq" => int(seq),
            "row" => int(row as i64),
            "src" if src > 0 => Some(Value::Addr(addr_from_ip(format!("10.0.0.{src}").parse().unwrap()))),
            "dport" if port > 20 => int(port.into()),
            "packets" => int(i64::from(src) + 1),
            _ => None,
        }
    })
}

fn engine(lake: &Arc<Lake>, sort_rows: u64) -> Engine {
    Engine::new(Arc::clone(lake) as _, &Limits { sort_rows, ..Limits::default() }).unwrap()
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, &Context::default()).unwrap()
}

fn lake_of(batches: &[Vec<Event>]) -> Arc<Lake> {
    let lake = Lake::new();
    for (seq, events) in batches.iter().enumerate().filter(|(_, events)| !events.is_empty()) {
        let rows = rows_of(seq as i64, events);
        if seq % 2 == 0 { lake.add_file(Kind::Events, &rows) } else { lake.add_hot(Kind::Events, rows) }
    }
    lake
}

async fn all_of(rows: RowStream) -> RecordBatch {
    let schema = rows.schema();
    datafusion::arrow::compute::concat_batches(&schema, &rows.collect().await.unwrap()).unwrap()
}

/// The names of rows with their times, in order.
fn names(batch: &RecordBatch) -> Vec<String> {
    (0..batch.num_rows()).map(|row| Position::of(batch, row).unwrap().to_string()).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Rows come before and behind the place, and what was in memory becomes a file; each page goes on where the
    /// one before ended, and all rows that were there at the beginning are given once.
    #[test]
    fn pages_join(
        batches in prop::collection::vec(prop::collection::vec(event(), 0..60), 1..5),
        page in 1..40_usize,
        newest in any::<bool>(),
        sliced in any::<bool>(),
    ) {
        let lake = lake_of(&batches);
        let engine = engine(&lake, 7);
        let filter = parse("dport:21-23");
        let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
        let ask = |limit, after| Search { order, limit, after, ..Search::new(Kind::Events, &filter) };
        let want = names(&run(async { all_of(engine.search(ask(None, None)).await.unwrap()).await }));
        let mut after = None;
        let mut given = Vec::new();
        for round in 0.. {
            let rows = run(async {
                if !sliced {
                    return all_of(engine.search(ask(Some(page), after.clone())).await.unwrap()).await;
                }
                // Without a limit, broken off: the way of long answers.
                let all = all_of(engine.search(ask(None, after.clone())).await.unwrap()).await;
                all.slice(0, page.min(all.num_rows()))
            });
            given.extend(names(&rows));
            let Some(last) = rows.num_rows().checked_sub(1) else { break };
            after = Position::of(&rows, last);
            if round < 3 {
                lake.change(Kind::Events, |view| view.hot.reverse());
                lake.add_hot(Kind::Events, rows_of(100 + round, &[(11, 1, 22), (6, 2, 22), (0, 3, 22)]));
                let moved = lake_moves(&lake);
                prop_assert!(moved);
            }
        }
        let different: BTreeSet<_> = given.iter().collect();
        prop_assert_eq!(different.len(), given.len(), "given twice");
        let missing: Vec<_> = want.iter().filter(|name| !different.contains(name)).collect();
        prop_assert!(missing.is_empty(), "{:?}", missing);
        let old: Vec<_> = given.iter().filter(|name| want.contains(name)).cloned().collect();
        prop_assert_eq!(old, want, "in another order");
    }

    /// The values of each column and of its others are all rows that match.
    #[test]
    fn facets_as_a_plain_model(
        batches in prop::collection::vec(prop::collection::vec(event(), 0..80), 1..5),
        limit in 1..6_usize,
        filter in prop_oneof![Just(""), Just("dport:21,22"), Just("-src:10.0.0.1")],
        since in prop_oneof![Just(None), (0..12_i64).prop_map(|t| Some(Micros(t)))],
    ) {
        let lake = lake_of(&batches);
        let engine = engine(&lake, 1000);
        let filter = parse(filter);
        let window = Window { since, until: None };
        let found = run(engine.facets(Kind::Events, &filter, window, &["dport", "src", "proto"], limit)).unwrap();
        let all = run(async {
            all_of(engine.search(Search { window, limit: Some(10_000), ..Search::new(Kind::Events, &filter) }).await.unwrap()).await
        });
        let number = |batch: &RecordBatch, name: &str, row: usize| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row);
        let packets: i64 = (0..all.num_rows()).map(|row| number(&all, "packets", row)).sum();
        prop_assert_eq!((found.rows, &found.sums), (all.num_rows() as u64, &vec![("packets", packets)]));
        for facet in &found.facets {
            let mut want: BTreeMap<Option<String>, (i64, i64)> = BTreeMap::new();
            let shown = Rows::of(&all, &[facet.column.to_owned()]);
            for row in 0..all.num_rows() {
                let sums = want.entry(shown.text(0, row)).or_default();
                sums.0 += number(&all, "packets", row);
                sums.1 += 1;
            }
            prop_assert_eq!(facet.distinct, Some(want.len() as u64), "{}", facet.column);
            let mut want: Vec<_> = want.into_iter().map(|(value, (packets, rows))| (-packets, value.is_none(), value, rows)).collect();
            want.sort();
            let others: i64 = want.iter().skip(limit).map(|(.., rows)| rows).sum();
            prop_assert_eq!(facet.other_rows, others as u64);
            want.truncate(limit);
            let shown = Rows::of(&facet.values, &[facet.column.to_owned()]);
            let got: Vec<_> = (0..facet.values.num_rows())
                .map(|row| {
                    let value = shown.text(0, row);
                    (-number(&facet.values, "packets", row), value.is_none(), value, number(&facet.values, "rows", row))
                })
                .collect();
            prop_assert_eq!(got, want, "{}", facet.column);
        }
    }
}

/// What is in memory becomes a file, as a commit does it.
fn lake_moves(lake: &Arc<Lake>) -> bool {
    let mut hot = None;
    lake.change(Kind::Events, |view| hot = view.hot.first().cloned());
    let Some(rows) = hot else { return true };
    let file = lake.write(Kind::Events, &rows);
    lake.change(Kind::Events, |view| {
        view.hot.remove(0);
        view.files.push(file);
    });
    true
}

#[tokio::test]
async fn what_was_before_stands_beside() {
    let lake = lake_of(&[
        vec![(1, 1, 22), (2, 1, 22), (3, 2, 23), (4, 0, 21)],
        vec![(11, 1, 22), (11, 3, 23), (11, 0, 21)],
    ]);
    let window = |since, until| Window { since: Some(Micros(since)), until: Some(Micros(until)) };
    let all = Filter::all();
    let compared = async |by: &[&str]| {
        let by = by.iter().map(|name| (*name).to_owned()).collect();
        let question = Compare {
            kind: Kind::Events,
            filter: &all,
            window: window(10, 20),
            before: window(0, 10),
            by,
            n: 10,
        };
        let answer = all_of(engine(&lake, 1000).compare(question).await.unwrap()).await;
        let rows = Rows::new(&answer);
        let lines = (0..rows.len()).map(|row| {
            let mut out = Vec::new();
            rows.write_json(row, &mut out);
            String::from_utf8(out).unwrap()
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        compared(&["src"]).await,
        [
            r#"{"src":"10.0.0.3","packets":4,"rows":1,"before_packets":0,"before_rows":0}"#,
            r#"{"src":"10.0.0.1","packets":2,"rows":1,"before_packets":4,"before_rows":2}"#,
            r#"{"packets":1,"rows":1,"before_packets":1,"before_rows":1}"#,
        ]
    );
    assert_eq!(
        compared(&["dport", "src"]).await[0],
        r#"{"dport":23,"src":"10.0.0.3","packets":4,"rows":1,"before_packets":0,"before_rows":0}"#,
        "each value was there before, and not together"
    );
}

#[tokio::test]
async fn a_cancelled_question_ends_with_that() {
    let events: Vec<Event> = (0..20_000).map(|n| (n, 1, 22)).collect();
    let lake = Lake::new();
    lake.add_file(Kind::Events, &rows_of(1, &events));
    let limits = Limits { sort_rows: 1000, batch_rows: 500, questions: 1, ..Limits::default() };
    let engine = Arc::new(Engine::new(Arc::clone(&lake) as _, &limits).unwrap());
    let all = Filter::all();
    let inquiry = Arc::new(Inquiry::of(3, Sight::default()));
    let search = engine.search(Search::new(Kind::Events, &all));
    let mut rows = asked_for(Arc::clone(&inquiry), search).await.unwrap();
    rows.next().await.unwrap().unwrap();
    let cost = inquiry.cost();
    assert!(cost.bytes > 0 && cost.files == 1 && !cost.lacks, "{cost:?}");
    inquiry.cancel();
    // What was on its way still comes.
    let mut last = None;
    while let Some(batch) = rows.next().await {
        last = Some(batch.map(|_| ()));
    }
    assert_eq!(last.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    let next =
        asked_for(Arc::clone(&inquiry), engine.count(Kind::Events, &parse("dport:22"), Window::ALL)).await;
    assert_eq!(next.unwrap_err().kind(), ErrorKind::Cancelled);
    // Its turn is free for others, who are not concerned.
    let count = engine.count(Kind::Events, &parse("dport:22"), Window::ALL).await.unwrap();
    assert_eq!(count.rows, 20_000);
}
