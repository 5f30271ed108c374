//! Damaged, cut, zeroed, missing and foreign files (F03, F04, F05, F06).

use crate::basics::{config, open, put};
use bartizan_model::{Epoch, Seq};
use bartizan_spool::{Cause, Config, Hole, Item, RealFs, Spool, inspect};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// In memory where there is such a place: nothing here is about durability.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A few segments of a few records; returns what each record holds.
fn filled(config: &Config) -> BTreeMap<u64, Vec<u8>> {
    let mut spool = open(config, 1);
    let mut payloads = BTreeMap::new();
    for i in 0..9_u8 {
        let payload = vec![i; 40 + usize::from(i) * 9];
        payloads.insert(put(&mut spool, &payload).0, payload);
    }
    spool.sync(Instant::now()).unwrap();
    payloads
}

fn small(dir: &Path) -> Config {
    Config { segment_bytes: 500, ..config(dir) }
}

fn segments(config: &Config) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(&config.dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "seg"))
        .collect();
    paths.sort();
    paths
}

/// Reads everything and checks that it is what was appended, in order; returns the records' numbers and the holes.
fn read_all(spool: &mut Spool<RealFs>, payloads: &BTreeMap<u64, Vec<u8>>) -> (Vec<u64>, Vec<Hole>) {
    let (mut after, mut seqs, mut holes) = (Seq::ZERO, Vec::new(), Vec::new());
    while let Some(item) = spool.read(after).unwrap() {
        assert!(item.last() > after);
        after = item.last();
        match item {
            Item::Record(record) => {
                assert_eq!(payloads[&record.seq.0], record.payload, "garbage");
                seqs.push(record.seq.0);
            }
            Item::Hole(hole) => holes.push(hole),
        }
    }
    (seqs, holes)
}

/// Opens a damaged spool, checks that it reads and goes on, and returns what it read.
fn survive(config: &Config, payloads: &BTreeMap<u64, Vec<u8>>, context: &str) -> (Vec<u64>, Vec<Hole>, Seq) {
    let mut spool = open(config, 2);
    let last = spool.last();
    let (seqs, holes) = read_all(&mut spool, payloads);
    // SP-5: up to the newest record found, nothing is missing and nothing is counted twice.
    let read = seqs.len() as u64 * 10;
    assert_eq!(read + holes.iter().map(|h| h.weight).sum::<u64>(), last.0 * 10, "{context}: {holes:?}");
    let covered = seqs.len() as u64 + holes.iter().map(|h| h.last.0 - h.first.0 + 1).sum::<u64>();
    assert_eq!(covered, last.0, "{context}");
    // It goes on under its own epoch, and everything can be acknowledged.
    let next = put(&mut spool, b"next");
    assert_eq!(next, last.next(), "{context}");
    spool.sync(Instant::now()).unwrap();
    let Some(Item::Record(record)) = spool.read(last).unwrap() else { panic!("{context}") };
    assert_eq!((record.epoch, &record.payload[..]), (Epoch(2), &b"next"[..]));
    assert!(holes.iter().all(|h| h.epoch == Epoch(1) && h.cause == Cause::Damaged), "{context}");
    spool.acknowledge(Epoch(2), next);
    assert_eq!(segments(config).len(), 1, "{context}");
    (seqs, holes, last)
}

fn copy(from: &Config, to: &Path) -> Config {
    let config = Config { dir: to.to_owned(), ..from.clone() };
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(&from.dir).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    config
}

