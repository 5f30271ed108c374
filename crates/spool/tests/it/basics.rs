//! What the API promises, one thing at a time, on the file system of the machine.

use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{
    AppendError, Config, Head, Item, MAX_NOTE, MAX_PAYLOAD, RealFs, Record, Spool, SpoolError,
};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn config(dir: &Path) -> Config {
    Config {
        dir: dir.join("lane"),
        segment_bytes: 4096,
        budget_bytes: 64 << 10,
        sync_bytes: 1 << 20,
        sync_interval: Duration::from_millis(200),
    }
}

pub(crate) fn open(config: &Config, epoch: u64) -> Spool<RealFs> {
    Spool::open(config.clone(), RealFs, Epoch(epoch), Instant::now()).unwrap().0
}

pub(crate) fn put(spool: &mut Spool<RealFs>, payload: &[u8]) -> Seq {
    let head = Head { kind: Kind::Events, weight: 10, note: &payload[..payload.len().min(8)] };
    spool.append(head, payload, Instant::now()).unwrap()
}

pub(crate) fn records(spool: &mut Spool<RealFs>, mut after: Seq) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(item) = spool.read(after).unwrap() {
        after = item.last();
        match item {
            Item::Record(record) => records.push(record),
            Item::Hole(hole) => panic!("{hole:?}"),
        }
    }
    records
}

#[test]
fn an_empty_directory_starts_at_one_in_the_fresh_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, recovery) =
        Spool::open(config(dir.path()), RealFs, Epoch(0xABC), Instant::now()).unwrap();
    assert_eq!((recovery.last, recovery.segments, recovery.durable), (Seq(0), 0, true));
    assert_eq!((spool.epoch(), spool.last_note(), spool.sync_due()), (Epoch(0xABC), None, None));
    assert_eq!(put(&mut spool, b"one"), Seq(1));
    assert_eq!(spool.read(Seq::ZERO).unwrap(), None, "SP-4: not durable yet");
    assert_eq!((spool.durable(), spool.last()), (Seq(0), Seq(1)));
    spool.sync(Instant::now()).unwrap();
    let read = records(&mut spool, Seq::ZERO);
    assert_eq!(read[0].payload, b"one");
    assert_eq!((read[0].epoch, read[0].weight, read[0].kind), (Epoch(0xABC), 10, Kind::Events));
}

#[test]
fn records_and_the_note_outlive_the_process_under_their_own_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    for life in 1..=5_u64 {
        let mut spool = open(&config, life);
        assert_eq!(spool.last(), Seq((life - 1) * 20));
        for i in 0..20_u8 {
            put(&mut spool, &[life as u8, i, 0, 1, 2, 3]);
        }
        spool.sync(Instant::now()).unwrap();
    }
    let mut spool = open(&config, 6);
    assert_eq!(spool.last_note(), Some(&[5, 19, 0, 1, 2, 3][..]));
    let read = records(&mut spool, Seq::ZERO);
    assert_eq!(read.len(), 100);
    for (i, record) in read.iter().enumerate() {
        let life = i / 20 + 1;
        assert_eq!((record.seq, record.epoch), (Seq(i as u64 + 1), Epoch(life as u64)));
        assert_eq!(record.payload, [life as u8, (i % 20) as u8, 0, 1, 2, 3]);
    }
    // Everything acknowledged: the note and the numbers stay (SP-6), the segments do not.
    spool.acknowledge(Epoch(5), Seq(100));
    assert_eq!(spool.backlog().records, 0);
    drop(spool);
    let spool = open(&config, 7);
    assert_eq!(spool.last_note(), Some(&[5, 19, 0, 1, 2, 3][..]));
    assert_eq!((spool.last(), spool.acknowledged()), (Seq(100), Seq(100)));
    assert_eq!(std::fs::read_dir(&config.dir).unwrap().count(), 2, "one segment and the hint");
}

#[test]
fn an_acknowledgement_of_another_life_reaches_no_further_than_that_life() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut spool = open(&config, 1);
    put(&mut spool, b"a");
    put(&mut spool, b"b");
    spool.sync(Instant::now()).unwrap();
    drop(spool);
    let mut spool = open(&config, 2);
    put(&mut spool, b"c");
    spool.sync(Instant::now()).unwrap();
    spool.acknowledge(Epoch(99), Seq(3));
    assert_eq!(spool.acknowledged(), Seq(0), "an unknown life");
    spool.acknowledge(Epoch(1), Seq(3));
    assert_eq!(spool.acknowledged(), Seq(2), "number 3 of life 1 is not number 3 of life 2");
    assert_eq!(records(&mut spool, Seq::ZERO)[0].payload, b"c");
    spool.acknowledge(Epoch(1), Seq(1));
    assert_eq!(spool.acknowledged(), Seq(2), "never backwards");
}

