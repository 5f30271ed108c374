//! Our own scan: the same answers as a plain model, of files in order of time and sorted by source, and how little it
//! reads for them.

use crate::common::{Lake, Value, batch, int, text};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch, UInt32Array};
use bartizan_filter::{Context, Filter, Matcher};
use bartizan_model::{Kind, Micros, addr_from_ip};
use bartizan_query::render::Rows;
use bartizan_query::{Engine, Limits, Order, RowStream, Search, Spread, Stats, Window};
use bartizan_schema::table_schema;
use datafusion::arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use futures::StreamExt;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn engine(lake: &Arc<Lake>) -> Engine {
    Engine::new(Arc::clone(lake) as _, &Limits::default()).unwrap()
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, &Context::default()).unwrap()
}

/// Sorted as compaction does.
fn by_source(rows: &RecordBatch) -> RecordBatch {
    let keys: Vec<_> = ["src", "dport", "time"]
        .map(|name| SortColumn { values: Arc::clone(rows.column_by_name(name).unwrap()), options: None })
        .into();
    take_record_batch(rows, &lexsort_to_indices(&keys, None).unwrap()).unwrap()
}

/// By time.
fn by_time(rows: &RecordBatch) -> RecordBatch {
    let key = SortColumn { values: Arc::clone(rows.column_by_name("time").unwrap()), options: None };
    take_record_batch(rows, &lexsort_to_indices(&[key], None).unwrap()).unwrap()
}

/// A row of the model: time, source, port, host.
type Event = (i64, u8, i32, u8);

fn event() -> impl Strategy<Value = Event> {
    (0..60_i64, 0..12_u8, prop_oneof![Just(-1), 20..26_i32, Just(443)], 0..4_u8)
}

fn source(n: u8) -> Option<[u8; 16]> {
    match n {
        0 => None,
        // IPv4, and addresses that are none.
        1..8 => Some(addr_from_ip(format!("10.0.0.{n}").parse().unwrap())),
        _ => Some(addr_from_ip(format!("2001:db8::{n}").parse().unwrap())),
    }
}

fn rows_of(seq: i64, events: &[Event]) -> RecordBatch {
    batch(Kind::Events, events.len(), |column, row| {
        let (time, src, port, host) = events[row];
        match column.name {
            "time" => int(time),
            "stream" => text(if src % 2 == 0 { "a" } else { "b" }),
            "seq" => int(seq),
            "row" => int(row as i64),
            "src" => source(src).map(Value::Addr),
            "dport" if port >= 0 => int(port.into()),
            "host" => text(&format!("Host{host}")),
            _ => None,
        }
    })
}

const FILTERS: [&str; 10] = [
    "",
    "src:10.0.0.3",
    "src:10.0.0.0/29 dport:22,443",
    "-dport:443",
    "host:host1 -dport:443",
    "ip:2001:db8::9 OR dport:25",
    "-src:*",
    "src:192.0.2.0/24",
    "dport:>24 -(src:10.0.0.1 OR host:host2)",
    "src:10.0.0.1,10.0.0.5,2001:db8::a",
];

fn json(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        let rows = Rows::new(batch);
        for row in 0..rows.len() {
            let mut out = Vec::new();
            rows.write_json(row, &mut out);
            lines.push(String::from_utf8(out).unwrap());
        }
    }
    lines
}

/// Batches that go to memory, to files in order of time, and to files sorted by source.
fn lake_of(batches: &[Vec<Event>]) -> (Arc<Lake>, RecordBatch) {
    let lake = Lake::new();
    let mut all = Vec::new();
    for (seq, events) in batches.iter().enumerate() {
        let rows = rows_of(seq as i64, events);
        all.push(rows.clone());
        match seq % 3 {
            _ if events.is_empty() => {}
            0 => lake.add_file(Kind::Events, &by_time(&rows)),
            1 => lake.add_sorted(Kind::Events, &by_source(&rows)),
            _ => lake.add_hot(Kind::Events, rows),
        }
    }
    (lake, concat_batches(&table_schema(Kind::Events), &all).unwrap())
}

