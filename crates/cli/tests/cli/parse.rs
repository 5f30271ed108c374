//! `parse` and `prefix`: what comes out, what is said, and how it ends.

use super::{bartizan, done};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKET: &str = "IN=eth0 OUT= MAC=52:54:00:12:34:56:00:13:46:3a:41:36:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=7 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0 ";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn parse(args: &[&str], stdin: &[u8]) -> (i32, Vec<Value>, String) {
    let mut child = bartizan()
        .arg("parse")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&stdin));
    let output = child.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    let out = String::from_utf8(output.stdout).unwrap();
    let rows = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), rows, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_packet_has_the_names_of_the_filter_language() {
    let line = format!(
        "<4>2024-01-08T03:37:09.5+01:00 gw kernel: [ 12.5] [UFW BLOCK] {PACKET}MARK=0x2a UID=0 GID=7\n"
    );
    let (code, rows, said) = parse(&[], line.as_bytes());
    assert_eq!((code, said.as_str()), (0, "1 lines: 1 events, 0 unparsed, 0 other\n"));
    let want = json!({
        "time": "2024-01-08T02:37:09.500000Z", "host": "gw", "prefix": "[UFW BLOCK] ", "action": "drop",
        "in": "eth0", "src": "192.0.2.1", "dst": "198.51.100.2", "proto": "tcp", "sport": 40000, "dport": 22,
        "length": 60, "ttl": 64, "flags": "SYN", "mark": 42, "uid": 0, "gid": 7,
        "mac": "00:13:46:3a:41:36", "mac_src": "00:13:46:3a:41:36", "mac_dst": "52:54:00:12:34:56",
        "ether_type": 2048, "family": "ip", "tos": 0, "ip_id": 7, "frag": 16384, "tcp_window": 64240,
        "rule": "BLOCK"
    });
    assert_eq!(rows, [want]);
}

#[test]
fn what_nobody_said_is_absent() {
    let icmp = "IN= OUT=lo SRC=::1 DST=::1 LEN=64 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=ICMPv6 TYPE=128 CODE=0 ID=1 SEQ=2";
    let (_, rows, _) = parse(&["-"], icmp.as_bytes());
    let want = json!({
        "action": "log", "out": "lo", "src": "::1", "dst": "::1", "proto": "icmpv6", "length": 64, "ttl": 64,
        "type": 128, "code": 0, "family": "ip6", "tos": 0, "extra": "{\"icmp_id\":1,\"icmp_seq\":2}"
    });
    assert_eq!(rows, [want]);
}

#[test]
fn every_line_is_in_one_of_the_numbers() {
    let text = format!(
        "Jan  8 03:37:09 gw kernel: drop {PACKET}\r\n\nJan  8 03:37:10 gw sshd[7]: Accepted {PACKET}\n\
         Jan  8 03:37:11 gw kernel: drop {}\nJan  8 03:37:12 gw last message repeated 2 times\n",
        &PACKET[..90]
    );
    let (code, rows, said) = parse(&["--zone", "+02:00"], text.as_bytes());
    assert_eq!((code, said.as_str()), (0, "5 lines: 1 events, 2 unparsed, 2 other\n"));
    assert_eq!(rows.len(), 3);
    assert!(rows[0]["time"].as_str().unwrap().ends_with("-01-08T01:37:09.000000Z"), "{}", rows[0]);
    assert_eq!(
        (&rows[1]["action"], &rows[1]["src"], &rows[2]["packets"]),
        (&json!("drop"), &json!("192.0.2.1"), &json!(2))
    );
    assert!(rows[1]["raw"].as_str().unwrap().contains(&PACKET[..90]));
}