/// F05: one flipped bit in each byte of each segment costs at most the record that it is in.
#[test]
fn f05_a_flipped_bit_anywhere_costs_one_record_at_most_and_is_counted() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let newest = segments(&config).len() - 1;
    assert!(newest >= 2);
    let copied = dir.path().join("copy");
    let bits = if crate::soak(0, 1) == 1 { 0..8 } else { 3..4 };
    for (n, segment) in segments(&config).iter().enumerate() {
        let whole = fs::read(segment).unwrap();
        for at in 0..whole.len() {
            for bit in bits.clone() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let config = copy(&config, &copied);
                fs::write(config.dir.join(segment.file_name().unwrap()), bytes).unwrap();
                let context = format!("segment {n} byte {at} bit {bit}");
                let (seqs, holes, last) = survive(&config, &payloads, &context);
                assert!(seqs.len() >= 8, "{context}: {seqs:?}");
                // Either a hole in its place, or the newest record of all, cut as if never written.
                assert!(holes.len() <= 1 && (last == Seq(9) || (last == Seq(8) && n == newest)), "{context}");
                assert!(seqs.len() == 9 || !holes.is_empty() || last == Seq(8), "{context}");
                let bad = fs::read_dir(&config.dir).unwrap().flatten();
                let kept = bad.filter(|e| e.path().extension().is_some_and(|x| x == "bad")).count();
                assert_eq!(
                    kept == 1,
                    !holes.is_empty() || n == newest,
                    "{context}: a damaged segment is kept"
                );
            }
        }
    }
}

/// F04: the last segment cut at every length, and zeroed or filled with garbage from every byte on.
#[test]
fn f04_any_tail_opens_and_keeps_every_record_before_it() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let last_segment = segments(&config).pop().unwrap();
    let whole = fs::read(&last_segment).unwrap();
    let first: u64 = last_segment.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap();
    let copied = dir.path().join("copy");
    for at in 0..=whole.len() {
        // Where each record ends, to know how many are whole before the cut.
        let mut end = 64;
        let whole_records = (first..=9)
            .take_while(|seq| {
                end += 56 + payloads[seq].len().min(8) + payloads[seq].len();
                end <= at
            })
            .count() as u64;
        let tails: [Vec<u8>; 4] = [
            whole[..at].to_vec(),
            [&whole[..at], &vec![0; whole.len() - at][..]].concat(),
            [&whole[..at], &vec![0; 9_000][..]].concat(),
            [&whole[..at], &vec![0xB5; 700][..]].concat(),
        ];
        for (n, tail) in tails.iter().enumerate() {
            let config = copy(&config, &copied);
            fs::write(config.dir.join(last_segment.file_name().unwrap()), tail).unwrap();
            let context = format!("tail {n} at {at}");
            let (seqs, holes, _) = survive(&config, &payloads, &context);
            let kept = first - 1 + whole_records;
            assert_eq!(seqs, (1..=kept).collect::<Vec<_>>(), "{context}");
            assert!(holes.len() <= 1, "{context}: {holes:?}");
        }
    }
}

/// F04: nonsense in the middle of a segment does not hide what follows it.
#[test]
fn f04_a_stretch_of_nonsense_is_one_hole_of_exact_weight() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let copied = dir.path().join("copy");
    for (n, segment) in segments(&config).iter().enumerate() {
        let whole = fs::read(segment).unwrap();
        for at in (0..whole.len()).step_by(7) {
            for len in [30, 90, 200] {
                let mut bytes = whole.clone();
                let end = bytes.len().min(at + len);
                bytes[at..end].fill(0x5A);
                let config = copy(&config, &copied);
                fs::write(config.dir.join(segment.file_name().unwrap()), bytes).unwrap();
                survive(&config, &payloads, &format!("segment {n} at {at} len {len}"));
            }
        }
    }
}