/// The rows that count, by the live matcher.
fn matching(all: &RecordBatch, filter: &Filter, window: Window) -> RecordBatch {
    let times = all.column_by_name("time").unwrap();
    let times = times.as_primitive::<arrow_array::types::TimestampMicrosecondType>();
    let matched = Matcher::new(filter).matches(all);
    let rows = (0..all.num_rows()).filter(|row| {
        let time = Micros(times.value(*row));
        matched.value(*row) && window.covers(Some((time, time)))
    });
    take_record_batch(all, &UInt32Array::from_iter_values(rows.map(|row| row as u32))).unwrap()
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> i64 {
    batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row)
}

async fn all_of(rows: RowStream) -> RecordBatch {
    let schema = rows.schema();
    concat_batches(&schema, &rows.collect().await.unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn as_a_plain_model(
        batches in prop::collection::vec(prop::collection::vec(event(), 0..300), 1..7),
        filter in 0..FILTERS.len(),
        limit in 0..40_usize,
        window in prop_oneof![Just((None, None)), (0..60_i64, 0..60_i64).prop_map(|(a, b)| (Some(a), Some(b)))],
        newest in any::<bool>(),
        ports in 0..4_u64,
        hosts in 0..3_u64,
    ) {
        let (lake, all) = lake_of(&batches);
        let window = Window { since: window.0.map(Micros), until: window.1.map(Micros) };
        let filter = parse(FILTERS[filter]);
        let want = matching(&all, &filter, window);
        let engine = engine(&lake);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

        let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
        let search = Search { window, order, limit: Some(limit), ..Search::new(Kind::Events, &filter) };
        let got = runtime.block_on(async { engine.search(search).await.unwrap().collect().await.unwrap() });
        let mut rows: Vec<_> = (0..want.num_rows() as u32).collect();
        rows.sort_by_key(|row| {
            let row = *row as usize;
            let times = want.column_by_name("time").unwrap();
            let time = times.as_primitive::<arrow_array::types::TimestampMicrosecondType>().value(row);
            let stream = want.column_by_name("stream").unwrap().as_string_view().value(row).to_owned();
            let at = i64::from(want.column_by_name("row").unwrap().as_primitive::<arrow_array::types::Int32Type>().value(row));
            let sign = if newest { -1 } else { 1 };
            (sign * time, stream, sign * number(&want, "seq", row), sign * at)
        });
        rows.truncate(limit);
        let sorted = take_record_batch(&want, &UInt32Array::from(rows)).unwrap();
        prop_assert_eq!(json(&got), json(&[sorted]));

        // Ports by sources, and sources that touch many.
        type Touched = (BTreeSet<i32>, BTreeSet<String>, i64);
        let mut sources: BTreeMap<Option<Vec<u8>>, Touched> = BTreeMap::new();
        let mut by_port: BTreeMap<Option<i32>, (BTreeSet<Vec<u8>>, i64)> = BTreeMap::new();
        let (src, dport) = (want.column_by_name("src").unwrap(), want.column_by_name("dport").unwrap());
        let (src, dport) = (src.as_fixed_size_binary(), dport.as_primitive::<arrow_array::types::Int32Type>());
        let host = want.column_by_name("host").unwrap().as_string_view();
        for row in 0..want.num_rows() {
            let source = src.is_valid(row).then(|| src.value(row).to_vec());
            let port = dport.is_valid(row).then(|| dport.value(row));
            let group = by_port.entry(port).or_default();
            group.0.extend(source.clone());
            group.1 += 1;
            let group = sources.entry(source).or_default();
            group.0.extend(port);
            group.1.insert(host.value(row).to_owned());
            group.2 += 1;
        }
        let mut want: Vec<_> = by_port.iter().map(|(port, (set, rows))| (*port, set.len() as i64, *rows)).collect();
        want.sort_by_key(|(port, n, _)| (-n, port.is_none(), *port));
        want.truncate(limit);
        let got = runtime.block_on(async {
            all_of(engine.distinct(Kind::Events, &filter, window, "dport", "src", limit).await.unwrap()).await
        });
        let port = got.column(0).as_primitive::<arrow_array::types::Int32Type>();
        let got: Vec<_> = (0..got.num_rows())
            .map(|row| (port.is_valid(row).then(|| port.value(row)), number(&got, "distinct", row), number(&got, "rows", row)))
            .collect();
        prop_assert_eq!(got, want);

        let mut want: Vec<_> = sources
            .into_iter()
            .map(|(src, (p, h, rows))| (src, p.len() as i64, h.len() as i64, rows))
            .filter(|(_, p, h, _)| *p as u64 > ports && *h as u64 > hosts)
            .collect();
        want.sort_by_key(|(src, p, ..)| (-p, src.is_none(), src.clone()));
        want.truncate(limit);
        let spread = Spread { ports, hosts };
        let got = runtime.block_on(async { all_of(engine.spread(&filter, window, spread, limit).await.unwrap()).await });
        let src = got.column(0).as_fixed_size_binary();
        let got: Vec<_> = (0..got.num_rows())
            .map(|row| {
                let n = |name: &str| number(&got, name, row);
                (src.is_valid(row).then(|| src.value(row).to_vec()), n("ports"), n("hosts"), n("rows"))
            })
            .collect();
        prop_assert_eq!(got, want);
    }
}

/// Very many rows of one moment are sorted whole, and nobody can tell.
#[tokio::test]
async fn a_moment_with_more_rows_than_are_kept() {
    let lake = Lake::new();
    const ROWS: i64 = 150_000;
    let events: Vec<Event> = (0..ROWS).map(|n| (7, 1, (n % 20) as i32, 0)).collect();
    lake.add_file(Kind::Events, &rows_of(1, &events));
    let all = Filter::all();
    let search = Search { limit: Some(3), ..Search::new(Kind::Events, &all) };
    let got = all_of(engine(&lake).search(search).await.unwrap()).await;
    let rows = got.column_by_name("row").unwrap().as_primitive::<arrow_array::types::Int32Type>();
    assert_eq!(rows.values(), &[149_999, 149_998, 149_997]);
}

async fn read(engine: &Engine, search: Search<'_>) -> (usize, Stats) {
    let mut rows = engine.search(search).await.unwrap();
    let mut n = 0;
    while let Some(batch) = rows.next().await {
        n += batch.unwrap().num_rows();
    }
    (n, rows.stats())
}

/// 40 files of 5000 rows that follow one another in time: the first two pieces of the newest answer.
#[tokio::test]
async fn newest_rows_stop_early() {
    const FILES: i64 = 40;
    const ROWS: i64 = 5000;
    let lake = Lake::new();
    for file in 0..FILES {
        let events: Vec<Event> = (0..ROWS)
            .map(|n| (file * ROWS + n, 1 + (n % 9) as u8, if n % 3 == 0 { 443 } else { 22 }, 1))
            .collect();
        lake.add_file(Kind::Events, &rows_of(file, &events));
    }
    let engine = engine(&lake);
    let filter = parse("host:host1 -dport:443");
    let search = Search { limit: Some(100), ..Search::new(Kind::Events, &filter) };
    let (n, stats) = read(&engine, search.clone()).await;
    assert_eq!((n, stats.files), (100, FILES as usize));
    assert!(stats.opened <= 3 && stats.looked_at <= 3 * ROWS as u64, "{stats:?}");
    // A second time, footers are in memory.
    let (_, again) = read(&engine, search).await;
    assert!(again.bytes < stats.bytes, "{again:?} {stats:?}");
    // The oldest, from the other end.
    let oldest = Search { order: Order::OldestFirst, limit: Some(10), ..Search::new(Kind::Events, &filter) };
    let (n, stats) = read(&engine, oldest).await;
    assert!(n == 10 && stats.opened <= 3, "{stats:?}");
}

/// Sorted by source, an address is in one page of each file; a bloom filter spares that page where it is not.
#[tokio::test]
async fn a_needle_reads_one_page_of_each_file_that_has_it() {
    const FILES: usize = 8;
    const ROWS: usize = 4096;
    let lake = Lake::new();
    let address = |file: usize, row: usize| {
        // Even numbers, so that others lie between; only file 3 has the needle.
        let n = (row / 4) as u32 * 2 + u32::from(file == 3 && row / 4 == 500);
        addr_from_ip(std::net::Ipv4Addr::from(0x0a00_0000 + n).into())
    };
    for file in 0..FILES {
        let rows = batch(Kind::Events, ROWS, |column, row| match column.name {
            "time" => int((file * ROWS + row) as i64),
            "seq" => int(file as i64),
            "row" => int(row as i64),
            "src" => Some(Value::Addr(address(file, row))),
            "dst" => Some(Value::Addr(addr_from_ip(format!("192.0.2.{}", row % 200).parse().unwrap()))),
            _ => None,
        });
        lake.add_sorted(Kind::Events, &by_source(&rows));
    }
    let engine = engine(&lake);
    let needle = std::net::Ipv4Addr::from(0x0a00_0000 + 1001);
    let filter = parse(&format!("src:{needle}"));
    let search = Search { limit: Some(100), ..Search::new(Kind::Events, &filter) };
    let (n, stats) = read(&engine, search).await;
    assert_eq!((n, stats.opened), (4, FILES));
    assert!(stats.looked_at <= 2 * 16, "more than its page: {stats:?}");
    // Of a column that nothing is sorted by, bloom filters rule out all.
    let filter = parse("dst:192.0.2.250 src:10.0.0.0/16");
    let (n, stats) = read(&engine, Search { limit: Some(100), ..Search::new(Kind::Events, &filter) }).await;
    assert!(n == 0 && stats.looked_at == 0, "{stats:?}");
}

/// An answer about files is kept until the files are others; one about rows in memory is not.
#[tokio::test]
async fn an_answer_is_kept_until_a_commit() {
    let lake = Lake::new();
    let events: Vec<Event> = (0..1000).map(|n| (n, 1 + (n % 9) as u8, 20 + (n % 5) as i32, 1)).collect();
    lake.add_file(Kind::Events, &rows_of(1, &events));
    let limits = Limits { answer_cache: 1 << 20, ..Limits::default() };
    let engine = Engine::new(Arc::clone(&lake) as _, &limits).unwrap();
    let (all, some) = (Filter::all(), parse("dport:22"));
    let ask = async |filter: &Filter, n: usize| {
        let mut rows = engine.distinct(Kind::Events, filter, Window::ALL, "dport", "src", n).await.unwrap();
        let batch = rows.next().await.unwrap().unwrap();
        (json(&[batch]), rows.stats().looked_at > 0)
    };
    let (answer, read) = ask(&all, 3).await;
    assert!(read);
    assert_eq!(ask(&all, 3).await, (answer.clone(), false));
    assert!(ask(&all, 2).await.1 && ask(&some, 3).await.1, "other questions");

    lake.add_file(Kind::Events, &rows_of(2, &[(5, 10, 20, 1)]));
    let (changed, read) = ask(&all, 3).await;
    assert!(read && changed != answer);
    assert_eq!(ask(&all, 3).await, (changed, false));
    lake.add_hot(Kind::Events, rows_of(3, &[(6, 11, 20, 1)]));
    let (hot, _) = ask(&all, 3).await;
    lake.change(Kind::Events, |view| view.hot.clear());
    let (cold, _) = ask(&all, 3).await;
    assert!(hot != cold && ask(&all, 3).await == (cold, false));
}
