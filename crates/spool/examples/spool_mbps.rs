//! How fast a spool is on this disk: append with group commit, then read everything back.
//!
//! `cargo run --release -p bartizan-spool --example spool_mbps [DIR] [MIB]` (a folder below the current one, 1024)

#![expect(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a measuring tool")]

use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{Config, Head, RealFs, Spool};
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "spool_mbps.tmp".into());
    let mib: u64 = args.next().map_or(1024, |s| s.parse().unwrap());
    for (size, total) in [(256_u64 << 10, mib << 20), (4 << 10, (mib << 20) / 4), (200, (mib << 20) / 32)] {
        measure(&dir, size, total);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

fn measure(dir: &str, size: u64, total: u64) {
    let _ = std::fs::remove_dir_all(dir);
    let config = Config::new(dir, total * 2);
    let (mut spool, _) = Spool::open(config.clone(), RealFs, Epoch(1), Instant::now()).unwrap();
    let payload: Vec<u8> = (0..size).map(|i| (i * i / 7) as u8).collect();
    let head = Head { kind: Kind::Events, weight: 1, note: &[7; 64] };
    let count = total / size;

    let start = Instant::now();
    for _ in 0..count {
        let now = Instant::now();
        spool.append(head, &payload, now).unwrap();
        if spool.sync_due().is_some_and(|due| due <= now) {
            spool.sync(now).unwrap();
        }
    }
    spool.sync(Instant::now()).unwrap();
    report("append, durable", size, count, start);

    drop(spool);
    let start = Instant::now();
    let (mut spool, recovery) = Spool::open(config, RealFs, Epoch(2), start).unwrap();
    eprintln!("  open: {:.1} ms, {} segments", start.elapsed().as_secs_f64() * 1e3, recovery.segments);

    let start = Instant::now();
    let mut after = Seq::ZERO;
    while let Some(item) = spool.read(after).unwrap() {
        after = item.last();
        if after.0.is_multiple_of(16) {
            spool.acknowledge(item.epoch(), after);
        }
    }
    assert_eq!(after, Seq(count));
    report("read, acknowledge", size, count, start);
}

fn report(what: &str, size: u64, count: u64, start: Instant) {
    let secs = start.elapsed().as_secs_f64();
    let (mbps, rate) = ((size * count) as f64 / 1e6 / secs, count as f64 / secs);
    println!(
        r#"{{"figure":"spool {what}, {size} B payloads","value":{mbps:.1},"unit":"MB/s","goal":"","peer":null,"peer_value":null,"ok":null}}"#
    );
    println!(
        r#"{{"figure":"spool {what}, {size} B payloads","value":{rate:.0},"unit":"records/s","goal":"","peer":null,"peer_value":null,"ok":null}}"#
    );
}
