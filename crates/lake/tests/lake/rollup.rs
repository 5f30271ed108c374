//! F38, F40: rollups count every row once, whatever ends between two steps, and are what the rows sum up to.

use crate::support::{Fault, FaultyDisk, NOW, batch_id, options, scratch};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
};
use bartizan_lake::{
    Compact, DataFile, DurableLocal, ErrorKind, LakeError, Options, Probe, Problem, RollOptions, Tables,
    Tiers, tag,
};
use bartizan_model::{Kind, Micros};
use bartizan_schema::Rollup;
use object_store::ObjectStore;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const ALL: RollOptions = RollOptions { min_rows: 1 };

async fn tables(root: &Path, probe: Option<Arc<dyn Probe>>) -> Result<Tables, LakeError> {
    let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::with_probe(root, probe).unwrap());
    Tables::open(&store, &Options { file_rows: 1_000_000, ..options() }, NOW).await
}

/// One event as far as rollups know it.
#[derive(Debug, Clone)]
struct Event {
    time: i64,
    labels: [Option<&'static str>; 4],
    proto: Option<i16>,
    dport: Option<i32>,
    src: Option<[u8; 16]>,
    country: Option<&'static str>,
    asn: Option<i64>,
    length: Option<i32>,
    packets: i64,
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![
        20 => (0..5 * 3600 * 1_000_000_i64).prop_map(|t| NOW.0 - t),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
        1 => Just(-1_i64),
    ];
    let text = |of: &'static [&'static str]| proptest::option::of(proptest::sample::select(of));
    let labels = (
        proptest::sample::select(&["web1", "web2", "db"][..]),
        proptest::sample::select(&["drop", "accept"][..]),
        text(&["rule a", "rule b", ""]),
        text(&["a prefix longer than twelve bytes", "p"]),
    );
    let labels = labels.prop_map(|(host, action, rule, prefix)| [Some(host), Some(action), rule, prefix]);
    let packets = prop_oneof![30 => 1..4_i64, 1 => Just(i64::MAX), 1 => Just(-5_i64)];
    let src = proptest::option::of((0..6_u8).prop_map(|n| [n; 16]));
    let rest = (
        proptest::option::of(prop_oneof![Just(6_i16), Just(17), Just(-1)]),
        proptest::option::of(prop_oneof![Just(22_i32), Just(443), Just(-1)]),
        src,
        text(&["DE", "US"]),
        proptest::option::of(0..3_i64),
        proptest::option::of(0..1500_i32),
    );
    (time, labels, packets, rest).prop_map(
        |(time, labels, packets, (proto, dport, src, country, asn, length))| Event {
            time,
            labels,
            proto,
            dport,
            src,
            country,
            asn,
            length,
            packets,
        },
    )
}

fn batch(seq: u64, events: &[Event]) -> RecordBatch {
    let times: Vec<i64> = events.iter().map(|e| e.time).collect();
    let plain = crate::support::rows_at(Kind::Events, batch_id(1, seq), &times, NOW);
    let texts = |of: &dyn Fn(&Event) -> Option<&'static str>| -> ArrayRef {
        Arc::new(StringViewArray::from_iter(events.iter().map(of)))
    };
    let schema = plain.schema();
    let columns = schema.fields().iter().zip(plain.columns()).map(|(field, column)| -> ArrayRef {
        match field.name().as_str() {
            "host" => texts(&|e| e.labels[0]),
            "action" => texts(&|e| e.labels[1]),
            "rule" => texts(&|e| e.labels[2]),
            "prefix" => texts(&|e| e.labels[3]),
            "src_country" => texts(&|e| e.country),
            "proto" => Arc::new(Int16Array::from_iter(events.iter().map(|e| e.proto))),
            "dport" => Arc::new(Int32Array::from_iter(events.iter().map(|e| e.dport))),
            "length" => Arc::new(Int32Array::from_iter(events.iter().map(|e| e.length))),
            "src_asn" => Arc::new(Int64Array::from_iter(events.iter().map(|e| e.asn))),
            "packets" => Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.packets))),
            "src" => Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(events.iter().map(|e| e.src), 16)
                    .unwrap(),
            ),
            _ => Arc::clone(column),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// Rows, packets, bytes, and the latest time where the rollup has it, of each group; written as text.
