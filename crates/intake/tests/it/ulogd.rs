//! ulogd's JSON: the same packets as the kernel, ulogd's LOGEMU and ulogd's capture have them. Row i of each is packet i.

use crate::row::{Row, contents, corpus, hash, rows_of};
use bartizan_decode::Event;
use bartizan_decode::packet::{self, Headers};
use bartizan_decode::text::Line;
use bartizan_intake::text::Fixed;
use bartizan_intake::ulogd::{JsonReader, Told, What};
use bartizan_intake::{Rows, Whose};
use bartizan_model::{Kind, Micros};
use std::collections::BTreeMap;
use std::path::Path;

const WHOSE: Whose<'static> = Whose { host: "vm", sender: "" };

/// Rows of each kind.
type Tables = Vec<(Kind, Vec<Row>)>;

/// All records of a text: their rows, and how many pieces were what.
fn read(text: &[u8]) -> (Tables, BTreeMap<String, usize>) {
    let told = Told { source: "ulogd", whose: WHOSE, received: Micros(7), zone: &Fixed(0) };
    let (mut reader, mut rows) = (JsonReader::default(), Rows::new(100_000));
    let (mut rest, mut counts) = (text, BTreeMap::new());
    while !rest.is_empty() {
        let piece = reader.read(rest, true, &mut rows, &told).unwrap();
        rest = &rest[piece.len..];
        if piece.what != What::Nothing {
            *counts.entry(format!("{:?}", piece.what)).or_default() += 1;
        }
    }
    (rows.finish().into_iter().map(|(kind, batch)| (kind, rows_of(kind, &batch))).collect(), counts)
}

fn events(path: &Path) -> Vec<Row> {
    let (rows, counts) = read(&contents(path));
    let [(Kind::Events, rows)] = &rows[..] else { panic!("{counts:?}") };
    assert_eq!(counts, [("Record(Event)".to_owned(), rows.len())].into());
    rows.clone()
}

/// What is in `extra`.
fn extra(row: &Row) -> BTreeMap<String, String> {
    let text = row.get("extra").map_or("{}", String::as_str);
    let object: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).expect("extra is JSON");
    object.into_iter().map(|(k, v)| (k, v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect()
}

fn line(text: &[u8]) -> Row {
    let line = Line::parse(text).unwrap();
    assert_eq!(line.problem, None, "{}", String::from_utf8_lossy(text));
    let mut rows = Rows::new(1);
    rows.line(&line, Micros(7), "ulogd", WHOSE).unwrap();
    rows_of(Kind::Events, &rows.finish()[0].1).remove(0)
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    contents(path).split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The packets of ulogd's capture, with the time of each.
fn packets(path: &Path) -> Vec<(i64, Vec<u8>)> {
    let bytes = contents(path);
    let number = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let (mut at, mut packets) = (24, Vec::new());
    while at < bytes.len() {
        let (seconds, micros, len) = (number(at), number(at + 4), number(at + 8) as usize);
        packets.push((
            Micros::from_parts(seconds.into(), micros.into()).0,
            bytes[at + 16..at + 16 + len].to_vec(),
        ));
        at += 16 + len;
    }
    packets
}

/// The row of headers alone.
fn captured(headers: Headers, packets: u32) -> Row {
    let mut rows = Rows::new(1);
    rows.event(&Event { headers, packets, ..Event::default() }, "ulogd", WHOSE).unwrap();
    rows_of(Kind::Events, &rows.finish()[0].1).remove(0)
}

/// Columns that the capture has too.
const HEADERS: [&str; 17] = [
    "src",
    "dst",
    "proto",
    "sport",
    "dport",
    "length",
    "tos",
    "ttl",
    "ip_id",
    "frag",
    "tcp_flags",
    "tcp_seq",
    "tcp_ack",
    "tcp_window",
    "icmp_type",
    "icmp_code",
    "packets",
];

/// The names of columns in which two rows differ.
fn differences<'a>(a: &Row, b: &Row, columns: &[&'a str]) -> Vec<&'a str> {
    columns.iter().copied().filter(|c| a.get(*c) != b.get(*c)).collect()
}

/// Counts what differs, and shows the first of each.
#[derive(Default)]
struct Differences(BTreeMap<String, usize>);

impl Differences {
    fn note(&mut self, what: String, show: impl FnOnce() -> String) {
        let count = self.0.entry(what).or_default();
        *count += 1;
        if *count == 1 {
            println!("{}", show());
        }
    }
}

