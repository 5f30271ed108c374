//! Spools of versions that were given away are read, and written on.
//!
//! `tests/data/vN` is what the program of format N had left when it was killed. Such a folder is made once, when the format
//! is new, by this test with `BARTIZAN_FREEZE=1`, and never changed.

use crate::basics::{config, open, put, records};
use bartizan_model::Seq;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The newest format.
const NOW: u32 = 1;
/// Records in each.
const RECORDS: u64 = 40;

fn frozen(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/v{version}"))
}

fn payload(n: u64) -> Vec<u8> {
    format!("record {n} ").repeat(1 + (n as usize * 7) % 20).into_bytes()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn spools_of_every_format_are_read_and_written_on() {
    if std::env::var_os("BARTIZAN_FREEZE").is_some() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let mut spool = open(&config, 7);
        for n in 1..=RECORDS {
            put(&mut spool, &payload(n));
        }
        spool.sync(Instant::now()).unwrap();
        assert!(!frozen(NOW).exists(), "what is frozen stays as it is");
        copy(&config.dir, &frozen(NOW));
        let _ = std::fs::remove_file(frozen(NOW).join("lock"));
    }
    for version in 1..=NOW {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        copy(&frozen(version), &config.dir);
        for life in 0..2 {
            let mut spool = open(&config, 100 + life);
            let read = records(&mut spool, Seq::ZERO);
            let there: Vec<_> = read.iter().map(|record| record.payload.clone()).collect();
            let wanted: Vec<_> = (1..=RECORDS + life).map(payload).collect();
            assert_eq!(there, wanted, "of format {version}, life {life}");
            assert_eq!(read[0].epoch.0, 7);
            assert_eq!(put(&mut spool, &payload(RECORDS + life + 1)), Seq(RECORDS + life + 1));
            spool.sync(Instant::now()).unwrap();
        }
    }
}

/// A program that is older than what is there takes none of it for its own, and destroys nothing.
#[test]
fn what_a_newer_format_left_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    std::fs::create_dir_all(&config.dir).unwrap();
    let newer = config.dir.join("00000000000000000001-0000000000000007-0000000000000000.seg2");
    std::fs::write(&newer, b"\xB5SPOOL2\nsomething").unwrap();
    let mut spool = open(&config, 8);
    assert!(records(&mut spool, Seq::ZERO).is_empty());
    put(&mut spool, b"ours");
    spool.sync(Instant::now()).unwrap();
    drop(spool);
    assert_eq!(std::fs::read(&newer).unwrap(), b"\xB5SPOOL2\nsomething");
}