type Groups = BTreeMap<String, (i64, i64, i64, Option<i64>)>;

/// What a rollup should say of the events of one file.
fn expected(rollup: Rollup, events: &[Event]) -> Groups {
    let mut groups = Groups::new();
    let earliest = events.iter().map(|e| e.time).min();
    for event in events {
        let start = match rollup.bucket() {
            None => earliest.unwrap(),
            Some(bucket) => event.time.div_euclid(bucket).saturating_mul(bucket),
        };
        let mut key = vec![format!("{start}")];
        for dimension in rollup.dimensions() {
            key.push(match dimension.name {
                "host" => format!("{:?}", event.labels[0]),
                "action" => format!("{:?}", event.labels[1]),
                "rule" => format!("{:?}", event.labels[2]),
                "prefix" => format!("{:?}", event.labels[3]),
                "proto" => format!("{:?}", event.proto),
                "dport" => format!("{:?}", event.dport),
                "src" => format!("{:?}", event.src),
                "src_country" => format!("{:?}", event.country),
                "src_asn" => format!("{:?}", event.asn),
                other => panic!("{other}"),
            });
        }
        let has_last = rollup.columns().iter().any(|c| c.name == "last");
        let group = groups.entry(key.join(" ")).or_insert((0, 0, 0, has_last.then_some(i64::MIN)));
        group.0 += 1;
        group.1 = group.1.wrapping_add(event.packets);
        group.2 += i64::from(event.length.unwrap_or(0));
        group.3 = group.3.map(|last| last.max(event.time));
    }
    groups
}

/// What a rollup's rows say. A group that is there twice is an error.
fn found(rollup: Rollup, batches: &[RecordBatch]) -> Groups {
    let mut groups = Groups::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let number =
                |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row);
            let time = |name: &str| {
                Some(batch.column_by_name(name)?.as_primitive::<TimestampMicrosecondType>().value(row))
            };
            let mut key = vec![format!("{}", time("time").unwrap())];
            for dimension in rollup.dimensions() {
                let column = batch.column_by_name(dimension.name).unwrap();
                let some = column.is_valid(row);
                key.push(match dimension.name {
                    "proto" => format!(
                        "{:?}",
                        some.then(|| column.as_primitive::<arrow_array::types::Int16Type>().value(row))
                    ),
                    "dport" => format!("{:?}", some.then(|| column.as_primitive::<Int32Type>().value(row))),
                    "src_asn" => format!("{:?}", some.then(|| number("src_asn"))),
                    "src" => format!("{:?}", some.then(|| column.as_fixed_size_binary().value(row))),
                    _ => format!("{:?}", some.then(|| column.as_string_view().value(row))),
                });
            }
            let sums = (number("rows"), number("packets"), number("bytes"), time("last"));
            let before = groups.insert(key.join(" "), sums);
            assert_eq!(before, None, "{rollup:?}: {key:?} is there twice");
        }
    }
    groups
}

async fn write(tables: &Tables, seq: u64, events: &[Event]) -> Result<(), LakeError> {
    tables.of(Kind::Events).append(batch_id(1, seq), vec![batch(seq, events)], 100, NOW)?;
    tables.of(Kind::Events).commit(NOW).await.map(|_| ())
}

/// Rolls until there is nothing to do.
async fn roll_all(tables: &Tables) -> Result<usize, LakeError> {
    let mut made = 0;
    loop {
        let rolled = tables.roll(ALL, NOW).await?;
        made += rolled.made;
        if !rolled.more {
            return Ok(made);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_rollup_is_what_the_rows_of_its_file_sum_up_to(
        batches in proptest::collection::vec(proptest::collection::vec(event(), 1..60), 1..4)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = scratch();
            let tables = tables(dir.path(), None).await.unwrap();
            for (seq, events) in (1..).zip(&batches) {
                write(&tables, seq, events).await.unwrap();
            }
            let files = tables.of(Kind::Events).view().files;
            assert_eq!(roll_all(&tables).await.unwrap(), files.len() * Rollup::ALL.len());
            let parts = tables.parts();
            assert_eq!(parts.history.len(), 0);
            for rollup in Rollup::ALL {
                for part in &parts.parts {
                    let rows = tables.of(Kind::Events).read(&part.rows).await.unwrap();
                    let events: Vec<Event> = rows.iter().flat_map(|rows| events_of(rows, &batches)).collect();
                    let counts = part.counts[rollup.index()].as_ref().expect("each file has one");
                    let counts = tables.rollup(rollup).read(counts).await.unwrap();
                    assert_eq!(found(rollup, &counts), expected(rollup, &events), "{rollup:?}");
                }
            }
        });
    }
}

