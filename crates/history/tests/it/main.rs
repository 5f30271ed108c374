//! Files of the corpus through the importer's readers, read where they lie.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, one that is skipped says so"
)]

#[expect(unreachable_pub, reason = "in its own crate it is reachable")]
#[path = "../../../../fuzz/src/history.rs"]
mod fuzz;

use bartizan_history::{HostFrom, Limits, Options, Tz, expand, open};
use bartizan_intake::{Read, Rows, Source as _, Tally};
use bartizan_model::Micros;
use std::path::{Path, PathBuf};

/// What the decoder's own test counted.
const GOLDEN: &str = include_str!("../../../decode/tests/golden/text.txt");

/// The folder that `BARTIZAN_CORPUS` names, or the one beside the project; not part of it.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = std::env::var_os("BARTIZAN_CORPUS").map_or(beside, PathBuf::from);
    let open = root.join("open");
    let root = if open.is_dir() { open } else { root };
    if !root.is_dir() {
        println!("skipped: BARTIZAN_CORPUS names no folder and none lies beside the project");
        return None;
    }
    Some(root)
}

/// Every record of one file; `None` if it is of no format that is read.
fn read(path: &Path) -> Option<Tally> {
    let options = Options {
        host: Some("x".to_owned()),
        host_from: HostFrom::Record,
        sender: String::new(),
        format: None,
        zone: Tz::utc(),
        year: None,
        keep_other: false,
        limits: Limits::default(),
        now: Micros(1_795_000_000_000_000),
    };
    let mut opened = open(expand(&[path.to_str().unwrap().to_owned()]).unwrap(), None, &options);
    let source = opened.sources.first_mut()?;
    let mut tally = Tally::default();
    let (mut rows, mut count) = (Rows::new(1 << 20), 0);
    while !matches!(source.read(u64::MAX, &mut rows, &mut tally).unwrap(), Read::End(_)) {}
    for (_, batch) in rows.finish() {
        count += batch.num_rows() as u64;
    }
    assert!(tally.adds_up() && tally.rows() == count, "{} {tally:?}", path.display());
    Some(tally)
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    files.sort();
    files
}

#[test]
fn lines_of_the_corpus_count_as_the_decoder_counts_them() {
    let Some(corpus) = corpus() else { return };
    for line in GOLDEN.lines() {
        let (set, counts) = line.split_once(": ").unwrap();
        let numbers: Vec<u64> = counts
            .split(", ")
            .filter_map(|part| part.split(' ').next().unwrap().parse().ok())
            .take(4)
            .collect();
        let [_, events, _, unparsed] = numbers[..] else { panic!("{line}") };
        let end = match set {
            "psad-scans" => "",
            "perl-iptables-log" => "syslog",
            "oracle-ulogd-kernel" | "oracle-ulogd-kernel-bridge" => "kernel.log.gz",
            _ => ".log",
        };
        let mut sum = Tally::default();
        for file in files(&corpus.join(set), end) {
            sum.add(&read(&file).unwrap_or_default());
        }
        assert_eq!(
            (sum.events + sum.unparsed, sum.unparsed, sum.unreadable.len()),
            (events, unparsed, 0),
            "{set}"
        );
    }
}

#[test]
fn captures_json_and_logemu_of_the_same_packets_count_alike() {
    let Some(corpus) = corpus() else { return };
    for (set, packets) in [("oracle-ulogd-kernel", 1496), ("oracle-ulogd-kernel-bridge", 839)] {
        for name in ["nflog.json.gz", "nflog.pcap.gz", "nflog.syslogemu"] {
            let plain = corpus.join(set).join(name);
            let path = if plain.exists() { plain } else { plain.with_extension("syslogemu.gz") };
            let tally = read(&path).unwrap();
            assert_eq!(tally.records, packets, "{} {tally:?}", path.display());
            // a capture of raw IP says of nothing else what it is: ARP and other frames of the bridge
            let frames = if set.ends_with("bridge") && name == "nflog.pcap.gz" { 123 } else { 40 };
            assert!(tally.rows() + frames >= packets, "{} {tally:?}", path.display());
        }
    }
}

#[test]
fn no_file_of_the_corpus_is_too_much() {
    let Some(corpus) = corpus() else { return };
    let mut captures = 0;
    for set in
        ["pcap-tcpdump", "pcap-libpcap", "pcap-scapy", "pcap-tcpreplay", "oracle-ulogd-kernel", "syslog-jc"]
    {
        for file in files(&corpus.join(set), "") {
            captures += u64::from(file.is_file() && read(&file).is_some_and(|t| t.rows() > 0));
        }
    }
    assert!(captures > 500, "{captures}");
}

/// The fuzz corpus: every file through the check of that name.
#[test]
fn the_fuzz_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/history_file");
    let files = files(&folder, "");
    assert!(files.len() > 8, "{}", folder.display());
    for file in files {
        fuzz::history_file(&std::fs::read(file).unwrap());
    }
}
