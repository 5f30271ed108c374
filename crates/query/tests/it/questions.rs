use crate::common::{Lake, addr, batch, int, text};
use arrow_array::RecordBatch;
use bartizan_filter::{Context, Filter};
use bartizan_model::{Kind, Micros};
use bartizan_query::render::Rows;
use bartizan_query::{Engine, ErrorKind, Limits, Order, QueryError, RowId, Search, Window};
use std::sync::Arc;

fn parse(text: &str) -> Filter {
    Filter::parse(text, &Context::default()).unwrap()
}

fn engine(lake: &Arc<Lake>) -> Engine {
    Engine::new(Arc::clone(lake) as _, &Limits::default()).unwrap()
}

/// Rows with these times; `seq` as given, `row` by position.
fn at(seq: i64, times: &[i64]) -> RecordBatch {
    batch(Kind::Events, times.len(), |column, row| match column.name {
        "time" => int(times[row]),
        "seq" => int(seq),
        "row" => int(row as i64),
        _ => None,
    })
}

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

fn columns(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|n| (*n).to_owned()).collect())
}

async fn found(engine: &Engine, search: Search<'_>) -> Vec<(i64, i64)> {
    let batches = engine.search(Search { columns: columns(&["seq", "row"]), ..search }).await.unwrap();
    json(&batches.collect().await.unwrap())
        .iter()
        .map(|line| {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            (v["seq"].as_i64().unwrap(), v["row"].as_i64().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn rows_come_in_order_of_time_from_memory_and_files() {
    let lake = Lake::new();
    lake.add_file(Kind::Events, &at(1, &[10, 40, 20]));
    lake.add_hot(Kind::Events, at(2, &[30, 40, 50]));
    lake.add_file(Kind::Events, &at(3, &[40, 5]));
    let (engine, all) = (engine(&lake), Filter::all());
    let search = Search::new(Kind::Events, &all);
    let newest = [(2, 2), (3, 0), (2, 1), (1, 1), (2, 0), (1, 2), (1, 0), (3, 1)];
    assert_eq!(found(&engine, search.clone()).await, newest);
    for limit in 0..=newest.len() {
        assert_eq!(found(&engine, Search { limit: Some(limit), ..search.clone() }).await, newest[..limit]);
    }
    let oldest = [(3, 1), (1, 0), (1, 2), (2, 0), (1, 1), (2, 1), (3, 0), (2, 2)];
    assert_eq!(found(&engine, Search { order: Order::OldestFirst, ..search }).await, oldest);
}

/// A long answer is sorted in slices of time; nobody can tell where they join.
#[tokio::test]
async fn a_long_answer_is_in_order_across_its_slices() {
    let lake = Lake::new();
    let mut want = Vec::new();
    let mut seed = 1_u64;
    for seq in 0..12 {
        let times: Vec<i64> = (0..100)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Most batches follow one another, with equal times at the joints; one is late by far.
                let start = if seq == 7 { 0 } else { seq * 90 };
                start + (seed >> 40) as i64 % 100
            })
            .collect();
        want.extend(times.iter().enumerate().map(|(row, time)| (*time, seq, row as i64)));
        match seq % 3 {
            0 => lake.add_hot(Kind::Events, at(seq, &times)),
            1 => lake.add_file(Kind::Events, &at(seq, &times)),
            _ => {
                let mut file = lake.write(Kind::Events, &at(seq, &times));
                (file.rows, file.time) = (None, None);
                lake.change(Kind::Events, |view| view.files.push(file));
            }
        }
    }
    want.sort_unstable();
    let oldest: Vec<_> = want.iter().map(|(_, seq, row)| (*seq, *row)).collect();
    let newest: Vec<_> = oldest.iter().rev().copied().collect();
    for sort_rows in [1, 30, 1000] {
        let limits = Limits { sort_rows, ..Limits::default() };
        let engine = Engine::new(Arc::clone(&lake) as _, &limits).unwrap();
        let all = Filter::all();
        let search = Search::new(Kind::Events, &all);
        assert_eq!(found(&engine, search.clone()).await, newest, "{sort_rows}");
        let search = Search { order: Order::OldestFirst, ..search };
        assert_eq!(found(&engine, search).await, oldest, "{sort_rows}");
    }
}

#[tokio::test]
async fn a_window_holds_its_start_and_not_its_end() {
    let lake = Lake::new();
    lake.add_file(Kind::Events, &at(1, &[10, 20, 30]));
    lake.add_file(Kind::Events, &at(2, &[40, 50]));
    lake.add_hot(Kind::Events, at(3, &[20, 40]));
    let engine = engine(&lake);
    for (since, until) in [
        (None, None),
        (Some(20), Some(40)),
        (Some(31), None),
        (None, Some(20)),
        (Some(50), Some(51)),
        (Some(60), None),
    ] {
        let inside = |t: i64| since.is_none_or(|s| t >= s) && until.is_none_or(|u| t < u);
        let want = [10, 20, 30, 40, 50, 20, 40].into_iter().filter(|t| inside(*t)).count();
        let window = Window { since: since.map(Micros), until: until.map(Micros) };
        for filter in [Filter::all(), parse("host:x")] {
            let count = engine.count(Kind::Events, &filter, window).await.unwrap();
            assert_eq!(count.rows, want as u64, "{window:?}");
            assert_eq!(
                found(&engine, Search { window, ..Search::new(Kind::Events, &filter) }).await.len(),
                want
            );
        }
    }
    let window = Window { since: Some(Micros(35)), until: None };
    let stats = engine.count(Kind::Events, &parse("host:x"), window).await.unwrap().stats;
    assert_eq!(stats.files, 1, "the older file is not asked");
    let all = engine.count(Kind::Events, &Filter::all(), Window::ALL).await.unwrap();
    assert_eq!(
        (all.rows, all.sums.as_slice(), all.stats.bytes),
        (7, [("packets", 7)].as_slice(), 0),
        "what a file holds as a whole is known without reading it"
    );
}

#[tokio::test]
async fn an_address_is_found_without_reading_every_row_group() {
    let lake = Lake::new();
    // Sorted by address: 64 rows per row group, 100 groups.
    lake.add_file(
        Kind::Events,
        &batch(Kind::Events, 6400, |column, row| match column.name {
            "src" => addr(&format!("10.0.{}.{}", row / 256, row % 256)),
            "row" => int(row as i64),
            _ => None,
        }),
    );
    let engine = engine(&lake);
    for (filter, rows, pruned) in [
        ("src:10.0.7.9", 1, 99),
        ("src:10.0.7.9,10.0.20.1", 2, 98),
        ("src:10.0.7.0/26", 64, 99),
        ("src:192.168.0.0/16", 0, 100),
        ("src:2001:db8::/32", 0, 100),
        ("-src:10.0.0.0/8", 0, 0),
    ] {
        let count = engine.count(Kind::Events, &parse(filter), Window::ALL).await.unwrap();
        assert_eq!((count.rows, count.stats.groups_pruned), (rows, pruned), "{filter}: {:?}", count.stats);
    }
}

#[tokio::test]
async fn the_most_frequent_are_counted_exactly() {
    let lake = Lake::new();
    let rows = |ports: &'static [i64]| {
        batch(Kind::Events, ports.len(), move |column, row| match column.name {
            "dport" => int(ports[row]).filter(|_| ports[row] > 0),
            "proto" => int(if ports[row] == 53 { 17 } else { 6 }),
            "src" => addr("192.0.2.1"),
            _ => None,
        })
    };
    lake.add_hot(Kind::Events, rows(&[22, 22, 53, 0]));
    lake.add_file(Kind::Events, &rows(&[22, 443, 53, 80]));
    let engine = engine(&lake);
    let all = Filter::all();
    let top = engine.top(Kind::Events, &all, Window::ALL, &["dport", "proto"], 4).await.unwrap();
    assert_eq!(
        json(&top.collect().await.unwrap()),
        [
            r#"{"dport":22,"proto":"tcp","packets":3,"rows":3}"#,
            r#"{"dport":53,"proto":"udp","packets":2,"rows":2}"#,
            r#"{"dport":80,"proto":"tcp","packets":1,"rows":1}"#,
            r#"{"dport":443,"proto":"tcp","packets":1,"rows":1}"#,
        ]
    );
    let top = engine.top(Kind::Events, &parse("-dport:*"), Window::ALL, &["SRC", "dport"], 4).await.unwrap();
    assert_eq!(json(&top.collect().await.unwrap()), [r#"{"src":"192.0.2.1","packets":1,"rows":1}"#]);
}

#[tokio::test]
async fn what_cannot_be_grouped_is_refused() {
    let engine = engine(&Lake::new());
    let error =
        async |by: &[&str]| engine.top(Kind::Events, &Filter::all(), Window::ALL, by, 4).await.unwrap_err();
    let either = error(&["ip"]).await;
    assert_eq!(either.kind(), ErrorKind::Question);
    assert_eq!(either.to_string(), "`ip` is either of `src`, `dst`: group by one of them");
    assert!(matches!(error(&["nonsense"]).await, QueryError::NoColumn { .. }));
    assert!(matches!(error(&[]).await, QueryError::Groups { given: 0, .. }));
    assert!(matches!(error(&["src"; 9]).await, QueryError::Groups { given: 9, .. }));
    let all = Filter::all();
    let search = Search { columns: columns(&["time", "sauce"]), ..Search::new(Kind::Events, &all) };
    assert!(
        matches!(engine.search(search).await.unwrap_err(), QueryError::NoColumn { column, .. } if column == "sauce")
    );
}

#[tokio::test]
async fn nothing_is_found_in_nothing() {
    let engine = engine(&Lake::new());
    for filter in [Filter::all(), parse("dport:22 -src:10.0.0.0/8")] {
        assert_eq!(engine.count(Kind::Events, &filter, Window::ALL).await.unwrap().rows, 0);
        assert!(found(&engine, Search::new(Kind::Events, &filter)).await.is_empty());
        let top = engine.top(Kind::Events, &filter, Window::ALL, &["src"], 4).await.unwrap();
        assert!(json(&top.collect().await.unwrap()).is_empty());
    }
}

#[tokio::test]
async fn the_ledger_is_searched_by_host_and_time() {
    let lake = Lake::new();
    let losses = |host: &'static str, time: i64| {
        batch(Kind::Losses, 1, move |column, _| match column.name {
            "host" => text(host),
            "time" => int(time),
            "from" => int(time - 1),
            "stage" => text("kernel"),
            "reason" => text("sequence gap"),
            "count" => int(7),
            _ => None,
        })
    };
    lake.add_hot(Kind::Losses, losses("web1", 2_000_000));
    lake.add_file(Kind::Losses, &losses("web1", 1_000_000));
    lake.add_file(Kind::Losses, &losses("db1", 3_000_000));
    let engine = engine(&lake);
    let all = |window, host: Option<&str>| {
        let engine = &engine;
        let filter = parse(&host.map(|host| format!("host:{host}")).unwrap_or_default());
        async move {
            let search = Search { window, ..Search::new(Kind::Losses, &filter) };
            json(&engine.search(search).await.unwrap().collect().await.unwrap())
        }
    };
    assert_eq!(all(Window::ALL, None).await.len(), 3);
    let web = all(Window::ALL, Some("WEB1")).await;
    assert_eq!(web.len(), 2);
    assert_eq!(
        web[0],
        r#"{"time":"1970-01-01T00:00:02.000000Z","from":"1970-01-01T00:00:01.999999Z","received":"1970-01-01T00:00:00.000000Z","host":"web1","stage":"kernel","reason":"sequence gap","count":7,"stream":"x","seq":0,"row":0,"id":"x/0/0"}"#
    );
    let window = Window { since: Some(Micros(1_500_000)), until: None };
    assert_eq!(all(window, Some("web1")).await.len(), 1);
    assert_eq!(all(window, Some("web")).await.len(), 0);
    // A filter on what the ledger lacks: no value, in both senses.
    assert_eq!(engine.count(Kind::Losses, &parse("src:10.0.0.1"), Window::ALL).await.unwrap().rows, 0);
    assert_eq!(
        engine.count(Kind::Losses, &parse("-src:10.0.0.1 host:web*"), Window::ALL).await.unwrap().rows,
        2
    );
}

#[tokio::test]
async fn a_missing_file_is_told_of() {
    let lake = Lake::new();
    lake.add_hot(Kind::Events, at(1, &[1, 2, 3]));
    let mut file = lake.write(Kind::Events, &at(2, &[1, 2]));
    file.path = "events/gone.parquet".into();
    lake.change(Kind::Events, |view| view.files.push(file));
    let engine = engine(&lake);
    let filter = parse("host:x");
    let count = engine.count(Kind::Events, &filter, Window::ALL).await.unwrap();
    assert_eq!((count.rows, count.left_out.len()), (3, 1));
    let rows = engine.search(Search::new(Kind::Events, &filter)).await.unwrap().collect().await;
    assert_eq!(rows.unwrap_err().kind(), ErrorKind::Incomplete);
}

#[tokio::test]
async fn a_large_limit_is_kept_exactly() {
    let lake = Lake::new();
    let times: Vec<i64> = (0..15_000).collect();
    lake.add_hot(Kind::Events, at(1, &times));
    lake.add_hot(Kind::Events, at(2, &times));
    let (engine, all) = (engine(&lake), Filter::all());
    let rows = found(&engine, Search { limit: Some(25_000), ..Search::new(Kind::Events, &all) }).await;
    assert_eq!(rows.len(), 25_000);
    assert_eq!(rows[..3], [(2, 14_999), (1, 14_999), (2, 14_998)]);
}

#[tokio::test]
async fn a_question_beyond_its_memory_is_refused() {
    let lake = Lake::new();
    let times: Vec<i64> = (0..15_000).collect();
    lake.add_hot(Kind::Events, at(1, &times));
    let limits = Limits { memory: 100 << 10, spill: 1 << 10, ..Limits::default() };
    let engine = Engine::new(lake, &limits).unwrap();
    let all = Filter::all();
    let rows = match engine.search(Search::new(Kind::Events, &all)).await {
        Ok(rows) => rows.collect().await,
        Err(e) => Err(e),
    };
    assert_eq!(rows.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn dropping_the_rows_ends_the_work() {
    let lake = Lake::new();
    let times: Vec<i64> = (0..2_000).collect();
    for seq in 0..20 {
        lake.add_file(Kind::Events, &at(seq, &times));
    }
    let (engine, all) = (engine(&lake), Filter::all());
    let mut rows = engine.search(Search::new(Kind::Events, &all)).await.unwrap();
    futures::StreamExt::next(&mut rows).await.unwrap().unwrap();
    assert!(engine.working() > 0, "more than fits into the channel");
    drop(rows);
    for _ in 0..500 {
        if engine.working() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} tasks are left", engine.working());
}

/// Equal packets may be one row: whoever asks how many packets there were gets packets.
#[tokio::test]
async fn packets_are_summed_and_rows_are_counted() {
    let lake = Lake::new();
    let rows = |ports: &'static [i64], packets: i64| {
        batch(Kind::Events, ports.len(), move |column, row| match column.name {
            "dport" => int(ports[row]),
            "packets" => int(packets),
            "time" => int(1_000_000 * (row as i64 + 1)),
            _ => None,
        })
    };
    lake.add_hot(Kind::Events, rows(&[22, 22, 53], 1));
    lake.add_file(Kind::Events, &rows(&[53], 1000));
    lake.add_file(Kind::Events, &rows(&[22, 22, 22], 2));
    let (engine, all) = (engine(&lake), Filter::all());
    for filter in [all.clone(), parse("host:x")] {
        let count = engine.count(Kind::Events, &filter, Window::ALL).await.unwrap();
        assert_eq!((count.rows, count.sums.as_slice()), (7, [("packets", 1009)].as_slice()), "{filter}");
    }
    let top = engine.top(Kind::Events, &all, Window::ALL, &["dport"], 4).await.unwrap();
    assert_eq!(
        json(&top.collect().await.unwrap()),
        [r#"{"dport":53,"packets":1001,"rows":2}"#, r#"{"dport":22,"packets":8,"rows":5}"#]
    );
    let totals = engine.totals(Kind::Events, &parse("dport:22"), Window::ALL, &["dport"]).await.unwrap();
    assert_eq!(
        json(&totals.collect().await.unwrap()),
        [r#"{"dport":22,"packets":8,"rows":5,"last":"1970-01-01T00:00:03.000000Z"}"#]
    );
    let by_packets = engine.top(Kind::Events, &all, Window::ALL, &["packets"], 1).await.unwrap();
    assert_eq!(json(&by_packets.collect().await.unwrap()), [r#"{"packets":1,"rows":3}"#]);
}

/// Every table answers every question, with what it counts.
#[tokio::test]
async fn each_table_is_searched_counted_and_grouped() {
    let lake = Lake::new();
    for kind in Kind::ALL {
        let rows = |time: i64| {
            batch(kind, 1, move |column, _| match column.name {
                "time" => int(time),
                "src" => addr("192.0.2.1"),
                "bytes" | "reply_bytes" | "count" => int(time),
                "row" => int(time),
                _ => None,
            })
        };
        lake.add_hot(kind, rows(3));
        lake.add_file(kind, &rows(4));
    }
    let engine = engine(&lake);
    for kind in Kind::ALL {
        let filter = Filter::parse_for(kind, "host:x", &Context::default()).unwrap();
        assert_eq!(found(&engine, Search::new(kind, &filter)).await, [(0, 4), (0, 3)], "{kind}");
        let count = engine.count(kind, &filter, Window::ALL).await.unwrap();
        let sum = |name: &str| count.sums.iter().find(|(n, _)| *n == name).map(|(_, sum)| *sum);
        let want = match kind {
            Kind::Events => (None, Some(2), None),
            Kind::Flows => (Some(7), Some(0), None),
            Kind::Counters => (Some(7), Some(2), None),
            Kind::Losses => (None, None, Some(7)),
            Kind::Rulesets | Kind::Lines => (None, None, None),
        };
        assert_eq!((count.rows, (sum("bytes"), sum("packets"), sum("count"))), (2, want), "{kind}");
        let top = engine.top(kind, &filter, Window::ALL, &["host"], 4).await.unwrap();
        let top = json(&top.collect().await.unwrap());
        assert!(top.len() == 1 && top[0].ends_with("\"rows\":2}"), "{kind}: {top:?}");
    }
}

#[tokio::test]
async fn a_row_is_found_by_its_name() {
    let lake = Lake::new();
    let stream = "07070707070707070707070707070707/2/000000000000feed";
    let rows = |seq: i64| {
        batch(Kind::Events, 3, move |column, row| match column.name {
            "stream" => text(stream),
            "seq" => int(seq),
            "row" => int(row as i64),
            "dport" => int(seq * 10 + row as i64),
            _ => None,
        })
    };
    lake.add_hot(Kind::Events, rows(9));
    lake.add_file(Kind::Events, &rows(7));
    lake.add_file(Kind::Events, &rows(8));
    let (engine, all) = (engine(&lake), Filter::all());
    let search = Search { columns: columns(&["id", "dport"]), ..Search::new(Kind::Events, &all) };
    let batches = engine.search(search).await.unwrap().collect().await.unwrap();
    let names = ["id".to_owned(), "dport".to_owned()];
    let mut shown = 0;
    for batch in &batches {
        let rows = Rows::of(batch, &names);
        for row in 0..rows.len() {
            let (id, dport) = (rows.text(0, row).unwrap(), rows.text(1, row).unwrap());
            let id: RowId = id.parse().unwrap();
            let found = engine.row(Kind::Events, id).await.unwrap().collect().await.unwrap();
            let line = json(&found).concat();
            assert!(
                line.contains(&format!("\"dport\":{dport},")) && line.contains(&format!("\"id\":\"{id}\"")),
                "{line}"
            );
            shown += 1;
        }
    }
    assert_eq!(shown, 9);
    let mut id: RowId = format!("{stream}/8/1").parse().unwrap();
    assert_eq!(engine.row(Kind::Events, id).await.unwrap().stats().files, 1, "other files cannot hold it");
    for (seq, row) in [(6, 1), (8, 3), (u64::MAX, 0)] {
        id.batch.seq = bartizan_model::Seq(seq);
        id.row = row;
        assert!(json(&engine.row(Kind::Events, id).await.unwrap().collect().await.unwrap()).is_empty());
    }
}

/// What is exported is read back the same, whatever the number of pieces.
#[tokio::test]
async fn a_file_of_rows_is_read_back() {
    use bartizan_query::{Encoder, FileFormat};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let lake = Lake::new();
    for seq in 0..20 {
        lake.add_hot(Kind::Events, at(seq, &(0..500).map(|n| seq * 500 + n).collect::<Vec<_>>()));
    }
    let (engine, all) = (engine(&lake), Filter::all());
    for format in [FileFormat::Arrow, FileFormat::Parquet] {
        let search = Search { order: Order::OldestFirst, ..Search::new(Kind::Events, &all) };
        let mut rows = engine.search(search).await.unwrap();
        let mut encoder = Encoder::new(format, &rows.schema()).unwrap();
        let (mut bytes, mut given) = (Vec::new(), Vec::new());
        while let Some(batch) = futures::StreamExt::next(&mut rows).await {
            let batch = batch.unwrap();
            bytes.extend(encoder.write(&batch).unwrap());
            given.extend(json(&[batch]));
        }
        bytes.extend(encoder.finish().unwrap());
        let read: Vec<RecordBatch> = match format {
            FileFormat::Arrow => {
                let reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
                reader.map(Result::unwrap).collect()
            }
            FileFormat::Parquet => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
                reader.build().unwrap().map(Result::unwrap).collect()
            }
        };
        assert_eq!(given.len(), 10_000);
        assert_eq!(json(&read), given, "{format:?}");
    }
}
