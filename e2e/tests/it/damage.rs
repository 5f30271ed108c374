//! Files of the lake that are cut off, changed or gone under a real server: the rest is answered, the file is named, and
//! the exit code says that it is not all.

use bartizan_e2e::process::{Server, wait_until};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const LINES: u32 = 500;

/// The lines of one day in March.
fn day(day: u32) -> String {
    let mut text = String::new();
    for n in 0..LINES {
        let (minute, second) = (n / 60, n % 60);
        writeln!(
            text,
            "2026-03-{day:02}T12:{minute:02}:{second:02}.000000+00:00 gw-1 kernel: [{n:>5}.000000] IN-DROP: IN=eth0 OUT= \
             MAC=02:00:00:00:00:02:02:00:00:00:00:01:08:00 SRC=198.51.{day}.{} DST=203.0.113.5 LEN=60 TOS=0x00 PREC=0x00 \
             TTL=64 ID={n} DF PROTO=TCP SPT={} DPT={} WINDOW=64240 RES=0x00 SYN URGP=0",
            n % 250,
            n % 60_000 + 1024,
            n % 7 + 20,
        )
        .unwrap();
    }
    text
}

fn parquet(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect()
}

#[test]
fn a_damaged_file_is_named_and_the_rest_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "commit.age_ms = 100\n").unwrap();
    server.start().unwrap();
    for n in 1..=4 {
        let path = dir.path().join(format!("kern.{n}.log"));
        fs::write(&path, day(n)).unwrap();
        server.ask(&["import", path.to_str().unwrap()]).unwrap();
    }
    let lake = server.dir().join("lake/events");
    let folder = |day: u32| lake.join(format!("date=2026-03-{day:02}"));
    wait_until("files of four days", PATIENCE, || Ok((1..=4).all(|day| folder(day).is_dir()).then_some(())))
        .unwrap();
    server.stop().unwrap();
    for path in parquet(&folder(1)) {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    }
    for path in parquet(&folder(2)) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[4..400].iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(&path, bytes).unwrap();
    }
    parquet(&folder(3)).iter().for_each(|path| fs::remove_file(path).unwrap());
    server.start().unwrap();

    let ask = |args: &[&str]| {
        let output = server.cli().unwrap().args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let all: &[&str] = &["search", "dport:1-65535", "-o", "ndjson"];
    for (more, lines) in [
        (&["-n", "0"][..], LINES as usize),
        (&["-n", "5000"][..], LINES as usize),
        (&["--count"][..], 1),
        (&["--by", "dport"][..], 7),
        (&["--by", "dport", "--distinct", "src"][..], 7),
    ] {
        let (code, out, err) = ask(&[all, more].concat());
        assert_eq!((code, out.lines().count()), (Some(8), lines), "{more:?}: {out} {err}");
        for day in 1..=3 {
            assert!(err.contains(&format!("date=2026-03-{day:02}/")), "{more:?}: {err}");
        }
    }
    let (code, out, err) = ask(&[all, &["--since", "2026-03-04T00:00:00Z", "-n", "0"]].concat());
    assert_eq!((code, out.lines().count()), (Some(0), LINES as usize), "{err}");
}