#[test]
fn a_second_process_is_refused_in_words_and_the_first_is_unharmed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut first = open(&config, 1);
    let error = Spool::open(config.clone(), RealFs, Epoch(2), Instant::now()).unwrap_err();
    assert!(matches!(error, SpoolError::Locked { .. }));
    assert!(error.to_string().ends_with("is in use by another process"), "{error}");
    put(&mut first, b"still here");
    first.sync(Instant::now()).unwrap();
    drop(first);
    open(&config, 2);
}

#[test]
fn an_epoch_is_not_taken_twice_and_sizes_have_to_fit() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    put(&mut open(&config, 1), b"x");
    let error = Spool::open(config.clone(), RealFs, Epoch(1), Instant::now()).unwrap_err();
    assert!(matches!(error, SpoolError::EpochUsed { .. }));
    for (segment_bytes, budget_bytes) in [(4096, 16383), (u64::MAX / 2, u64::MAX), (64, 4096), (0, 0)] {
        let config = Config { segment_bytes, budget_bytes, ..config.clone() };
        let error = Spool::open(config, RealFs, Epoch(2), Instant::now()).unwrap_err();
        assert!(matches!(error, SpoolError::Budget { .. }));
    }
}

#[test]
fn limits_are_limits() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 8 << 20, budget_bytes: 80 << 20, ..config(dir.path()) };
    let mut spool = open(&config, 1);
    let head = |note| Head { kind: Kind::Losses, weight: 0, note };
    let (payload, note) = (vec![7; MAX_PAYLOAD + 1], vec![8; MAX_NOTE + 1]);
    let now = Instant::now();
    let error = spool.append(head(&[]), &payload, now).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { .. }));
    let error = spool.append(head(&note), &[], now).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { .. }));
    // The largest, and the smallest.
    spool.append(head(&note[1..]), &payload[1..], now).unwrap();
    assert_eq!(spool.durable(), Seq(1), "more than sync_bytes: durable without being asked");
    spool.append(head(&[]), &[], now).unwrap();
    spool.sync(now).unwrap();
    let read = records(&mut spool, Seq::ZERO);
    assert_eq!((read[0].payload.len(), read[0].note.len()), (MAX_PAYLOAD, MAX_NOTE));
    assert_eq!((read[1].payload.len(), read[1].note.len(), read[1].kind), (0, 0, Kind::Losses));
}

#[test]
fn group_commit_is_due_after_the_interval_of_the_oldest_record() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut spool = open(&config, 1);
    let start = Instant::now();
    let head = Head { kind: Kind::Events, weight: 1, note: &[] };
    assert_eq!(spool.sync_due(), None);
    spool.append(head, b"a", start).unwrap();
    spool.append(head, b"b", start + Duration::from_millis(150)).unwrap();
    assert_eq!(spool.sync_due(), Some(start + Duration::from_millis(200)));
    spool.sync(start + Duration::from_millis(200)).unwrap();
    assert_eq!((spool.sync_due(), spool.durable()), (None, Seq(2)));

    let at_once = Config { sync_interval: Duration::ZERO, dir: dir.path().join("other"), ..config };
    let mut spool = open(&at_once, 1);
    spool.append(head, b"a", start).unwrap();
    assert_eq!((spool.sync_due(), spool.durable()), (None, Seq(1)));
}

/// F14: a lane that was idle, also for very long, gives its next record as soon as it is durable.
#[test]
fn f14_one_record_after_idle_is_readable_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut spool = open(&config, 1);
    let mut now = Instant::now();
    for i in 1..=crate::soak(300, 100_000) {
        for _ in 0..5 {
            assert_eq!(spool.read(Seq(u64::from(i) - 1)).unwrap(), None);
        }
        now += Duration::from_secs(86_400);
        let head = Head { kind: Kind::Events, weight: 1, note: &[] };
        let seq = spool.append(head, &i.to_le_bytes(), now).unwrap();
        assert!(spool.sync_due().is_some_and(|due| due > now && due < now + Duration::from_secs(1)));
        spool.sync(now).unwrap();
        let item = spool.read(Seq(seq.0 - 1)).unwrap().unwrap();
        assert_eq!(item.last(), seq);
        spool.acknowledge(spool.epoch(), seq);
        assert_eq!(spool.backlog().records, 0);
    }
}

/// F13: no arithmetic of the accounting wraps, underflows or stops the writer.
#[test]
fn f13_extreme_weights_numbers_and_acknowledgements_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut spool = open(&config, 1);
    let now = Instant::now();
    for i in 0..40_u64 {
        let weight = if i % 2 == 0 { i64::MAX as u64 } else { i };
        spool.append(Head { kind: Kind::Events, weight, note: &[] }, &[0; 300], now).unwrap();
    }
    spool.sync(now).unwrap();
    let dropped = spool.drop_oldest(Seq(12)).unwrap().unwrap();
    let expected = (dropped.first.0..=dropped.last.0)
        .map(|seq| if seq % 2 == 1 { i64::MAX as u64 } else { seq - 1 })
        .fold(0_u64, u64::wrapping_add);
    // More than half of the range cannot be told from a step backwards, and counts as nothing.
    assert_eq!(dropped.weight, if expected > i64::MAX as u64 { 0 } else { expected });
    assert_eq!(spool.read(Seq(u64::MAX)).unwrap(), None);
    assert_eq!(spool.drop_oldest(Seq(u64::MAX)).unwrap(), None);
    spool.acknowledge(Epoch(1), Seq(u64::MAX));
    assert_eq!((spool.acknowledged(), spool.backlog().records), (Seq(40), 0));
    spool.acknowledge(Epoch(1), Seq::ZERO);
    assert_eq!(put(&mut spool, b"on"), Seq(41));
    spool.sync(now).unwrap();
    assert_eq!(spool.backlog().records, 1);
}