/// A payload that holds a whole copy of another segment is not read as records when its own header is damaged.
#[test]
fn a_payload_cannot_pose_as_a_record() {
    let dir = scratch();
    let forged = small(&dir.path().join("forged"));
    fs::create_dir(dir.path().join("forged")).unwrap();
    let payloads = filled(&forged);
    let bait = fs::read(&segments(&forged)[0]).unwrap();
    let config = Config { segment_bytes: 4096, ..small(dir.path()) };
    let mut spool = open(&config, 77);
    for _ in 0..3 {
        put(&mut spool, &bait);
    }
    spool.sync(Instant::now()).unwrap();
    drop(spool);
    let path = &segments(&config)[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[70] ^= 1;
    fs::write(path, bytes).unwrap();
    let mut spool = open(&config, 78);
    let Some(Item::Hole(hole)) = spool.read(Seq::ZERO).unwrap() else { panic!("a hole") };
    assert_eq!((hole.first, hole.last, hole.weight), (Seq(1), Seq(1), 10));
    let Some(Item::Record(record)) = spool.read(Seq(1)).unwrap() else { panic!("a record") };
    assert_eq!(record.payload, bait);
    assert!(!payloads.is_empty());
}

/// F03: segments that were unlinked, with or without the hint being written: the first one there is the position.
#[test]
fn f03_the_position_is_the_first_segment_that_is_there() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let paths = segments(&config);
    fs::remove_file(&paths[0]).unwrap();
    let first = paths[1].file_name().unwrap().to_str().unwrap()[..20].parse::<u64>().unwrap();
    let mut spool = open(&config, 2);
    assert_eq!(spool.acknowledged(), Seq(first - 1));
    let (seqs, holes) = read_all(&mut spool, &payloads);
    assert_eq!((seqs, holes), ((first..=9).collect(), Vec::new()));
    drop(spool);
    // Gone from the middle, which no crash does: counted.
    let again = copy(&config, &dir.path().join("again"));
    fs::copy(&paths[1], again.dir.join(paths[1].file_name().unwrap())).unwrap();
    let mut config = small(dir.path());
    config.dir = dir.path().join("middle");
    let payloads = filled(&config);
    fs::remove_file(&segments(&config)[1]).unwrap();
    let (_, holes, last) = survive(&config, &payloads, "middle");
    assert_eq!((holes.len(), last), (1, Seq(9)));
}

/// F06: the hint missing, empty, cut, garbage, older, newer, another spool's: at worst something is read again.
#[test]
fn f06_the_hint_is_only_a_hint() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let hint = config.dir.join("acked");
    let mut spool = open(&config, 2);
    spool.acknowledge(Epoch(1), Seq(1));
    let older = fs::read(&hint).unwrap();
    spool.acknowledge(Epoch(1), Seq(2));
    let newest = fs::read(&hint).unwrap();
    drop(spool);

    let other = Config { dir: dir.path().join("other"), ..config.clone() };
    let mut spool = open(&other, 4711);
    for _ in 0..9 {
        put(&mut spool, b"other");
    }
    spool.sync(Instant::now()).unwrap();
    spool.acknowledge(Epoch(4711), Seq(9));
    let foreign = fs::read(other.dir.join("acked")).unwrap();

    let first = segments(&config)[0].file_name().unwrap().to_str().unwrap()[..20].parse::<u64>().unwrap();
    let cases: [(Option<Vec<u8>>, u64); 7] = [
        (None, first),
        (Some(Vec::new()), first),
        (Some(newest[..20].to_vec()), first),
        (Some(vec![0xFF; 5000]), first),
        (Some(older), 2),
        (Some(foreign), first),
        (Some(newest), 3),
    ];
    for (n, (bytes, expected)) in cases.into_iter().enumerate() {
        match bytes {
            Some(bytes) => fs::write(&hint, bytes).unwrap(),
            None => _ = fs::remove_file(&hint),
        }
        let mut spool = open(&config, 10 + n as u64);
        let (seqs, holes) = read_all(&mut spool, &payloads);
        assert_eq!((seqs, holes), ((expected..=9).collect(), Vec::new()), "case {n}");
    }
    // A directory in its place.
    fs::remove_file(&hint).unwrap();
    fs::create_dir(&hint).unwrap();
    let mut spool = open(&config, 30);
    assert_eq!(read_all(&mut spool, &payloads).0.len() as u64, 9 - (first - 1));
    spool.acknowledge(Epoch(1), Seq(9));
}

