//! Three ways to the same rows, for random rows and random filters: the plan, over hot batches, over files and over
//! both; the live matcher on rows as the server has them; the matcher on rows as an agent has them, with text as
//! dictionaries.

use crate::common::{Lake, Value, batch};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bartizan_filter::{AddrRange, Context, Filter, Matcher};
use bartizan_model::{Kind, addr_from_ip};
use bartizan_query::{Engine, Limits, Search, Window};
use bartizan_schema::{Column, ColumnKind, FIELDS, FieldKind, table_columns};
use datafusion::arrow::compute::cast;
use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

/// The table of the language's crate.
#[path = "../../../filter/tests/it/cases.rs"]
mod cases;

const ADDRS: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "10.1.2.3",
    "192.168.1.255",
    "192.168.2.0",
    "8.8.8.8",
    "0.0.0.0",
    "255.255.255.255",
    "127.0.0.1",
    "224.0.0.5",
    "::",
    "::1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:1::",
    "fe80::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];
const TEXTS: &[&str] = &[
    "",
    "web1",
    "WEB1",
    "Web-01",
    "db",
    "eth0",
    "ETH0",
    "eth0.5",
    "Übel",
    "übel",
    "a*b",
    "a?b",
    "x\"y",
    "x\\y",
    "IN-SSH drop: ",
    "in-ssh drop: ",
    "drop",
    "DROP",
    "accept",
    "input",
    "ip",
    "ip6",
    "new",
    "NL",
    "de",
    "nflog",
    "aa:bb:cc:dd:ee:ff",
    "a text longer than twelve bytes",
    "A TEXT LONGER THAN TWELVE BYTES",
    "ſ",
    "K",
];
const PORTS: &[i64] = &[0, 1, 22, 53, 80, 443, 1024, 8080, 65534, 65535];
const SMALL: &[i64] = &[0, 1, 2, 6, 16, 17, 18, 58, 64, 128, 132, 255, 256, 511];
const LARGE: &[i64] = &[0, 1, 255, 1000, 65535, 65536, 4_294_967_295, -1, i64::MAX, i64::MIN];

fn value(column: &'static Column, pick: u64) -> Option<Value> {
    if column.nullable && pick.is_multiple_of(4) {
        return None;
    }
    let pick = (pick / 4) as usize;
    Some(match column.kind {
        ColumnKind::Text => Value::Text(TEXTS[pick % TEXTS.len()].to_owned()),
        ColumnKind::Addr => Value::Addr(addr_from_ip(ADDRS[pick % ADDRS.len()].parse().unwrap())),
        ColumnKind::Bytes => Value::Bytes(vec![pick as u8]),
        ColumnKind::Time => Value::Int(pick as i64 % 1000),
        ColumnKind::I16 => Value::Int(SMALL[pick % SMALL.len()]),
        ColumnKind::I32 => Value::Int(PORTS[pick % PORTS.len()]),
        ColumnKind::I64 => Value::Int(LARGE[pick % LARGE.len()]),
    })
}

/// Random rows, named by `row`, with `seq` the number of the batch.
fn rows(kind: Kind, n: usize, seq: i64, mut seed: u64) -> RecordBatch {
    batch(kind, n, |column, row| match column.name {
        "row" => Some(Value::Int(row as i64)),
        "seq" => Some(Value::Int(seq)),
        _ => {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value(column, seed >> 33)
        }
    })
}

fn context() -> Context {
    let many = (0..200u8).filter(|n| n % 2 == 0).map(|n| AddrRange::parse(&format!("10.0.0.{n}")).unwrap());
    Context::default()
        .with_set("many", many.collect())
        .with_set("none", Vec::new())
        .with_group("web", &["web*".into(), "db".into()])
        .with_group("nobody", &[])
        .with_fleet(vec![
            AddrRange::parse("192.168.0.0/16").unwrap(),
            AddrRange::parse("2001:db8::/32").unwrap(),
        ])
}

