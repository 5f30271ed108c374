//! Compaction: what it makes, who it waits for, and that nothing is lost whatever happens (F34, F40, F41, F43, F45, F48).

use crate::support::{
    Fault, FaultyDisk, Key, NOW, append_at, batch_id, keys, keys_of, open, open_with, options, rows_at,
    scratch, stream,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, Int32Array, RecordBatch, StringViewArray};
use bartizan_lake::{
    Append, Compact, DataFile, DurableLocal, ErrorKind, LakeError, Options, Probe, Problem, Shape, Space,
    SpaceLeft, Table, tag,
};
use bartizan_model::{Kind, Micros, Seq};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SMALL: Compact = Compact { unit_rows: 48, fan_in: 3, keep_rows: 6, settle: 600_000_000 };
/// A time at which the day of [`NOW`] is over and quiet.
const SETTLED: Micros = Micros(NOW.0 + 2 * Micros::DAY);

/// Batches of which some become a unit.
const LAST: u64 = 16;

/// A batch of four rows with sources, ports and text, in no order.
fn batch(seq: u64) -> RecordBatch {
    let times: Vec<i64> = (0..4).map(|i| NOW.0 + (i * 7919 + seq as i64 * 311) % 5000).collect();
    let rows = rows_at(Kind::Events, batch_id(1, seq), &times, NOW);
    let source = |i: u64| (seq + i) % 5;
    let mut columns = rows.columns().to_vec();
    let mut set = |name: &str, column: ArrayRef| columns[rows.schema().index_of(name).unwrap()] = column;
    let sources = (0..4).map(|i| (source(i) > 0).then(|| [source(i) as u8; 16]));
    set("src", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(sources, 16).unwrap()));
    set("dport", Arc::new(Int32Array::from_iter((0..4).map(|i| (i > 0).then_some((seq as i32 * i) % 3)))));
    let hosts = (0..4).map(|i| ["a", "another host, with a longer name", "z"][((seq * 7 + i) % 3) as usize]);
    set("host", Arc::new(StringViewArray::from_iter_values(hosts)));
    let text = (0..4).map(|i| (i != 2).then(|| format!("a prefix longer than a view {}", (seq + i) % 3)));
    set("prefix", Arc::new(StringViewArray::from_iter(text)));
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

async fn fill(table: &Table, batches: std::ops::RangeInclusive<u64>) {
    for seq in batches {
        assert_eq!(table.append(batch_id(1, seq), vec![batch(seq)], 100, NOW).unwrap(), Append::Appended);
        table.commit(NOW).await.unwrap();
    }
}

/// Every value of every row, as text.
async fn values(table: &Table) -> Vec<String> {
    let mut all = Vec::new();
    for file in table.view().files.iter() {
        for batch in table.read(file).await.unwrap() {
            all.extend((0..batch.num_rows()).map(|row| text(&batch, row)));
        }
    }
    all.sort();
    all
}

fn text(batch: &RecordBatch, row: usize) -> String {
    let values = batch.columns().iter().map(|c| arrow_cast::display::array_value_to_string(c, row).unwrap());
    values.collect::<Vec<_>>().join("|")
}

fn expected(last: u64) -> BTreeSet<Key> {
    (1..=last).flat_map(|seq| (0..4).map(move |row| (stream(1).to_string(), seq as i64, row))).collect()
}

/// Compacts until nothing is left to do.
async fn all(table: &Table, how: &Compact, now: Micros) -> Vec<Shape> {
    let mut shapes = Vec::new();
    while let Some(done) = table.compact(how, now).await.unwrap() {
        shapes.push(done.shape);
        assert!(shapes.len() < 1000, "F43: it never ends");
    }
    shapes
}

fn is_sorted(file: &DataFile) -> bool {
    file.tag(tag::SORTED).is_some()
}