#[test]
fn files_that_are_not_there_are_said_and_the_others_read() {
    let folder = folder();
    let file = folder.path().join("kern.log");
    fs::write(&file, format!("Jan  8 03:37:09 gw kernel: {PACKET}")).unwrap();
    let missing = folder.path().join("none.log");
    let args = [missing.to_str().unwrap(), file.to_str().unwrap()];
    let (code, rows, said) = parse(&args, b"");
    assert_eq!((code, rows.len()), (5, 1));
    assert!(said.contains("there is no file ") && said.contains("1 lines: 1 events"), "{said}");
    let (code, _, said) = parse(&[folder.path().to_str().unwrap(), "-q"], b"");
    assert!(code == 1 && said.contains("is a folder") && !said.contains("lines:"), "{said}");
}

#[test]
fn hostile_input_is_limited_and_counted() {
    let mut text = vec![b'x'; 16 << 20];
    text.extend(format!("\nJan  8 03:37:09 gw kernel: \x1b[2J\u{202e}[[[[ {PACKET}\n").bytes());
    text.extend(b"Jan  8 03:37:09 gw kernel: \xff\0\xfe ");
    text.extend(PACKET.bytes());
    text.push(b'\n');
    text.extend(format!("Jan  8 03:37:09 gw kernel: {PACKET}").bytes());
    text.extend(std::iter::repeat_n(b'[', 16 << 20));
    let (code, rows, said) = parse(&[], &text);
    assert_eq!(code, 0);
    assert_eq!(said, "4 lines: 2 events, 1 unparsed, 1 other (2 lines were too long and cut)\n");
    assert_eq!(rows[0]["prefix"], "\u{1b}[2J\u{202e}[[[[ ");
    assert_eq!(rows[1]["src"], "192.0.2.1");
    assert!(rows[2]["raw"].as_str().unwrap().len() <= 64 << 10);
    let (code, rows, said) = parse(&[], &[0; 4096]);
    assert_eq!((code, rows.len(), said.as_str()), (0, 0, "1 lines: 0 events, 0 unparsed, 1 other\n"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = folder();
    let file = folder.path().join("kern.log");
    fs::write(&file, format!("Jan  8 03:37:09 gw kernel: {PACKET}\n").repeat(50_000)).unwrap();
    let mut child =
        bartizan().arg("parse").arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn packed_files_are_unpacked_and_years_are_those_of_the_order() {
    let folder = folder();
    let file = folder.path().join("kern.log");
    let line = |stamp: &str| format!("{stamp} gw kernel: {PACKET}\n");
    let stamps = ["Nov 20 10:00:00", "Dec 31 10:00:00", "Jan  2 10:00:00"];
    fs::write(&file, stamps.map(line).concat()).unwrap();
    assert!(Command::new("gzip").arg(&file).status().unwrap().success());
    let packed = folder.path().join("kern.log.gz");
    let args = ["--zone", "UTC", "--year", "2019", packed.to_str().unwrap()];
    let (code, rows, said) = parse(&args, b"");
    assert_eq!((code, said.as_str()), (0, "3 lines: 3 events, 0 unparsed, 0 other\n"));
    let years: Vec<_> = rows.iter().map(|row| &row["time"].as_str().unwrap()[..7]).collect();
    assert_eq!(years, ["2019-11", "2019-12", "2020-01"]);
}

#[test]
fn csv_has_every_column() {
    let folder = folder();
    let file = folder.path().join("kern.log");
    fs::write(&file, format!("Jan  8 03:37:09 gw kernel: =1+1 {PACKET}\n")).unwrap();
    let done = done(bartizan().args(["parse", "-o", "csv", "-q"]).arg(&file));
    let mut lines = done.out.lines();
    let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(head.starts_with("time,host,prefix,action,in,out,src,dst,proto,sport,dport,length"), "{head}");
    assert!(row.contains(",gw,'=1+1 ,log,eth0,,192.0.2.1,198.51.100.2,tcp,40000,22,60,"), "{row}");
    assert_eq!(head.matches(',').count(), row.matches(',').count());
}

#[test]
fn prefixes_are_shown_as_they_are_read() {
    let test = |args: &[&str]| done(bartizan().args(["prefix", "test"]).args(args));
    let shown = test(&[
        "[WAN_LOCAL-default-D]",
        &format!("Jan  8 03:37:09 gw kernel: [UFW AUDIT] {PACKET}"),
        "-o",
        "ndjson",
    ]);
    let rows: Vec<Value> = shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["producer"], &rows[0]["action"]), (&json!("ubiquiti"), &json!("drop")));
    assert_eq!((&rows[0]["chain"], &rows[0]["rule"]), (&json!("WAN_LOCAL"), &json!("default")));
    assert_eq!((&rows[1]["producer"], &rows[1]["action"]), (&json!("ufw"), &json!("log")));
    assert_eq!(rows[1]["line"]["dport"], 22);
    let table = test(&["\x1b[31mdrop "]);
    assert!(!table.out.contains('\x1b') && table.out.contains("drop"), "{}", table.out);
    let folder = folder();
    let file = folder.path().join("prefixes.toml");
    fs::write(&file, "[[dialect]]\nproducer = \"ours\"\npattern = '^\\[UFW'\naction = \"reject\"\n").unwrap();
    let own = test(&["[UFW BLOCK] ", "-o", "json", "--prefixes", file.to_str().unwrap()]);
    let rows: Value = serde_json::from_str(&own.out).unwrap();
    assert_eq!((&rows[0]["producer"], &rows[0]["action"]), (&json!("ours"), &json!("reject")));
    fs::write(&file, "[[dialect]]\nproducer = \"ours\"\npattern = '('\n").unwrap();
    let wrong = test(&["x", "--prefixes", file.to_str().unwrap()]);
    assert!(wrong.code == 2 && wrong.err.contains("entry 1 (ours)"), "{}", wrong.err);
    let list = done(bartizan().args(["prefix", "list", "-o", "csv"]));
    assert!(list.out.contains("shorewall,built in,"), "{}", list.out);
}

/// Folder and the ends of the names of its files; not the project's: `BARTIZAN_CORPUS` names where they lie.
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

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = std::env::var_os("BARTIZAN_CORPUS").map_or(beside, PathBuf::from);
    root.is_dir().then_some(root)
}

