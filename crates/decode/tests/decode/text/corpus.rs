//! Real lines of many dialects, read where they lie. What is kept here are counts and a hash of what was read.

use super::row_of;
use crate::pcap::corpus;
use bartizan_decode::text::Line;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder and the end of the names of its files.
const SETS: [(&str, &str); 12] = [
    ("psad-scans", ""),
    ("ufw-iso", ".log"),
    ("gw-vlan-forward", ".log"),
    ("ntp-prefix", ".log"),
    ("knocker-rpi", ".log"),
    ("parser-test-lines", ".log"),
    ("wild", ".log"),
    ("ufwlog-cli", ".log"),
    ("perl-iptables-log", "syslog"),
    ("oracle-ulogd-kernel", "kernel.log.gz"),
    ("oracle-ulogd-kernel-bridge", "kernel.log.gz"),
    ("noise-loghub", ".log"),
];

/// A file's bytes, unpacked.
pub(super) fn contents(path: &Path) -> Vec<u8> {
    if path.extension().is_some_and(|e| e == "gz") {
        return Command::new("gzip").arg("-dc").arg(path).output().unwrap().stdout;
    }
    std::fs::read(path).unwrap()
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(end))
        .collect();
    files.sort();
    files
}

#[derive(Default)]
struct Counts {
    lines: usize,
    events: usize,
    packets: u32,
    unparsed: usize,
    hash: u64,
}

fn count(folder: &Path, end: &str) -> Counts {
    let mut counts = Counts { hash: 0xcbf2_9ce4_8422_2325, ..Counts::default() };
    for file in files(folder, end) {
        let bytes = contents(&file);
        for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            counts.lines += 1;
            let Some(read) = Line::parse(line) else { continue };
            counts.events += 1;
            counts.packets += read.packets();
            counts.unparsed += usize::from(read.problem.is_some());
            if read.problem.is_some() && std::env::var_os("BARTIZAN_SHOW").is_some() {
                println!("{:?} {}", read.problem, String::from_utf8_lossy(line));
            }
            let row = format!("{:?}{:?}", read.envelope.host, row_of(&read));
            for byte in row.bytes() {
                counts.hash = (counts.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    counts
}

#[test]
fn real_lines_read_as_before() {
    let Some(corpus) = corpus() else {
        println!("no lines: BARTIZAN_CORPUS names no folder and none lies beside the project");
        return;
    };
    let mut got = String::new();
    for (set, end) in SETS {
        let folder = corpus.join(set);
        if !folder.is_dir() {
            println!("no set {set}");
            return;
        }
        let Counts { lines, events, packets, unparsed, hash } = count(&folder, end);
        writeln!(
            got,
            "{set}: {lines} lines, {events} events, {packets} packets, {unparsed} unparsed, {hash:016x}"
        )
        .unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/text.txt");
    if std::env::var_os("BARTIZAN_WRITE_GOLDEN").is_some() {
        std::fs::write(&golden, &got).unwrap();
    }
    assert_eq!(got, std::fs::read_to_string(golden).unwrap());
}