#[test]
fn foreign_files_are_left_alone_and_reported() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let names = [
        "notes.txt",
        "00000000000000000001.seg",
        "99999999999999999999-0000000000000001-0000000000000000.seg",
        ".hidden",
    ];
    for name in names {
        fs::write(config.dir.join(name), "mine").unwrap();
    }
    fs::create_dir(config.dir.join("00000000000000000003-00000000000000aa-0000000000000000.seg")).unwrap();
    let (mut spool, recovery) = Spool::open(config.clone(), RealFs, Epoch(2), Instant::now()).unwrap();
    assert_eq!(recovery.foreign_files, 5);
    assert_eq!(recovery.foreign_names.len(), 5);
    assert_eq!(read_all(&mut spool, &payloads).0.len(), 9);
    spool.acknowledge(Epoch(1), Seq(9));
    for name in names {
        assert_eq!(fs::read_to_string(config.dir.join(name)).unwrap(), "mine");
    }
}

/// An old copy of the whole directory brought back: the same numbers are used again, but under another epoch.
#[test]
fn an_old_copy_brought_back_never_uses_a_name_again() {
    let dir = scratch();
    let config = small(dir.path());
    filled(&config);
    let old = copy(&config, &dir.path().join("old"));
    let mut names = std::collections::BTreeSet::new();
    for (epoch, config) in [(2, &config), (3, &old)] {
        let mut spool = open(config, epoch);
        let seq = put(&mut spool, b"new");
        assert_eq!(seq, Seq(10));
        assert!(names.insert((spool.epoch(), seq)), "SP-3");
    }
}

/// Quarantine is bounded by number and by bytes.
#[test]
fn quarantine_does_not_grow_for_ever() {
    let dir = scratch();
    let config = small(dir.path());
    for life in 1..=20_u64 {
        let mut spool = open(&config, life);
        let last = put(&mut spool, &[1; 300]);
        spool.sync(Instant::now()).unwrap();
        spool.acknowledge(Epoch(life), last);
        drop(spool);
        let path = segments(&config).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let bad = fs::read_dir(&config.dir).unwrap().flatten();
    let kept = bad.filter(|e| e.path().extension().is_some_and(|x| x == "bad")).count();
    assert_eq!(kept, 4);
    assert!(segments(&config).len() <= 2);
}

/// `inspect` from outside, beside a running owner and after it.
#[test]
fn a_look_from_outside_sees_every_flip_and_no_damage_where_there_is_none() {
    let dir = scratch();
    let config = small(dir.path());
    let payloads = filled(&config);
    let look = || {
        let lane = inspect::lane(&RealFs, &config.dir).unwrap();
        let (mut seen, mut damaged, mut unfinished) = (BTreeMap::new(), 0, 0);
        for segment in &lane.segments {
            let report = inspect::segment(&RealFs, &config.dir, segment, |record| {
                seen.insert(record.seq.0, record.payload);
                Ok(())
            })
            .unwrap();
            damaged += report.missing;
            unfinished += report.unfinished;
            assert_eq!(report.missing > 0, !report.damaged.is_empty(), "{report:?}");
        }
        (seen, damaged, unfinished)
    };
    assert_eq!(look(), (payloads.clone(), 0, 0));
    for path in segments(&config) {
        let whole = fs::read(&path).unwrap();
        for byte in 64..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let (seen, damaged, _) = look();
            assert!(damaged >= 1, "{}: byte {byte}", path.display());
            assert!(seen.iter().all(|(seq, payload)| payloads[seq] == *payload));
        }
        // cut at any place: in the newest segment that is an append that did not finish
        let newest = Some(&path) == segments(&config).last();
        for len in 65..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let (_, damaged, unfinished) = look();
            if newest {
                assert_eq!(damaged, 0, "cut to {len}");
            } else {
                assert!(damaged >= 1 && unfinished == 0, "cut to {len}");
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    // what was dropped to make room is no damage
    let mut spool = open(&config, 2);
    assert!(spool.drop_oldest(Seq::ZERO).unwrap().is_some());
    drop(spool);
    let (seen, damaged, _) = look();
    assert!(damaged == 0 && seen.len() < payloads.len());
}
