//! Every way of counting gives one number: for random filters, and the same said in SQL.
//!
//! `BARTIZAN_AGREE` says how many filters, 500 if nothing does.

use crate::support::*;
use crate::tail::tail_with;
use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{ArrayRef, Int16Array, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
use axum::http::StatusCode;
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId, addr_from_ip};
use serde_json::{Value, json};
use std::sync::Arc;

/// A small generator: the same filters in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// A filter, and the condition that says the same in SQL.
fn filter(random: &mut Random, depth: u32) -> (String, String) {
    if depth > 0 {
        let (a, b) = (filter(random, depth - 1), filter(random, depth - 1));
        match random.below(5) {
            0 => return (format!("({} {})", a.0, b.0), format!("({} AND {})", a.1, b.1)),
            1 => return (format!("({} OR {})", a.0, b.0), format!("({} OR {})", a.1, b.1)),
            // Neither language has a third value here: what is not true is false.
            2 => return (format!("-({})", a.0), format!("({}) IS NOT TRUE", a.1)),
            _ => {}
        }
    }
    let side = random.one_of(&["src", "dst"]);
    let port = random.below(6) + 20;
    let host = random.below(4);
    match random.below(13) {
        0 => (format!("dport:{port}"), format!("dport = {port}")),
        1 if port > 23 => (format!("dport:>{port}"), format!("dport > {port}")),
        1 => (format!("dport:{port}-23"), format!("dport BETWEEN {port} AND 23")),
        2 => (format!("sport:{port},22"), format!("sport IN ({port}, 22)")),
        3 => (format!("port:{port}"), format!("(sport = {port} OR dport = {port})")),
        4 => (format!("{side}:10.0.0.{host}"), format!("{side} = '10.0.0.{host}'")),
        5 => (format!("{side}:10.0.0.0/30"), format!("in_cidr({side}, '10.0.0.0/30')")),
        6 => (format!("{side}:2001:db8::/32"), format!("in_cidr({side}, '2001:db8::/32')")),
        7 => (format!("ip:10.0.0.{host}"), format!("(src = '10.0.0.{host}' OR dst = '10.0.0.{host}')")),
        8 => (format!("host:WEB-{host}"), format!("lower(host) = 'web-{host}'")),
        9 => (format!("host:*-{host}"), format!("host LIKE '%-{host}'")),
        10 => ("proto:tcp".to_owned(), "proto = 6".to_owned()),
        11 => ("flags:syn".to_owned(), "(tcp_flags & 2) <> 0".to_owned()),
        _ => ("prefix:*".to_owned(), "prefix IS NOT NULL".to_owned()),
    }
}

