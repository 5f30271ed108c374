//! Questions about how many give the same answer from rollups as from rows.

use crate::common::{Value, batch};
use arrow_array::RecordBatch;
use bartizan_filter::{Context, Filter};
use bartizan_lake::{DurableLocal, Options, RollOptions, Tables};
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId, addr_from_ip};
use bartizan_query::{Bucket, Compare, Engine, Histogram, Limits, RowStream, Source, View, Window, render};
use bartizan_schema::Rollup;
use object_store::ObjectStore;
use proptest::prelude::*;
use std::sync::Arc;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
/// 2026-11-23T12:00:00Z.
const NOON: i64 = 20_780 * Micros::DAY + 12 * HOUR;

/// A lake in a folder that goes with it.
struct Lake {
    _dir: tempfile::TempDir,
    tables: Tables,
}

impl Lake {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new(dir.path()).unwrap());
        let options = Options { checkpoint_every: 0, ..Options::default() };
        let tables = Tables::open(&store, &options, Micros(NOON)).await.unwrap();
        Self { _dir: dir, tables }
    }

    fn append(&self, seq: u64, rows: RecordBatch) {
        let stream = StreamId { host: HostId::from_bytes([1; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
        self.tables
            .of(Kind::Events)
            .append(BatchId { stream, seq: Seq(seq) }, vec![rows], 100, Micros(NOON))
            .unwrap();
    }

    async fn commit(&self) {
        self.tables.of(Kind::Events).commit(Micros(NOON)).await.unwrap();
    }

    async fn roll(&self, pieces: usize) {
        for _ in 0..pieces {
            self.tables.roll(RollOptions { min_rows: 1 }, Micros(NOON)).await.unwrap();
        }
    }

    fn engine(&self) -> Engine {
        let limits = Limits { one_pass_rows: 0, ..Limits::default() };
        Engine::new(Arc::new(self.tables.clone()), &limits).unwrap()
    }

    /// An engine that sees rows alone.
    fn plain(&self) -> Engine {
        Engine::new(Arc::new(Plain(self.tables.clone())), &Limits::default()).unwrap()
    }
}

struct Plain(Tables);

impl Source for Plain {
    fn view(&self, kind: Kind, window: Window) -> View {
        self.0.view(kind, window)
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.0.store()
    }
}

#[derive(Debug, Clone)]
struct Event {
    time: i64,
    pick: [u8; 8],
    packets: i64,
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![
        8 => (-3 * HOUR..3 * HOUR).prop_map(|t| NOON + t),
        2 => (-20..20_i64).prop_map(|t| NOON + t),
        1 => Just(-7_i64),
        1 => Just(i64::MIN),
    ];
    let packets = prop_oneof![12 => 1..5_i64, 1 => Just(100), 1 => Just(0), 1 => Just(-3)];
    (time, any::<[u8; 8]>(), packets).prop_map(|(time, pick, packets)| Event { time, pick, packets })
}

fn one(pick: u8, of: &[Option<&str>]) -> Option<Value> {
    of[usize::from(pick) % of.len()].map(|text| Value::Text(text.to_owned()))
}

fn rows(events: &[Event], seq: u64) -> RecordBatch {
    batch(Kind::Events, events.len(), |column, row| {
        let event = &events[row];
        let pick = event.pick;
        let number = |of: &[Option<i64>], pick: u8| of[usize::from(pick) % of.len()].map(Value::Int);
        match column.name {
            "time" => Some(Value::Int(event.time)),
            "received" => Some(Value::Int(NOON)),
            "seq" => Some(Value::Int(seq.cast_signed())),
            "row" => Some(Value::Int(row as i64)),
            "host" => one(pick[0], &[Some("web1"), Some("web2"), Some("db")]),
            "action" => one(pick[1], &[Some("drop"), Some("accept"), Some("reject")]),
            "rule" => one(pick[2], &[None, Some("a rule longer than twelve bytes"), Some("r")]),
            "prefix" => one(pick[3], &[None, Some("IN-SSH drop: "), Some("p")]),
            "proto" => number(&[None, Some(6), Some(17)], pick[4]),
            "dport" => number(&[None, Some(22), Some(443), Some(8080)], pick[5]),
            "src" => match pick[6] {
                0..8 => None,
                n => Some(Value::Addr(addr_from_ip(std::net::Ipv4Addr::new(10, 0, n % 3, n).into()))),
            },
            "src_country" => one(pick[7], &[None, Some("DE"), Some("US")]),
            "src_asn" => number(&[None, Some(1), Some(64_500)], pick[7] / 3),
            "length" => number(&[None, Some(40), Some(1500)], pick[5]),
            "packets" => Some(Value::Int(event.packets)),
            _ => None,
        }
    })
}

const FILTERS: &[&str] = &[
    "",
    "action:drop",
    "host:web1,web2 -action:accept",
    "host:w* dport:22",
    "prefix:\"in-ssh drop: \"",
    "-rule:r",
    "proto:tcp OR proto:udp",
    "-dport:22-443",
    "src:10.0.1.0/24",
    "src:10.0.0.0/8 action:drop,reject",
    "rule:* prefix:*",
    "dst:10.0.0.1",
    "len:>100",
    "NOT (host:db OR action:drop)",
    "uid:0",
];
const GROUPS: &[&[&str]] = &[
    &[],
    &["src"],
    &["host", "prefix"],
    &["dport"],
    &["src_country"],
    &["src_asn", "action"],
    &["proto"],
    &["rule", "host", "action"],
    &["src", "dport"],
    &["src", "action"],
    &["packets"],
];

fn edge() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        2 => Just(None),
        2 => (-3..4_i64).prop_map(|h| Some(NOON + h * HOUR)),
        2 => (-180..180_i64).prop_map(|m| Some(NOON + m * MINUTE)),
        3 => (-3 * HOUR..3 * HOUR).prop_map(|t| Some(NOON + t)),
        1 => (-30..30_i64).prop_map(|t| Some(NOON + t)),
    ]
}