/// The events that rows came from.
fn events_of(rows: &RecordBatch, batches: &[Vec<Event>]) -> Vec<Event> {
    let mut keys = Vec::new();
    crate::support::keys_of(rows, &mut keys);
    keys.into_iter().map(|(_, seq, row)| batches[seq as usize - 1][row as usize].clone()).collect()
}

fn some_events(n: usize, seed: i64) -> Vec<Event> {
    (0..n as i64)
        .map(|i| Event {
            time: NOW.0 - (i * 7919 + seed * 31) % 600 * 1_000_000,
            labels: [Some("web1"), Some("drop"), None, Some("p")],
            proto: Some(6),
            dport: Some(22),
            src: Some([(i % 250) as u8; 16]),
            country: None,
            asn: None,
            length: Some(60),
            packets: 1 + i % 3,
        })
        .collect()
}

#[tokio::test]
async fn a_sketch_says_how_many_sources_there_were() {
    let dir = scratch();
    let tables = tables(dir.path(), None).await.unwrap();
    let mut events = some_events(5000, 1);
    events.iter_mut().enumerate().for_each(|(i, e)| {
        e.time = NOW.0;
        e.src.as_mut().unwrap()[..2].copy_from_slice(&((i % 1000) as u16).to_be_bytes());
    });
    write(&tables, 1, &events).await.unwrap();
    roll_all(&tables).await.unwrap();
    let table = tables.rollup(Rollup::Activity1m);
    let file = table.view().files.iter().next().cloned().unwrap();
    let rows = table.read(&file).await.unwrap();
    let sketch = rows[0].column_by_name("sketch").unwrap().as_binary::<i32>().value(0);
    let estimate = datasketches::hll::HllSketch::deserialize(sketch).unwrap().estimate();
    assert!((900.0..1100.0).contains(&estimate), "{estimate}");
}

#[tokio::test]
async fn the_sources_with_most_packets_come_first() {
    let dir = scratch();
    let tables = tables(dir.path(), None).await.unwrap();
    let mut events = some_events(40_000, 1);
    for (i, event) in events.iter_mut().enumerate() {
        let n = ((i as f64).sqrt() * 150.0) as u32;
        event.src.as_mut().unwrap()[..4].copy_from_slice(&n.to_le_bytes());
        event.src.as_mut().unwrap()[4..].fill(0);
        event.packets = if n < 3000 { 50 + i as i64 % 7 } else { event.packets };
        event.labels[1] = Some(if i % 2 == 0 { "drop" } else { "accept" });
    }
    write(&tables, 1, &events).await.unwrap();
    roll_all(&tables).await.unwrap();
    let table = tables.rollup(Rollup::Sources);
    let file = table.view().files.iter().next().cloned().unwrap();
    let tiers = Tiers::of(&file).expect("the file says where its tiers end");
    let rows = table.read(&file).await.unwrap();
    let rows = arrow_select::concat::concat_batches(&rows[0].schema(), &rows).unwrap();
    let src = rows.column_by_name("src").unwrap().as_fixed_size_binary();
    let packets = rows.column_by_name("packets").unwrap().as_primitive::<Int64Type>();
    assert!(tiers.iter().len() >= 2, "{tiers}");
    for tier in tiers.iter() {
        assert!(tier.rows < rows.num_rows());
        let mut rest: BTreeMap<&[u8], i64> = BTreeMap::new();
        for row in tier.rows..rows.num_rows() {
            *rest.entry(src.value(row)).or_default() += packets.value(row);
        }
        assert_eq!(rest.values().max(), Some(&tier.most), "the bound is met and not passed: {tiers}");
        assert!((0..tier.rows).all(|row| !rest.contains_key(src.value(row))), "a source is in one tier");
    }
}