/// Rows of every kind, also such as lack a value; half of them in files, the rest in memory.
async fn filled() -> Server {
    let (dir, tables) = empty().await;
    let now = Micros(NOW);
    let table = tables.of(Kind::Events);
    let stream = StreamId { host: HostId::from_bytes([7; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
    let mut random = Random(7);
    for seq in 1..=8 {
        let n = 150;
        let mut address = || {
            let mut builder = FixedSizeBinaryBuilder::new(16);
            for _ in 0..n {
                match random.below(8) {
                    0 => builder.append_null(),
                    1 => builder.append_value(addr_from_ip("2001:db8::5".parse().unwrap())).unwrap(),
                    k => builder.append_value(addr_from_ip(format!("10.0.0.{k}").parse().unwrap())).unwrap(),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        };
        let (src, dst) = (address(), address());
        let mut maybe = |most: u64, from: u64| {
            let value = |random: &mut Random| match random.below(6) {
                0 => None,
                _ => Some(i64::try_from(from + random.below(most)).unwrap()),
            };
            (0..n).map(|_| value(&mut random)).collect::<Vec<_>>()
        };
        let i32s = |values: Vec<Option<i64>>| {
            let values = values.into_iter().map(|v| v.map(|n| i32::try_from(n).unwrap()));
            Arc::new(Int32Array::from_iter(values)) as ArrayRef
        };
        let i16s = |values: Vec<Option<i64>>| {
            let values = values.into_iter().map(|v| v.map(|n| i16::try_from(n).unwrap()));
            Arc::new(Int16Array::from_iter(values)) as ArrayRef
        };
        let (sport, dport, flags) = (i32s(maybe(6, 20)), i32s(maybe(6, 20)), i16s(maybe(8, 0)));
        let proto: Vec<_> = maybe(2, 0).into_iter().map(|v| v.map(|n| if n == 0 { 6 } else { 17 })).collect();
        let texts = |values: Vec<Option<i64>>, before: &str| {
            let values = values.into_iter().map(|v| v.map(|n| format!("{before}{n}")));
            Arc::new(StringViewArray::from_iter(values)) as ArrayRef
        };
        let prefix = texts(maybe(3, 0), "in-");
        let host = maybe(4, 0).into_iter().map(|v| v.or(Some(0))).collect();
        let packets = maybe(3, 1).into_iter().map(|v| v.or(Some(1)));
        let times = (0..n).map(|i| NOW - 3_600_000_000 * i64::from(seq) + i * 1_000_003);
        let given = vec![
            (
                "time",
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")) as ArrayRef,
            ),
            ("src", src),
            ("dst", dst),
            ("sport", sport),
            ("dport", dport),
            ("tcp_flags", flags),
            ("proto", i16s(proto)),
            ("prefix", prefix),
            ("host", texts(host, "Web-")),
            ("packets", Arc::new(Int64Array::from_iter(packets)) as ArrayRef),
        ];
        let rows = rows(Kind::Events, usize::try_from(n).unwrap(), NOW, given);
        let id = BatchId { stream, seq: Seq(u64::try_from(seq).unwrap()) };
        table.append(id, vec![rows], 1000, now).unwrap();
        if seq % 2 == 0 && seq < 7 {
            table.commit(now).await.unwrap();
        }
    }
    serving(dir, tables).await
}

fn sum(values: &Value, of: &str) -> i64 {
    values.as_array().unwrap().iter().map(|value| value[of].as_i64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_counting_gives_one_number() {
    let server = filled().await;
    let filters = std::env::var("BARTIZAN_AGREE").map_or(500, |n| n.parse().unwrap());
    let mut random = Random(0x5eed);
    let mut some = 0;
    for _ in 0..filters {
        let (filter, condition) = filter(&mut random, 3);
        let ask = async |path: &str, more: Value| {
            let mut body = json!({"filter": filter});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (status, answer) = server.ask(&format!("/api/v1/{path}"), body).await;
            assert_eq!(status, StatusCode::OK, "{path} {filter}: {answer}");
            answer
        };
        let count = ask("count", json!({})).await;
        let (rows, packets) = (count["rows"].as_i64().unwrap(), count["packets"].as_i64().unwrap());
        some += i64::from(rows > 0 && rows < 1200);
        let what = format!("{filter} | {condition}");

        let lines = server.lines("/api/v1/search", json!({"filter": filter, "limit": 10_000})).await;
        assert_eq!(lines.len() as i64 - 1, rows, "search: {what}");
        assert_eq!(
            lines[..lines.len() - 1].iter().map(|l| l["packets"].as_i64().unwrap()).sum::<i64>(),
            packets
        );
        let exported = server.lines("/api/v1/export", json!({"filter": filter})).await;
        assert_eq!(exported.len() as i64 - 1, rows, "export: {what}");

        // All that has arrived, from the store.
        let mut tail = tail_with(&server, json!({"filter": filter, "after": "0.0"})).await;
        let mut replayed = 0;
        let matched = loop {
            match tail.next().await.unwrap() {
                (name, _) if name == "row" => replayed += 1,
                (name, stats) if name == "stats" => break stats["matched"].clone(),
                other => panic!("{other:?}: {what}"),
            }
        };
        assert_eq!((replayed, matched), (rows, json!(rows)), "tail: {what}");

        let top = ask("top", json!({"by": ["host", "dport"], "limit": 10_000})).await;
        assert_eq!((sum(&top["rows"], "rows"), sum(&top["rows"], "packets")), (rows, packets), "top: {what}");
        let facets = ask("facets", json!({"fields": ["host", "dport", "proto"], "limit": 2})).await;
        assert_eq!(
            (facets["rows"].as_i64(), facets["packets"].as_i64()),
            (Some(rows), Some(packets)),
            "{what}"
        );
        for facet in facets["facets"].as_array().unwrap() {
            let other = |of: &str| facet["other"][of].as_i64().unwrap_or_default();
            let all = |of: &str| sum(&facet["values"], of) + other(of);
            assert_eq!((all("rows"), all("packets")), (rows, packets), "facet {facet}: {what}");
        }
        let window =
            json!({"since": NOW - 86_400_000_000, "until": NOW + 86_400_000_000, "bucket_seconds": 3600});
        let histogram = ask("histogram", window).await;
        let bars = &histogram["rows"];
        assert_eq!((sum(bars, "rows"), sum(bars, "packets")), (rows, packets), "histogram: {what}");

        let query = format!(
            "SELECT count(*) AS n, coalesce(sum(packets), 0) AS packets FROM events WHERE {condition}"
        );
        let told = server.lines("/api/v1/sql", json!({"query": query})).await;
        assert_eq!(
            (told[1]["n"].as_i64(), told[1]["packets"].as_i64()),
            (Some(rows), Some(packets)),
            "sql: {what}"
        );
        let query = format!("SELECT src, host FROM events WHERE {condition}");
        let csv = json!({"query": query, "format": "csv"}).to_string();
        let (_, _, csv) = server.text(post("/api/v1/sql", &csv)).await;
        assert_eq!(csv.lines().count() as i64 - 1, rows, "csv: {what}");
    }
    assert!(some > filters / 3, "most filters should match some rows and not all: {some} do");
}