#[derive(Debug, Clone)]
struct Question {
    filter: &'static str,
    by: &'static [&'static str],
    window: Window,
    n: usize,
    width: i64,
    origin: i64,
}

fn question() -> impl Strategy<Value = Question> {
    let width =
        prop_oneof![Just(MINUTE), Just(5 * MINUTE), Just(HOUR), Just(24 * HOUR), Just(MINUTE / 2), Just(7)];
    let origin = prop_oneof![3 => Just(0), 1 => Just(30 * MINUTE), 1 => Just(-1)];
    let asked = (proptest::sample::select(FILTERS), proptest::sample::select(GROUPS));
    (asked, edge(), edge(), 1..8_usize, width, origin).prop_map(
        |((filter, by), since, until, n, width, origin)| Question {
            filter,
            by,
            window: Window { since: since.map(Micros), until: until.map(Micros) },
            n,
            width,
            origin,
        },
    )
}

async fn lines(stream: RowStream) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in stream.collect().await.unwrap() {
        let rows = render::Rows::new(&batch);
        for row in 0..rows.len() {
            let mut line = Vec::new();
            rows.write_json(row, &mut line);
            lines.push(String::from_utf8(line).unwrap());
        }
    }
    lines
}

/// Each column's values and its others, in words; and all of them.
async fn facets(engine: &Engine, question: &Question, filter: &Filter) -> Vec<String> {
    let found = engine.facets(Kind::Events, filter, question.window, question.by, question.n).await.unwrap();
    let mut words = vec![format!("{} {:?}", found.rows, found.sums)];
    for facet in found.facets {
        let rows = render::Rows::new(&facet.values);
        words.extend((0..rows.len()).map(|row| {
            let mut line = Vec::new();
            rows.write_json(row, &mut line);
            String::from_utf8(line).unwrap()
        }));
        words.push(format!("others: {} {:?}", facet.other_rows, facet.other_sums));
    }
    words
}