/// How many rows a rollup and what it lacks count, with hot ones.
async fn counted(tables: &Tables, rollup: Rollup) -> i64 {
    let parts = tables.parts();
    let sum = async |file: &DataFile| -> i64 {
        let rows = tables.rollup(rollup).read(file).await.unwrap();
        let column = |b: &RecordBatch| {
            b.column_by_name("rows").unwrap().as_primitive::<Int64Type>().values().iter().sum::<i64>()
        };
        rows.iter().map(column).sum()
    };
    let mut n: i64 = parts.events.hot.iter().flat_map(|b| b.rows()).map(|rows| rows.num_rows() as i64).sum();
    for part in &parts.parts {
        n += match &part.counts[rollup.index()] {
            Some(file) => sum(file).await,
            None => part.rows.rows().unwrap() as i64,
        };
    }
    for file in parts.history.iter().filter_map(|h| h.counts[rollup.index()].as_ref()) {
        n += sum(file).await;
    }
    n
}

async fn check(tables: &Tables, rows: i64, what: &str) {
    for rollup in Rollup::ALL {
        assert_eq!(counted(tables, rollup).await, rows, "{rollup:?}: {what}");
    }
}

async fn check_verify(tables: &Tables, what: &str) {
    for table in tables.all() {
        let problems = table.verify(true).await.unwrap();
        let bad: Vec<_> = problems.iter().filter(|p| !matches!(p, Problem::Unnamed { .. })).collect();
        assert!(bad.is_empty(), "{what}: {bad:?}");
    }
}

/// Puts one file in the place of all, as upkeep does when their day is over.
async fn compact(tables: &Tables) -> Result<(), LakeError> {
    tables.settle_history(NOW).await?;
    let later = Micros(NOW.0 + 2 * Micros::DAY);
    let how = Compact { keep_rows: 0, ..Compact::default() };
    while tables.of(Kind::Events).compact(&how, later).await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn what_compaction_replaces_is_counted_by_the_new_file_alone() {
    let dir = scratch();
    let tables = tables(dir.path(), None).await.unwrap();
    write(&tables, 1, &some_events(50, 1)).await.unwrap();
    write(&tables, 2, &some_events(30, 2)).await.unwrap();
    check(&tables, 80, "nothing rolled").await;
    let first = tables.roll(ALL, NOW).await.unwrap();
    assert_eq!((first.made, first.rows > 0, first.more), (6, true, true));
    check(&tables, 80, "one of two rolled").await;
    assert_eq!(roll_all(&tables).await.unwrap(), 6);
    check(&tables, 80, "rolled").await;
    compact(&tables).await.unwrap();
    check(&tables, 80, "compacted").await;
    let rolled = tables.roll(ALL, NOW).await.unwrap();
    assert_eq!((rolled.made, rolled.removed, rolled.more), (6, 12, false));
    check(&tables, 80, "rolled again").await;
    assert_eq!(tables.roll(ALL, NOW).await.unwrap(), bartizan_lake::Rolled::default(), "nothing to do");
    assert_eq!(tables.parts().parts.len(), 1);
    check_verify(&tables, "at the end").await;
}

#[tokio::test]
async fn small_files_are_left_to_be_read_as_rows() {
    let dir = scratch();
    let tables = tables(dir.path(), None).await.unwrap();
    write(&tables, 1, &some_events(50, 1)).await.unwrap();
    let rolled = tables.roll(RollOptions { min_rows: 51 }, NOW).await.unwrap();
    assert_eq!(rolled, bartizan_lake::Rolled::default());
    assert_eq!(tables.roll(RollOptions { min_rows: 50 }, NOW).await.unwrap().made, 6);
}

#[tokio::test]
async fn retired_rows_stay_counted_and_nothing_else_does() {
    let dir = scratch();
    let first = tables(dir.path(), None).await.unwrap();
    write(&first, 1, &some_events(50, 1)).await.unwrap();
    write(&first, 2, &some_events(30, 2)).await.unwrap();
    let files: Vec<_> = first.of(Kind::Events).view().files.iter().cloned().collect();
    // Nothing was rolled before.
    first.retire(&files[..1], NOW).await.unwrap();
    for tables in [first, tables(dir.path(), None).await.unwrap()] {
        assert_eq!(tables.of(Kind::Events).view().files.len(), 1);
        check(&tables, 80, "retired").await;
        roll_all(&tables).await.unwrap();
        check(&tables, 80, "and rolled").await;
        let parts = tables.parts();
        assert_eq!((parts.history.len(), parts.parts.len()), (1, 1));
        let error = tables.retire(&files[..1], NOW).await.unwrap_err();
        assert!(matches!(error, LakeError::Replaced { .. }), "{error}");
        check(&tables, 80, "after a second try").await;
    }
}

#[tokio::test]
async fn a_data_file_that_cannot_be_read_does_not_stop_the_others() {
    let dir = scratch();
    let tables = tables(dir.path(), None).await.unwrap();
    for seq in 1..=3 {
        write(&tables, seq, &some_events(10, 1)).await.unwrap();
    }
    let files: Vec<_> = tables.of(Kind::Events).view().files.iter().cloned().collect();
    std::fs::write(dir.path().join(files[1].path().as_ref()), "damaged").unwrap();
    std::fs::remove_file(dir.path().join(files[2].path().as_ref())).unwrap();
    assert_eq!(roll_all(&tables).await.unwrap(), 6);
    let parts = tables.parts();
    let rolled: Vec<bool> = parts.parts.iter().map(|p| p.counts.iter().all(Option::is_some)).collect();
    assert_eq!(rolled, [true, false, false]);
    assert!(parts.parts[0].counts[0].as_ref().unwrap().tag(tag::CRC32C).is_some());
}

/// Roll, compact, roll, retire, roll.
async fn live(tables: &Tables) -> Result<(), LakeError> {
    roll_all(tables).await?;
    compact(tables).await?;
    roll_all(tables).await?;
    let files: Vec<_> = tables.of(Kind::Events).view().files.iter().cloned().collect();
    tables.retire(&files, NOW).await?;
    roll_all(tables).await.map(|_| ())
}

/// Two files of 80 rows, and nothing derived yet.
async fn start(root: &Path) {
    let tables = tables(root, None).await.unwrap();
    write(&tables, 1, &some_events(50, 1)).await.unwrap();
    write(&tables, 2, &some_events(30, 2)).await.unwrap();
}

async fn steps_of_a_life() -> u64 {
    let (dir, disk) = (scratch(), FaultyDisk::new(None));
    start(dir.path()).await;
    let tables = tables(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>)).await.unwrap();
    disk.arm(None);
    live(&tables).await.unwrap();
    check(&tables, 80, "without faults").await;
    disk.steps()
}