/// One line about a set: what was said of it, how many of each action, and a hash of all rows but their years, which
/// depend on when the files were last written.
fn summary(set: &Path, end: &str) -> String {
    let mut files: Vec<_> = fs::read_dir(set).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|p| p.to_string_lossy().ends_with(end));
    files.sort();
    let mut text = Vec::new();
    for file in &files {
        text.extend(match file.extension().is_some_and(|e| e == "gz") {
            true => Command::new("gzip").arg("-dc").arg(file).output().unwrap().stdout,
            false => fs::read(file).unwrap(),
        });
        text.push(b'\n');
    }
    let (code, rows, said) = parse(&["--zone", "UTC"], &text);
    assert_eq!(code, 0);
    let (mut actions, mut hash) = ([0_usize; 4], 0xcbf2_9ce4_8422_2325_u64);
    for row in &rows {
        let action = ["drop", "reject", "accept", "log"].iter().position(|a| row["action"] == *a);
        actions[action.unwrap()] += 1;
        let mut row = row.clone();
        if let Some(time) = row.get_mut("time") {
            *time = json!(&time.as_str().unwrap()[4..]);
        }
        for byte in row.to_string().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let [drop, reject, accept, log] = actions;
    format!("{}; drop {drop}, reject {reject}, accept {accept}, log {log}; {hash:016x}", said.trim_end())
}

#[test]
fn real_lines_give_what_they_gave() {
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
        writeln!(got, "{set}: {}", summary(&folder, end)).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/parse.txt");
    if std::env::var_os("BARTIZAN_WRITE_GOLDEN").is_some() {
        fs::write(&golden, &got).unwrap();
    }
    assert_eq!(got, fs::read_to_string(golden).unwrap());
}