/// The answers to a question, of each kind.
async fn answers(engine: &Engine, question: &Question) -> Vec<Vec<String>> {
    let filter = Filter::parse_for(Kind::Events, question.filter, &Context::default()).unwrap();
    let (kind, window, by) = (Kind::Events, question.window, question.by);
    let count = engine.count(kind, &filter, window).await.unwrap();
    let mut answers = vec![vec![format!("{} {:?}", count.rows, count.sums)]];
    // so few that their sketch holds each of them
    let sources = engine.sources(&filter, window).await.unwrap();
    answers.push(vec![format!("{} {} {}", sources.about, sources.least, sources.most)]);
    if !by.is_empty() {
        answers.push(lines(engine.top(kind, &filter, window, by, question.n).await.unwrap()).await);
        answers.push(lines(engine.top(kind, &filter, window, by, 1_000).await.unwrap()).await);
        answers.push(lines(engine.totals(kind, &filter, window, by).await.unwrap()).await);
        // Each takes several questions' time.
        if question.n % 3 == 2 {
            answers.push(facets(engine, question, &filter).await);
            let before = Window { since: None, until: window.since };
            let (n, by) = (question.n, by.iter().map(|name| (*name).to_owned()).collect());
            let compare = Compare { kind, filter: &filter, window, before, by, n };
            answers.push(lines(engine.compare(compare).await.unwrap()).await);
        }
    }
    let histogram = Histogram {
        kind,
        filter: &filter,
        window,
        bucket: Bucket::new(question.width, Micros(question.origin)),
        by: by.iter().map(|name| (*name).to_owned()).collect(),
        limit: None,
    };
    answers.push(lines(engine.histogram(histogram).await.unwrap()).await);
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rollups_and_rows_give_the_same_answers(
        files in proptest::collection::vec(proptest::collection::vec(event(), 1..50), 1..5),
        hot in proptest::collection::vec(event(), 0..10),
        rolled in 0..8_usize,
        questions in proptest::collection::vec(question(), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = Lake::new().await;
            for (seq, events) in (1..).zip(&files) {
                lake.append(seq, rows(events, seq));
                lake.commit().await;
            }
            lake.roll(rolled).await;
            if !hot.is_empty() {
                lake.append(100, rows(&hot, 100));
            }
            let (engine, plain) = (lake.engine(), lake.plain());
            for question in &questions {
                assert_eq!(answers(&engine, question).await, answers(&plain, question).await, "{question:?}");
            }
            // The same where retention has taken some rows: what is asked of all of time.
            let before = answers(&plain, &everything()).await;
            let gone: Vec<_> = lake.tables.of(Kind::Events).view().files.iter().take(1).cloned().collect();
            lake.tables.retire(&gone, Micros(NOON)).await.unwrap();
            assert_eq!(answers(&engine, &everything()).await, before, "after retention");
        });
    }
}

fn everything() -> Question {
    Question {
        filter: "action:drop",
        by: &["host", "prefix"],
        window: Window::ALL,
        n: 5,
        width: HOUR,
        origin: 0,
    }
}

/// Many sources in many files, so that the first tiers are not enough by themselves.
#[tokio::test]
async fn the_top_sources_are_exact_and_not_all_is_read() {
    let lake = Lake::new().await;
    let mut seed = 1_u64;
    for seq in 1..=6 {
        let rows = batch(Kind::Events, 30_000, |column, row| {
            match column.name {
                "time" => Some(Value::Int(NOON + row as i64)),
                "received" => Some(Value::Int(NOON)),
                "seq" => Some(Value::Int(seq)),
                "row" => Some(Value::Int(row as i64)),
                "action" => Some(Value::Text(if row % 3 == 0 { "drop" } else { "accept" }.to_owned())),
                "packets" => Some(Value::Int(1 + row as i64 % 7)),
                "src" => {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Few with much and many with little, other ones in each file.
                    let unit = (seed >> 40) as f64 / (1_u64 << 24) as f64;
                    let n = (3_000_000.0 * unit.powi(8)) as u32 + 100 * u32::try_from(seq).unwrap();
                    Some(Value::Addr(addr_from_ip(std::net::Ipv4Addr::from(0x0a00_0000 + n).into())))
                }
                _ => None,
            }
        });
        lake.append(seq.cast_unsigned(), rows);
        lake.commit().await;
    }
    lake.roll(10).await;
    assert!(lake.tables.parts().parts.iter().all(|p| p.counts[Rollup::Sources.index()].is_some()));
    let (engine, plain) = (lake.engine(), lake.plain());
    for filter in ["", "action:drop", "src:10.0.8.0/21", "src:10.1.0.0/16"] {
        for n in [1, 20, 500, 50_000] {
            let filter = Filter::parse_for(Kind::Events, filter, &Context::default()).unwrap();
            let top = async |engine: &Engine| {
                lines(engine.top(Kind::Events, &filter, Window::ALL, &["src"], n).await.unwrap()).await
            };
            assert_eq!(top(&engine).await, top(&plain).await, "{filter} {n}");
        }
    }
    let filter = Filter::parse_for(Kind::Events, "", &Context::default()).unwrap();
    let top = engine.top(Kind::Events, &filter, Window::ALL, &["src"], 3).await.unwrap();
    let counted = top.counted_from().cloned().unwrap();
    assert_eq!((counted.rollups.as_slice(), counted.whole, counted.rows), (&["sources"][..], 6, 0));
    let whole: u64 = lake.tables.rollup(Rollup::Sources).view().files.iter().map(|file| file.size()).sum();
    assert!(top.stats().bytes < whole * 2 / 3, "{} of {whole} bytes", top.stats().bytes);

    // How many there are is known from their sketches, about, and much less is read.
    let all = engine.top(Kind::Events, &filter, Window::ALL, &["src"], 1_000_000).await.unwrap();
    let all = lines(all).await.len() as u64;
    let known = engine.sources(&filter, Window::ALL).await.unwrap();
    let read = plain.sources(&filter, Window::ALL).await.unwrap();
    for sources in [&known, &read] {
        assert!(sources.least <= all && all <= sources.most, "{sources:?}: {all}");
        assert!(all.abs_diff(sources.about) < all / 20, "{sources:?}: {all}");
    }
    assert!(known.stats.bytes * 10 < read.stats.bytes, "{known:?} {read:?}");
}