/// F09: a backlog far larger than memory is read with one record in memory and a handful of files open.
#[test]
fn f09_a_large_backlog_is_drained_record_by_record_with_few_files_open() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { budget_bytes: 64 << 20, segment_bytes: 16 << 10, ..config(dir.path()) };
    let mut spool = open(&config, 1);
    for i in 0..8_000_u32 {
        put(&mut spool, &[i.to_le_bytes(); 250].concat());
    }
    spool.sync(Instant::now()).unwrap();
    assert!(std::fs::read_dir(&config.dir).unwrap().count() > 400);
    drop(spool);
    let (mut spool, recovery) = Spool::open(config.clone(), RealFs, Epoch(2), Instant::now()).unwrap();
    assert!(recovery.scanned_bytes <= config.segment_bytes, "only the last segment is scanned");
    let files = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter(|f| std::fs::read_link(f.path()).is_ok_and(|target| target.starts_with(&config.dir)))
            .count()
    };
    let mut most = 0;
    for seq in 1..=8_000 {
        let item = spool.read(Seq(seq - 1)).unwrap().unwrap();
        assert_eq!(item.last(), Seq(seq));
        if seq % 50 == 0 {
            spool.acknowledge(item.epoch(), item.last());
            most = most.max(files());
        }
    }
    assert!(most <= 5, "{most} files open");
    assert_eq!(spool.backlog().records, 0);
}

#[test]
fn a_full_spool_takes_again_after_acknowledgement_or_dropping_and_reports_what_was_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut spool = open(&config, 1);
    let head = Head { kind: Kind::Events, weight: 3, note: b"n" };
    let fill = |spool: &mut Spool<RealFs>| loop {
        match spool.append(head, &[1; 500], Instant::now()) {
            Ok(_) => {}
            Err(AppendError::Full { needed, free }) => {
                assert!(needed > free);
                return;
            }
            Err(other) => panic!("{other}"),
        }
    };
    fill(&mut spool);
    spool.sync(Instant::now()).unwrap();
    let full = spool.last();
    assert!(spool.backlog().bytes <= config.budget_bytes);
    // Sent up to 3, so the first segment stays.
    let first = spool.drop_oldest(Seq(3)).unwrap().unwrap();
    let second = spool.drop_oldest(Seq(3)).unwrap().unwrap();
    assert_eq!(second.first, first.last.next());
    spool.append(head, &[2; 500], Instant::now()).unwrap();
    spool.sync(Instant::now()).unwrap();
    // The two are one hole, in its place, now and after a restart.
    for epoch in 2..=3 {
        let mut after = Seq::ZERO;
        let mut holes = Vec::new();
        while let Some(item) = spool.read(after).unwrap() {
            if let Item::Hole(hole) = item {
                assert_eq!(hole.first, after.next());
                holes.push(hole);
            }
            after = item.last();
        }
        assert_eq!(after, full.next());
        assert_eq!(holes.len(), 1);
        assert_eq!((holes[0].first, holes[0].last), (first.first, second.last));
        assert_eq!(holes[0].weight, first.weight + second.weight);
        assert_eq!(holes[0].weight, 3 * (second.last.0 - first.first.0 + 1));
        drop(spool);
        spool = open(&config, epoch);
    }
    spool.acknowledge(Epoch(1), full);
    fill(&mut spool);
}

#[test]
fn dropping_everything_stops_at_the_newest_segment() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut spool = open(&config, 1);
    for _ in 0..60 {
        put(&mut spool, &[1; 500]);
    }
    spool.sync(Instant::now()).unwrap();
    drop(spool);
    let mut spool = open(&config, 2);
    let mut dropped = 0;
    while let Some(d) = spool.drop_oldest(Seq::ZERO).unwrap() {
        dropped += d.weight;
    }
    let mut spool = {
        drop(spool);
        open(&config, 3)
    };
    assert_eq!(spool.last(), Seq(60));
    let Some(Item::Hole(hole)) = spool.read(Seq::ZERO).unwrap() else { panic!("a hole") };
    assert_eq!((hole.first, hole.weight), (Seq(1), dropped));
    let rest = records(&mut spool, hole.last);
    assert_eq!(rest.len() as u64 * 10 + dropped, 600);
    assert!(spool.backlog().bytes < 2 * config.segment_bytes);
}