fn one(of: &[&str]) -> impl Strategy<Value = String> + use<> {
    proptest::sample::select(of.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
}

fn values(kind: FieldKind) -> BoxedStrategy<String> {
    let number = |max: i64| {
        prop_oneof![
            (0..=max).prop_map(|n| n.to_string()),
            (0..=max, 0..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            (0..=max).prop_map(|n| format!(">{n}")),
            (0..=max).prop_map(|n| format!("<={n}")),
        ]
    };
    let single = match kind {
        FieldKind::Addr => prop_oneof![
            3 => one(ADDRS),
            2 => one(&["10.0.0.0/8", "10.0.0.0/31", "192.168.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::/32", "fe80::/10"]),
            1 => one(&["10.0.0.1-10.1.0.0", "2001:db8::-2001:db8:0:ffff::"]),
            2 => one(&["private", "public", "loopback", "linklocal", "multicast", "@many", "@none", "fleet"]),
        ].boxed(),
        FieldKind::Port => prop_oneof![
            3 => proptest::sample::select(PORTS.to_vec()).prop_map(|n| n.to_string()),
            1 => one(&["ssh", "https", "20-90", "1024-65535", ">443", "<22", ">=65535"]),
        ].boxed(),
        FieldKind::Proto => one(&["tcp", "udp", "icmp", "icmpv6", "sctp", "6", "17", "255", "0-17"]).boxed(),
        FieldKind::Asn => one(&["0", "AS1", "as255", "AS1000-AS65535", ">=AS65536", "4294967295"]).boxed(),
        FieldKind::Flags => one(&["syn", "ack", "fin", "rst", "ae", "cwr"]).boxed(),
        FieldKind::Number => prop_oneof![
            proptest::sample::select(SMALL.to_vec()).prop_map(|n| n.to_string()),
            one(&["0-64", ">255", ">=70000", "<=4294967295", "1000-2000", "65536"]),
            number(300),
        ].boxed(),
        FieldKind::Group => one(&["web", "nobody", "w*", "*", "~\"^n\""]).boxed(),
        FieldKind::Text => prop_oneof![
            3 => proptest::sample::select(TEXTS.to_vec()).prop_map(quoted),
            1 => one(&["web*", "*0", "e?h0", "*drop*", "?", "*text*than*", "übe?"]),
            1 => one(&["~\"^web\\d\"", "~\"(?-i)^web\"", "~\"drop: $\"", "~\"\"", "~\"longer|db\""]),
        ].boxed(),
    };
    prop_oneof![
        8 => single.clone(),
        3 => proptest::collection::vec(single.clone(), 2..5).prop_map(|v| v.join(",")),
        1 => proptest::collection::vec(single, 20..40).prop_map(|v| v.join(",")),
        1 => Just("*".to_owned()),
    ]
    .boxed()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn term(kind: Kind) -> impl Strategy<Value = String> {
    let fields = FIELDS
        .iter()
        .filter(|f| f.is_in(kind))
        .map(|f| values(f.kind).prop_map(move |v| format!("{}:{v}", f.name)).boxed());
    prop_oneof![
        8 => Union::new(fields.collect::<Vec<_>>()),
        1 => one(&["web", "ssh", "drop", "\"IN-SSH drop\"", "10.0.0.0/8", "2001:db8::1", "*"]),
    ]
}

/// Filters as a person would write them. Some do not parse (a field with a closed vocabulary, say); they are
/// left out.
fn filter(kind: Kind) -> impl Strategy<Value = String> {
    term(kind).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|v| format!("({})", v.join(" "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|v| format!("({})", v.join(" OR "))),
            inner.prop_map(|f| format!("-({f})")),
        ]
    })
}

/// Rows as they are on their way from an agent.
fn wire(kind: Kind, batch: &RecordBatch) -> RecordBatch {
    let columns = table_columns(kind).iter().map(|column| {
        let array = cast(batch.column_by_name(column.name).unwrap(), &column.kind.wire()).unwrap();
        (column.name, array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The rows that the matcher finds, which are the same in both forms.
fn expected(kind: Kind, filter: &Filter, batches: &[RecordBatch]) -> BTreeSet<(i64, i32)> {
    let matcher = Matcher::new(filter);
    let mut found = BTreeSet::new();
    for batch in batches {
        let matches = matcher.matches(batch);
        assert_eq!(matches.null_count(), 0, "the matcher knows two values");
        assert_eq!(matcher.matches(&wire(kind, batch)), matches, "an agent finds others: {filter}");
        found
            .extend(ids(batch).into_iter().zip(&matches).filter(|(_, m)| *m == Some(true)).map(|(id, _)| id));
    }
    found
}

fn ids(batch: &RecordBatch) -> Vec<(i64, i32)> {
    let seq = batch.column_by_name("seq").unwrap().as_primitive::<Int64Type>();
    let row = batch.column_by_name("row").unwrap().as_primitive::<Int32Type>();
    seq.values().iter().copied().zip(row.values().iter().copied()).collect()
}

fn cases(quick: u32) -> ProptestConfig {
    let soak = std::env::var_os("BARTIZAN_SOAK").is_some();
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if soak { quick * 50 } else { quick })
    }
}

proptest! {
    #![proptest_config(cases(20))]

    #[test]
    fn the_plan_and_the_live_matcher_agree(
        seed: u64,
        sizes in proptest::collection::vec((1usize..200, any::<bool>()), 1..4),
        (kind, filters) in proptest::sample::select(Kind::ALL.to_vec())
            .prop_flat_map(|kind| (Just(kind), proptest::collection::vec(filter(kind), 40))),
    ) {
        let lake = Lake::new();
        let mut batches = Vec::new();
        for (i, (n, hot)) in sizes.into_iter().enumerate() {
            let batch = rows(kind, n, i as i64, seed.wrapping_add(i as u64));
            if hot { lake.add_hot(kind, batch.clone()) } else { lake.add_file(kind, &batch) }
            batches.push(batch);
        }
        let engine = Engine::new(lake, &Limits::default()).unwrap();
        let context = context();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for text in filters {
            let Ok(filter) = Filter::parse_for(kind, &text, &context) else { continue };
            let want = expected(kind, &filter, &batches);
            let got: Vec<_> = runtime.block_on(async {
                let columns = Some(vec!["seq".to_owned(), "row".to_owned()]);
                let search = Search { columns, ..Search::new(kind, &filter) };
                let found = engine.search(search).await.unwrap().collect().await.unwrap();
                found.iter().flat_map(ids).collect()
            });
            prop_assert_eq!(got.len(), want.len(), "twice or missing: {}", text);
            prop_assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), want.clone(), "{}", text);
            let count = runtime.block_on(engine.count(kind, &filter, Window::ALL)).unwrap();
            prop_assert_eq!(count.rows, want.len() as u64, "count of {}", text);
        }
    }
}

/// Pairs of a row and a filter that are tried: 400,000, or as many as `BARTIZAN_PAIRS` says.
fn pairs() -> u64 {
    std::env::var("BARTIZAN_PAIRS").map_or(400_000, |text| text.parse().expect("BARTIZAN_PAIRS is a number"))
}

/// The same over many more pairs: few lakes, many filters on each, from one seed that is new in each run and is named
/// when a test fails.
#[test]
fn three_ways_give_the_same_rows_over_many_pairs() {
    let seed: u64 = std::env::var("BARTIZAN_SEED").map_or_else(|_| rand_seed(), |s| s.parse().unwrap());
    let wanted = pairs();
    let (mut tried, mut found_rows, mut filters) = (0u64, 0u64, 0u64);
    let mut random = TestRunner::new_with_rng(
        ProptestConfig::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(seed)),
    );
    let context = context();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut round = 0u64;
    while tried < wanted {
        let kind = Kind::ALL[(round % Kind::ALL.len() as u64) as usize];
        let lake = Lake::new();
        let batches: Vec<_> =
            (0..4).map(|n| rows(kind, 500, n, seed.wrapping_add(round * 4 + n as u64))).collect();
        for (n, batch) in batches.iter().enumerate() {
            if n % 2 == 0 { lake.add_hot(kind, batch.clone()) } else { lake.add_file(kind, batch) }
        }
        round += 1;
        let engine = Engine::new(lake, &Limits::default()).unwrap();
        let strategy = filter(kind);
        for _ in 0..100 {
            let text = strategy.new_tree(&mut random).unwrap().current();
            let Ok(filter) = Filter::parse_for(kind, &text, &context) else { continue };
            let want = expected(kind, &filter, &batches);
            let got = runtime.block_on(async {
                let columns = Some(vec!["seq".to_owned(), "row".to_owned()]);
                let search = Search { columns, ..Search::new(kind, &filter) };
                let found = engine.search(search).await.unwrap().collect().await.unwrap();
                found.iter().flat_map(ids).collect::<Vec<_>>()
            });
            assert_eq!(got.len(), want.len(), "twice or missing: {text} of {kind}, BARTIZAN_SEED={seed}");
            assert_eq!(
                got.into_iter().collect::<BTreeSet<_>>(),
                want,
                "{text} of {kind}, BARTIZAN_SEED={seed}"
            );
            tried += 2000;
            filters += 1;
            found_rows += want.len() as u64;
        }
    }
    println!("{tried} pairs of {filters} filters, {found_rows} matched");
    // Neither nothing nor all, or equal answers mean little.
    assert!(found_rows > tried / 50 && found_rows < tried * 9 / 10, "{found_rows} of {tried} matched");
}