fn compare_with_capture(folder: &Path, rows: &[Row], skipped: usize) {
    let packets = packets(&folder.join("nflog.pcap.gz"));
    assert_eq!(packets.len(), rows.len());
    let (mut differ, mut different) = (Differences::default(), 0);
    for (row, (time, packet)) in rows.iter().zip(&packets) {
        // each group of NFLOG has the packet some microseconds later
        assert!(row["time"].parse::<i64>().unwrap().abs_diff(*time) < 100_000);
        let kind = row.get("ether_type").and_then(|t| t.parse().ok()).unwrap_or(0);
        // of ARP there are addresses of ulogd's memory; it does not look at the version, and needs whole headers
        let version = match kind {
            packet::ETHER_IPV4 => 4,
            packet::ETHER_IPV6 => 6,
            _ => continue,
        };
        let mut captured = captured(packet::network(kind, packet), 1);
        let header = if version == 4 { usize::from(packet[0] & 15) * 4 } else { 40 };
        let proto = captured.get("proto").map_or("", String::as_str);
        let told: usize = captured.get("length").map_or(0, |l| l.parse().unwrap());
        let cut = packet.len() < header
            || told < header
            || (["1", "58"].contains(&proto) && packet.len() < header + 8);
        if packet[0] >> 4 != version || cut {
            different += 1;
            continue;
        }
        // nor does it know DCCP
        if proto == "33" {
            captured.retain(|c, _| !["sport", "dport"].contains(&c.as_str()));
        }
        let columns = differences(row, &captured, &HEADERS);
        if !columns.is_empty() {
            differ.note(format!("{columns:?}"), || format!("{columns:?}\n {row:?}\n {captured:?}"));
        }
    }
    println!("{:#?}", differ.0);
    assert!(differ.0.is_empty());
    assert_eq!(different, skipped);
}

#[test]
fn routed_packets_are_those_of_the_capture() {
    let Some(folder) = corpus("oracle-ulogd-kernel") else { return };
    compare_with_capture(&folder, &events(&folder.join("nflog.json.gz")), 1);
}

#[test]
fn bridged_packets_are_those_of_the_capture() {
    let Some(folder) = corpus("oracle-ulogd-kernel-bridge") else { return };
    compare_with_capture(&folder, &events(&folder.join("nflog.json.gz")), 18);
}

/// What is in the text alone: where a packet was cut, and fields that ulogd does not know.
const TEXT_ALONE: [&str; 6] =
    ["ends_early", "incomplete", "unknown_header", "icmp_pointer", "tcp_reserved", "arp_mac_dst"];

fn compare_with_text(
    rows: &[Row],
    texts: &[Vec<u8>],
    not_in_both: &[&str],
    alike: impl Fn(&mut Row, &mut Row),
) {
    assert_eq!(texts.len(), rows.len());
    let columns = columns();
    let mut differ = Differences::default();
    for (row, text) in rows.iter().zip(texts) {
        let (mut row, mut line) = (row.clone(), line(text));
        // text has no hook; the lowest bit of the type of service is masked in it
        row.remove("hook");
        if let Some(cell) = row.get_mut("tos").filter(|_| line.get("family").is_some_and(|f| f == "ip")) {
            *cell = (cell.parse::<u16>().unwrap() & 0xfe).to_string();
        }
        // what text has for ports though it is none: of later fragments, and behind a header that is too short
        if extra(&row).contains_key("src_port") {
            line.retain(|c, _| !["sport", "dport"].contains(&c.as_str()));
        }
        alike(&mut row, &mut line);
        // what ulogd could not read is compared as far as its frame goes
        if !(row.contains_key("src") && line.contains_key("src")) {
            let frame = |column: &String| ["in_if", "mac_src", "mark", "prefix"].contains(&column.as_str());
            row.retain(|c, _| frame(c));
            line.retain(|c, _| frame(c));
            if !line.contains_key("mac_src") {
                row.remove("mac_src");
            }
        }
        let mut columns = differences(&row, &line, &columns);
        let (here, there) = (extra(&row), extra(&line));
        columns.extend(TEXT_NAMES.iter().filter(|name| here.get(**name) != there.get(**name)));
        columns.retain(|column| !not_in_both.contains(column));
        let unknown = there.keys().filter(|k| !TEXT_ALONE.contains(&&***k) && !TEXT_NAMES.contains(&&***k));
        let unknown: Vec<_> = unknown.collect();
        if !columns.is_empty() || !unknown.is_empty() {
            differ.note(format!("{columns:?} {unknown:?}"), || {
                format!("{columns:?}\n {row:?}\n {line:?}\n {}", String::from_utf8_lossy(text))
            });
        }
    }
    println!("{:#?}", differ.0);
    assert!(differ.0.is_empty());
}