#[tokio::test]
async fn whatever_step_is_the_last_every_row_is_counted_once() {
    let steps = steps_of_a_life().await;
    assert!(steps > 100, "{steps}");
    for at in 1..=steps {
        for fault in [Fault::DieBefore, Fault::DieAfter] {
            for power in [false, true] {
                let what = format!("{fault:?} step {at} of {steps}, power cut: {power}");
                let (dir, disk) = (scratch(), FaultyDisk::new(None));
                start(dir.path()).await;
                let dying = tables(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>)).await.unwrap();
                disk.arm(Some((at, fault)));
                let _ = live(&dying).await;
                disk.kill();
                if power {
                    disk.cut_power();
                }
                drop(dying);
                let tables = tables(dir.path(), None).await.unwrap();
                check(&tables, 80, &what).await;
                // Compaction comes first after a start: it must not meet history that is none.
                compact(&tables).await.unwrap();
                check(&tables, 80, &format!("{what}, compacted")).await;
                roll_all(&tables).await.unwrap();
                check(&tables, 80, &format!("{what}, rolled")).await;
                check_verify(&tables, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn a_step_that_fails_is_done_again() {
    let steps = steps_of_a_life().await;
    for at in 1..=steps {
        for errno in [28, 5] {
            let what = format!("errno {errno} at step {at} of {steps}");
            let (dir, disk) = (scratch(), FaultyDisk::new(None));
            start(dir.path()).await;
            let tables = tables(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>)).await.unwrap();
            disk.arm(Some((at, Fault::Fail(errno))));
            let failed = live(&tables).await;
            disk.arm(None);
            if let Err(error) = failed {
                let kind = if errno == 28 { ErrorKind::DiskFull } else { ErrorKind::Retry };
                assert_eq!(error.kind(), kind, "{what}: {error:?}");
            }
            check(&tables, 80, &what).await;
            roll_all(&tables).await.unwrap();
            check(&tables, 80, &format!("{what}, rolled")).await;
            check_verify(&tables, &what).await;
        }
    }
}