fn rand_seed() -> u64 {
    std::collections::hash_map::RandomState::new().hash_one(0)
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}

/// Every filter of the table of the language finds by the plan what the table says.
#[tokio::test]
async fn the_table_of_filters_by_the_plan() {
    let cases = cases::cases();
    let held = |column: &'static Column, row: usize| {
        let text = cases.rows[row].1.get(column.name)?;
        Some(match column.kind {
            ColumnKind::Text => Value::Text((*text).to_owned()),
            ColumnKind::Addr => Value::Addr(addr_from_ip(text.parse().unwrap())),
            _ => Value::Int(text.parse().unwrap()),
        })
    };
    let batch = batch(Kind::Events, cases.rows.len(), |column, row| match column.name {
        "row" => Some(Value::Int(row as i64)),
        _ => held(column, row),
    });
    for in_files in [false, true] {
        let lake = Lake::new();
        if in_files {
            lake.add_file(Kind::Events, &batch);
        } else {
            lake.add_hot(Kind::Events, batch.clone());
        }
        let engine = Engine::new(lake, &Limits::default()).unwrap();
        for (text, want) in &cases.filters {
            let filter = Filter::parse(text, &cases.context).unwrap();
            let found = engine.search(Search::new(Kind::Events, &filter)).await.unwrap();
            let mut rows: Vec<_> = found.collect().await.unwrap().iter().flat_map(ids).collect();
            rows.sort_unstable();
            let found: String = rows.iter().map(|(_, row)| cases.rows[*row as usize].0).collect();
            assert_eq!(found, *want, "{text}");
        }
    }
}