/// Names in `extra` that both have.
const TEXT_NAMES: [&str; 7] =
    ["flow_label", "icmp_id", "icmp_seq", "icmp_mtu", "icmp_gateway", "tcp_urgent", "spi"];

fn columns() -> Vec<&'static str> {
    let all = bartizan_schema::table_columns(Kind::Events).iter().map(|c| c.name);
    all.filter(|c| !["time", "extra"].contains(c)).collect()
}

/// ECE, CWR and AE are in JSON alone.
fn six_flags(row: &mut Row) {
    if let Some(cell) = row.get_mut("tcp_flags") {
        *cell = (cell.parse::<u16>().unwrap() & 0x3f).to_string();
    }
}

fn compare_with_logemu(set: &str, file: &str, not_in_both: &[&str]) {
    let Some(folder) = corpus(set) else { return };
    let rows = events(&folder.join("nflog.json.gz"));
    compare_with_text(&rows, &lines(&folder.join(file)), not_in_both, |row, line| {
        six_flags(row);
        if !row.contains_key("proto") {
            line.remove("proto");
        }
        // it prints the number of an echo for extended echos too, and does not have it
        if row.get("icmp_type").is_some_and(|t| ["42", "43"].contains(&t.as_str())) {
            line.remove("extra");
        }
    });
}

#[test]
fn routed_packets_are_those_of_logemu() {
    compare_with_logemu("oracle-ulogd-kernel", "nflog.syslogemu.gz", &[]);
}

#[test]
fn bridged_packets_are_those_of_logemu() {
    // text says which family the packet is of, not the table
    compare_with_logemu("oracle-ulogd-kernel-bridge", "nflog.syslogemu", &["family"]);
}

fn compare_with_kernel(set: &str, prefix: &str, not_in_both: &[&str]) {
    // the rules' prefixes; what the rule for the kernel's line does not ask for; what ulogd has none of
    const NEVER: [&str; 12] = [
        "prefix",
        "uid",
        "gid",
        "tcp_seq",
        "tcp_ack",
        "inner_proto",
        "inner_src",
        "inner_dst",
        "inner_sport",
        "inner_dport",
        "spi",
        "tcp_urgent",
    ];
    let Some(folder) = corpus(set) else { return };
    let rows = events(&folder.join("nflog.json.gz"));
    let texts: Vec<_> = lines(&folder.join("kernel.log.gz"))
        .into_iter()
        .filter(|l| l.windows(prefix.len()).any(|w| w == prefix.as_bytes()))
        .collect();
    compare_with_text(&rows, &texts, &[&NEVER, not_in_both].concat(), |row, line| {
        if !row.contains_key("proto") {
            line.remove("proto");
        }
        // the kernel's line has no ports of SCTP
        if row.get("proto").is_some_and(|p| p == "132") {
            row.retain(|c, _| !["sport", "dport"].contains(&c.as_str()));
        }
    });
}

#[test]
fn routed_packets_are_those_of_the_kernel() {
    compare_with_kernel("oracle-ulogd-kernel", "ORCOPEN-PLAIN", &[]);
}

#[test]
fn bridged_packets_are_those_of_the_kernel() {
    compare_with_kernel("oracle-ulogd-kernel-bridge", "ORCOPENBR-BR-PLAIN", &["family", "in_if"]);
}

#[test]
fn golden() {
    for (set, file, kind, records, want) in [
        ("oracle-ulogd-kernel", "nflog.json.gz", Kind::Events, 1496, 0xa243_fb53_6a08_ce03),
        ("oracle-ulogd-kernel-bridge", "nflog.json.gz", Kind::Events, 839, 0x651f_a1a9_ed36_27c7),
        ("oracle-ulogd-kernel", "nfct.json", Kind::Flows, 95, 0x6637_7165_2c34_5e0d),
        ("wild", "ulogd2-json.jsonl", Kind::Events, 2, 0xa9b7_cd4a_3803_40ba_u64),
    ] {
        let Some(folder) = corpus(set) else { continue };
        let (rows, counts) = read(&contents(&folder.join(file)));
        let [(found, rows)] = &rows[..] else { panic!("{set} {file}: {counts:?}") };
        println!("{set} {file}: {counts:?}\n {:?}", rows[0]);
        assert_eq!((*found, rows.len(), hash(rows)), (kind, records, want), "{set} {file}");
    }
}