async fn assert_orders(table: &Table) {
    for file in table.view().files.iter() {
        let batches = table.read(file).await.unwrap();
        let mut rows = Vec::new();
        for batch in &batches {
            let time = batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
            let src = batch.column_by_name("src").unwrap().as_fixed_size_binary();
            let host = batch.column_by_name("host").unwrap().as_string_view();
            let port = batch.column_by_name("dport").unwrap().as_primitive::<Int32Type>();
            for i in 0..batch.num_rows() {
                let src = (!src.is_null(i)).then(|| src.value(i).to_vec());
                let port = (!port.is_null(i)).then(|| port.value(i));
                rows.push((
                    src.is_none(),
                    src,
                    host.value(i).to_owned(),
                    port.is_none(),
                    port,
                    time.value(i),
                ));
            }
        }
        if is_sorted(file) {
            assert!(rows.is_sorted(), "{}", file.path());
        } else {
            assert!(rows.iter().map(|r| r.5).is_sorted(), "{}", file.path());
        }
    }
}

#[tokio::test]
async fn files_become_few_and_sorted_and_no_value_changes() {
    let dir = scratch();
    let table = open(dir.path()).await;
    fill(&table, 1..=20).await;
    let (before, rows) = (table.view(), values(&table).await);
    let shapes = all(&table, &SMALL, NOW).await;
    assert!(shapes.contains(&Shape::ByTime) && shapes.contains(&Shape::Sorted), "{shapes:?}");
    assert_eq!(values(&table).await, rows);
    assert_eq!(keys(&table).await, expected(20));
    assert_orders(&table).await;
    let open_rows = |t: &Table| -> u64 {
        t.view().files.iter().filter(|f| !is_sorted(f)).map(|f| f.rows().unwrap()).sum()
    };
    assert!(
        (SMALL.keep_rows..SMALL.unit_rows + SMALL.keep_rows).contains(&open_rows(&table)),
        "the newest stay by time"
    );
    // F48: who began before reads what was there before.
    let mut old = Vec::new();
    for file in before.files.iter() {
        table.read(file).await.unwrap().iter().for_each(|b| keys_of(b, &mut old));
    }
    assert_eq!(old.len(), 80);
    // A follower finds nothing new in what compaction wrote, and its old files in the old entries.
    for version in 1..=table.view().version {
        let files = table.entry(version).await.unwrap().unwrap();
        assert_eq!(files.len(), usize::from(version <= 20), "entry {version}");
        for file in files {
            table.read(&file).await.unwrap();
        }
    }
    // A day that is over and quiet: all but the newest rows is sorted.
    all(&table, &SMALL, SETTLED).await;
    assert!((SMALL.keep_rows..SMALL.keep_rows + 16).contains(&open_rows(&table)), "{}", open_rows(&table));
    // Another start sees the same, and has nothing to do.
    let again = open(dir.path()).await;
    assert_eq!(values(&again).await, rows);
    assert_eq!(again.compact(&SMALL, SETTLED).await.unwrap(), None);
    assert_eq!(again.verify(true).await.unwrap(), []);
}

#[tokio::test]
async fn late_rows_of_a_day_that_was_done_are_sorted_too_and_do_not_pile_up() {
    let dir = scratch();
    let table = open(dir.path()).await;
    fill(&table, 1..=10).await;
    // A row of a later day makes that the newest one.
    append_at(&table, batch_id(2, 1), &[NOW.0 + Micros::DAY]);
    table.commit(NOW).await.unwrap();
    for seq in 11..=40 {
        fill(&table, seq..=seq).await;
        all(&table, &SMALL, SETTLED).await;
        let day =
            table.view().files.iter().filter(|f| f.day() == Some(NOW.day())).cloned().collect::<Vec<_>>();
        assert!(day.iter().all(|f| is_sorted(f)), "of {seq}");
        let small = day.iter().filter(|f| f.rows().unwrap() < SMALL.unit_rows / 2).count();
        assert!(small < SMALL.fan_in, "of {seq}: {small}");
    }
    assert_eq!(keys(&table).await.len(), 161);
    assert_orders(&table).await;
}