/// Most random filters must parse, or the test above tests little.
#[test]
fn most_random_filters_are_filters() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let context = context();
    let texts: Vec<_> =
        (0..500).map(|_| filter(Kind::Events).new_tree(&mut runner).unwrap().current()).collect();
    let wrong: Vec<_> = texts.iter().filter(|t| Filter::parse(t, &context).is_err()).collect();
    assert!(wrong.len() < 350, "{} of 500 do not parse, such as {:?}", wrong.len(), &wrong[..3]);
}

/// A filter too long to plan as a tree takes another way through the engine, to the same answer.
#[tokio::test]
async fn a_very_long_filter_gives_the_same_rows() {
    let lake = Lake::new();
    let batches = [rows(Kind::Events, 150, 0, 7), rows(Kind::Events, 150, 1, 8)];
    lake.add_hot(Kind::Events, batches[0].clone());
    lake.add_file(Kind::Events, &batches[1]);
    let engine = Engine::new(lake, &Limits::default()).unwrap();
    let terms: Vec<_> = (0..900).map(|n| format!("(dport:{n} -ttl:{})", n % 256)).collect();
    let text = terms.join(" OR ").chars().take(8000).collect::<String>();
    let text = &text[..text.rfind(" OR ").unwrap()];
    let filter = Filter::parse(text, &Context::default()).unwrap();
    let want = expected(Kind::Events, &filter, &batches);
    assert!(want.len() > 10);
    let found = engine.search(Search::new(Kind::Events, &filter)).await.unwrap().collect().await.unwrap();
    assert_eq!(found.iter().flat_map(ids).collect::<BTreeSet<_>>(), want);
}
