//! F01: kill -9 of a real process at random moments; what it said was durable is there afterwards.

use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{Config, Head, Item, RealFs, Spool};
use rand::Rng;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CHILD: &str = "BARTIZAN_SPOOL_KILL_DIR";

fn config(dir: &Path) -> Config {
    Config {
        segment_bytes: 64 << 10,
        budget_bytes: 2 << 20,
        sync_bytes: 8 << 10,
        sync_interval: Duration::from_millis(1),
        ..Config::new(dir, 0)
    }
}

fn payload(epoch: u64, seq: u64) -> Vec<u8> {
    let len = (seq * 37 % 900) as usize;
    (0..len).map(|i| (epoch ^ seq.wrapping_mul(7)).wrapping_add(i as u64) as u8).collect()
}

/// Not a test of its own: the process that is killed. It appends, syncs, reads and acknowledges as fast as it can
/// and says on stdout what is durable and what it acknowledged.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let epoch: u64 = rand::rng().random();
    let (mut spool, _) = Spool::open(config(Path::new(&dir)), RealFs, Epoch(epoch), Instant::now()).unwrap();
    let mut out = std::io::stdout().lock();
    let mut sent = spool.acknowledged();
    loop {
        let seq = spool.last().0 + 1;
        let head = Head { kind: Kind::Events, weight: 1, note: &seq.to_le_bytes() };
        let appended = spool.append(head, &payload(epoch, seq), Instant::now());
        if appended.is_err() || seq.is_multiple_of(5) {
            spool.sync(Instant::now()).unwrap();
            writeln!(out, "durable {epoch} {}", spool.durable().0).unwrap();
        }
        if seq.is_multiple_of(3) {
            for _ in 0..4 {
                if let Some(item) = spool.read(sent).unwrap() {
                    sent = item.last();
                    writeln!(out, "acked {} {}", item.epoch().0, sent.0).unwrap();
                    spool.acknowledge(item.epoch(), sent);
                }
            }
        }
    }
}

#[test]
fn f01_killed_at_random_moments_it_loses_nothing_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut durable: BTreeMap<u64, u64> = BTreeMap::new();
    let mut acked = 0;
    for round in 0..crate::soak(20, 10_000) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let reader = std::thread::spawn({
            let out = child.stdout.take().unwrap();
            move || BufReader::new(out).lines().map_while(Result::ok).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_micros(rand::rng().random_range(0..60_000)));
        child.kill().unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), None, "{}", String::from_utf8_lossy(&ended.stderr));
        for line in reader.join().unwrap() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["durable", epoch, seq] => {
                    _ = durable.insert(epoch.parse().unwrap(), seq.parse().unwrap());
                }
                // The line may be there although the acknowledgement was not reached, never the other way round.
                ["acked", _, seq] => acked = acked.max(seq.parse().unwrap()),
                _ => {}
            }
        }
        let config = config(dir.path());
        let (mut spool, _) = Spool::open(config, RealFs, Epoch(u64::from(round)), Instant::now()).unwrap();
        spool.check().unwrap();
        let newest = durable.values().copied().max().unwrap_or(0);
        assert!(spool.last().0 >= newest, "SP-1: round {round}: {:?} < {newest}", spool.last());
        let mut after = spool.acknowledged();
        assert!(after.0 <= acked, "round {round}: nobody acknowledged {after:?}");
        while let Some(item) = spool.read(after).unwrap() {
            match item {
                Item::Record(record) => {
                    assert_eq!(record.seq, after.next());
                    assert_eq!(record.payload, payload(record.epoch.0, record.seq.0));
                    after = record.seq;
                }
                // The kill came in the middle of a write: its header is whole, so it is counted.
                Item::Hole(hole) => {
                    let said = durable.get(&hole.epoch.0).copied().unwrap_or(0);
                    assert!(hole.first.0 > said, "SP-1: round {round}: {hole:?}, durable {said}");
                    assert_eq!((hole.first, hole.last, hole.weight), (after.next(), after.next(), 1));
                    after = hole.last;
                }
            }
        }
        assert_eq!(after, spool.last());
        if newest > 0 {
            let note = spool.last_note().expect("SP-6: a note");
            assert_eq!(Seq(u64::from_le_bytes(note.try_into().unwrap())), spool.last());
        }
    }
    assert!(durable.len() > 5, "the children hardly ran: {}", durable.len());
}