#[tokio::test]
async fn rows_with_a_wrong_clock_keep_files_of_their_own() {
    let dir = scratch();
    let table = open(dir.path()).await;
    for seq in 1..=30 {
        let year = 365 * Micros::DAY;
        append_at(&table, batch_id(1, seq), &[NOW.0 + seq as i64, NOW.0 + 10 * year + seq as i64, 5]);
        table.commit(NOW).await.unwrap();
    }
    all(&table, &SMALL, NOW).await;
    all(&table, &SMALL, SETTLED).await;
    let view = table.view();
    assert!(view.files.len() < 20, "{}", view.files.len());
    for file in view.files.iter() {
        let (first, last) = file.time().unwrap();
        assert_eq!(file.day(), Some(NOW.day()), "F45: the folder is that of the receipt");
        let skewed = first.day() != NOW.day();
        assert_eq!(last.day() != NOW.day(), skewed, "F45: {}", file.path());
        assert!(!(skewed && is_sorted(file)));
    }
    assert_eq!(keys(&table).await.len(), 90);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_alone_and_the_rest_goes_on() {
    let dir = scratch();
    let table = open(dir.path()).await;
    fill(&table, 1..=9).await;
    let files: Vec<_> = table.view().files.iter().cloned().collect();
    let on_disk = |i: usize| dir.path().join(files[i].path().as_ref());
    // One bit in the middle of the rows, which no reader of the file would notice.
    let mut bytes = std::fs::read(on_disk(4)).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    std::fs::write(on_disk(4), bytes).unwrap();
    std::fs::remove_file(on_disk(0)).unwrap();
    let (mut named, mut done) = (Vec::new(), 0);
    loop {
        match table.compact(&SMALL, NOW).await {
            Ok(None) => break,
            Ok(Some(_)) => done += 1,
            Err(LakeError::MissingFile { path } | LakeError::Checksum { path }) => named.push(path),
            Err(error) => panic!("{error}"),
        }
    }
    named.sort();
    let mut wrong = vec![files[0].path().clone(), files[4].path().clone()];
    wrong.sort();
    assert_eq!(named, wrong);
    assert!(done >= 2, "F41: one file does not hold up the others: {done}");
    let view = table.view();
    assert!(wrong.iter().all(|path| view.files.iter().any(|f| f.path() == path)), "they stay in the log");
    let mut rest = Vec::new();
    for file in view.files.iter().filter(|f| !wrong.contains(f.path())) {
        table.read(file).await.unwrap().iter().for_each(|b| keys_of(b, &mut rest));
    }
    assert_eq!(rest.len(), 28);
}

#[tokio::test]
async fn two_compactors_hinder_each_other_and_harm_nothing() {
    let dir = scratch();
    let (a, b) = (open(dir.path()).await, open(dir.path()).await);
    fill(&a, 1..=LAST).await;
    b.refresh().await.unwrap();
    let (mut refused, mut turns) = (0, 0);
    loop {
        let (x, y) = tokio::join!(a.compact(&SMALL, NOW), b.compact(&SMALL, NOW));
        turns += 1;
        assert!(turns < 50, "F43: they never come to an end");
        let done = [&x, &y].iter().all(|r| matches!(r, Ok(None)));
        for result in [x, y] {
            match result {
                Ok(_) => {}
                Err(LakeError::Replaced { .. } | LakeError::MissingFile { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        a.refresh().await.unwrap();
        b.refresh().await.unwrap();
        if done {
            break;
        }
    }
    assert!(refused > 0, "they met");
    assert_eq!(keys(&a).await, expected(LAST));
    assert_eq!(keys(&b).await, expected(LAST));
    assert_eq!(open(dir.path()).await.verify(true).await.unwrap(), [], "no file is left unnamed");
}

#[tokio::test]
async fn commits_go_on_while_files_are_merged() {
    let dir = scratch();
    let table = open(dir.path()).await;
    fill(&table, 1..=6).await;
    let writer = table.clone();
    let sends = tokio::spawn(async move { fill(&writer, 7..=40).await });
    while !sends.is_finished() {
        table.compact(&SMALL, NOW).await.unwrap();
    }
    sends.await.unwrap();
    all(&table, &SMALL, NOW).await;
    assert_eq!(keys(&table).await, expected(40));
    assert_eq!(table.committed(&stream(1)), Seq(40));
}

#[tokio::test]
async fn who_appends_waits_for_a_compaction_that_works_and_not_for_one_that_fails() {
    let dir = scratch();
    let table = open_with(dir.path(), None, Options { fresh_files: 4, ..options() }).await.unwrap();
    fill(&table, 1..=5).await;
    assert_eq!(
        table.append(batch_id(1, 6), vec![batch(6)], 1, NOW).unwrap(),
        Append::Appended,
        "nobody compacts"
    );
    table.commit(NOW).await.unwrap();
    table.compact(&SMALL, NOW).await.unwrap().unwrap();
    assert_eq!(table.view().files.len(), 4, "three fresh ones and one merged");
    fill(&table, 7..=7).await;
    assert_eq!(table.append(batch_id(1, 8), vec![batch(8)], 1, NOW).unwrap(), Append::Busy, "F34");
    let waiting = tokio::spawn({
        let table = table.clone();
        async move { table.room(1).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    table.compact(&SMALL, NOW).await.unwrap().unwrap();
    waiting.await.unwrap();
    fill(&table, 8..=10).await;
    assert_eq!(table.append(batch_id(1, 11), vec![batch(11)], 1, NOW).unwrap(), Append::Busy);
    // The files cannot be read any more: rows are worth more than order.
    let fresh: Vec<_> = table.view().files.iter().filter(|f| f.tag(tag::MERGED).is_none()).cloned().collect();
    fresh.iter().for_each(|f| std::fs::remove_file(dir.path().join(f.path().as_ref())).unwrap());
    table.compact(&SMALL, NOW).await.unwrap_err();
    assert_eq!(table.append(batch_id(1, 11), vec![batch(11)], 1, NOW).unwrap(), Append::Appended, "F41");
    // Files that are too large to be merged are no reason to wait either.
    let none = Compact { fan_in: 100, ..SMALL };
    let table = open_with(dir.path(), None, Options { fresh_files: 1, ..options() }).await.unwrap();
    assert_eq!(table.compact(&none, NOW).await.unwrap(), None);
    assert_eq!(table.append(batch_id(1, 12), vec![batch(12)], 1, NOW).unwrap(), Append::Appended);
}

#[derive(Debug)]
struct Pretended(AtomicU64);

impl Space for Pretended {
    fn space(&self) -> std::io::Result<SpaceLeft> {
        Ok(SpaceLeft { free: self.0.load(Ordering::SeqCst), total: 1 << 30 })
    }
}

#[tokio::test]
async fn the_reserve_is_not_touched_and_commits_need_it_more() {
    let dir = scratch();
    let space = Arc::new(Pretended(AtomicU64::new(1 << 20)));
    let store = Arc::new(DurableLocal::new(dir.path()).unwrap());
    let options = Options { space: Some(space.clone()), reserve: 50, ..options() };
    let table = Table::open(store, Kind::Events, options, NOW).await.unwrap();
    fill(&table, 1..=3).await;
    space.0.store(100, Ordering::SeqCst);
    let error = table.compact(&SMALL, NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "F40");
    fill(&table, 4..=4).await;
    space.0.store(1 << 20, Ordering::SeqCst);
    assert!(table.compact(&SMALL, NOW).await.unwrap().is_some());
    assert_eq!(keys(&table).await, expected(4));
}

async fn filled_and_counted(root: &Path) -> u64 {
    let disk = FaultyDisk::new(None);
    fill(&open(root).await, 1..=LAST).await;
    let table = open_with(root, Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await.unwrap();
    disk.arm(None);
    all(&table, &SMALL, NOW).await;
    disk.steps()
}

async fn check(root: &Path, what: &str) {
    let table = open(root).await;
    assert_eq!(keys(&table).await, expected(LAST), "{what}");
    assert_eq!(table.committed(&stream(1)), Seq(LAST), "{what}");
    let problems = table.verify(true).await.unwrap();
    assert!(problems.iter().all(|p| matches!(p, Problem::Unnamed { .. })), "{what}: {problems:?}");
    all(&table, &SMALL, NOW).await;
    assert_eq!(keys(&table).await, expected(LAST), "{what}, then compacted");
}

#[tokio::test]
async fn whatever_step_is_the_last_every_row_is_there_once() {
    let dir = scratch();
    let steps = filled_and_counted(dir.path()).await;
    assert!(steps > 15, "{steps}");
    for at in 1..=steps {
        for fault in [Fault::DieBefore, Fault::DieAfter] {
            for power in [false, true] {
                let what = format!("F38: {fault:?} step {at} of {steps}, power cut: {power}");
                let (dir, disk) = (scratch(), FaultyDisk::new(None));
                fill(&open(dir.path()).await, 1..=LAST).await;
                let probe = Arc::clone(&disk) as Arc<dyn Probe>;
                let table = open_with(dir.path(), Some(probe), options()).await.unwrap();
                disk.arm(Some((at, fault)));
                while let Ok(Some(_)) = table.compact(&SMALL, NOW).await {}
                assert!(disk.is_dead(), "{what}");
                if power {
                    disk.cut_power();
                }
                check(dir.path(), &what).await;
            }
        }
    }
}

#[tokio::test]
async fn after_an_error_at_any_step_the_next_piece_works() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    let dir = scratch();
    let steps = filled_and_counted(dir.path()).await;
    for (at, errno) in (1..=steps).flat_map(|at| [(at, EIO), (at, ENOSPC)]) {
        let (dir, disk) = (scratch(), FaultyDisk::new(None));
        fill(&open(dir.path()).await, 1..=LAST).await;
        let table =
            open_with(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await.unwrap();
        disk.arm(Some((at, Fault::Fail(errno))));
        let (mut errors, mut pieces) = (Vec::new(), 0);
        loop {
            match table.compact(&SMALL, NOW).await {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(LakeError::Replaced { .. }) => {}
                Err(error) => errors.push(error),
            }
            pieces += 1;
            assert!(pieces < 50, "step {at}: it never ends: {errors:?}");
            assert_eq!(keys(&table).await, expected(LAST), "step {at}: readable all the time");
        }
        let kind = if errno == ENOSPC { ErrorKind::DiskFull } else { ErrorKind::Retry };
        assert!(errors.len() <= 1 && errors.iter().all(|e| e.kind() == kind), "step {at}: {errors:?}");
        let merged = table.view().files.len();
        assert!(merged < 9, "step {at}: {merged} files");
        check(dir.path(), &format!("errno {errno} at step {at}")).await;
    }
}

/// A real file system that is full: no file is left behind, and it goes on when there is room.
#[tokio::test]
async fn a_disk_that_is_really_full_stops_compaction_alone() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = crate::full_disk::Mounted::new(dir.path()) else {
        println!("NOT TESTED: cannot mount a small file system here (needs root)");
        return;
    };
    let table = open(dir.path()).await;
    fill(&table, 1..=3).await;
    let filler = dir.path().join("filler");
    let mut size = 1 << 20;
    while size > 256 {
        // as much as there is, in ever smaller pieces
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        if std::io::Write::write_all(&mut file, &vec![0; size]).is_err() {
            size /= 2;
        }
    }
    let error = table.compact(&SMALL, NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
    assert_eq!(keys(&table).await, expected(3));
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(table.verify(true).await.unwrap(), [], "nothing half written is left");
    assert!(table.compact(&SMALL, NOW).await.unwrap().is_some());
    assert_eq!(keys(&table).await, expected(3));
}