/// A rollup's file that is damaged is no loss: the rows are there.
#[tokio::test]
async fn rows_are_read_where_counts_cannot_be() {
    let lake = Lake::new().await;
    let events: Vec<Event> =
        (0..100).map(|i| Event { time: NOON + i * MINUTE, pick: [i as u8; 8], packets: 2 }).collect();
    lake.append(1, rows(&events, 1));
    lake.commit().await;
    lake.roll(3).await;
    let before = answers(&lake.plain(), &everything()).await;
    for rollup in Rollup::ALL {
        for file in lake.tables.rollup(rollup).view().files.iter() {
            let path = lake._dir.path().join(file.path().as_ref());
            std::fs::write(&path, vec![7; std::fs::metadata(&path).unwrap().len() as usize]).unwrap();
        }
    }
    let engine = lake.engine();
    assert_eq!(answers(&engine, &everything()).await, before);
    let filter = Filter::parse_for(Kind::Events, "", &Context::default()).unwrap();
    let count = engine.count(Kind::Events, &filter, Window::ALL).await.unwrap();
    assert_eq!((count.rows, count.left_out.len()), (100, 0));
}

#[tokio::test]
async fn a_plan_says_what_it_counts_from() {
    let lake = Lake::new().await;
    let events: Vec<Event> =
        (0..100).map(|i| Event { time: NOON + i * MINUTE, pick: [i as u8; 8], packets: 2 }).collect();
    lake.append(1, rows(&events, 1));
    lake.commit().await;
    lake.roll(3).await;
    lake.append(2, rows(&events[..7], 2));
    let engine = lake.engine();
    let filter = Filter::parse_for(Kind::Events, "", &Context::default()).unwrap();
    let window = Window { since: Some(Micros(NOON + 1)), until: None };
    let plan = engine.explain(Kind::Events, &filter, window, &["host"], None).unwrap();
    let want = "rollup events_1m: 0 files whole, 1 file cut; 100 rows of counts\n\
                rows at the edges of the window: in 1 file\nrows in memory: 7\n";
    assert_eq!(plan, want);
    let plan = engine.explain(Kind::Events, &filter, Window::ALL, &["dst"], None).unwrap();
    assert_eq!(plan, "rows of 1 file: 100\nrows in memory: 7\n");
}

/// Retention took the rows and the window cuts their buckets: the answer says so.
#[tokio::test]
async fn history_that_is_cut_is_said_not_to_be_exact() {
    let lake = Lake::new().await;
    let events: Vec<Event> = (0..100)
        .map(|i| Event { time: NOON + i * MINUTE + 30_000_000, pick: [i as u8; 8], packets: 2 })
        .collect();
    lake.append(1, rows(&events, 1));
    lake.commit().await;
    let gone: Vec<_> = lake.tables.of(Kind::Events).view().files.iter().cloned().collect();
    lake.tables.retire(&gone, Micros(NOON)).await.unwrap();
    let engine = lake.engine();
    let filter = Filter::parse_for(Kind::Events, "", &Context::default()).unwrap();
    for (since, rows, exact) in [(0, 100, true), (MINUTE, 99, true), (MINUTE + 1, 98, false)] {
        let window = Window { since: Some(Micros(NOON + since)), until: None };
        let count = engine.count(Kind::Events, &filter, window).await.unwrap();
        let counted = count.counted.unwrap();
        assert_eq!((count.rows, counted.exact, counted.history), (rows, exact, 1), "{since}");
    }
}
