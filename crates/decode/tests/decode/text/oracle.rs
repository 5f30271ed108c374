//! The same packets as the kernel, ulogd's LOGEMU and ulogd's JSON write them: row i of each is packet i.
//!
//! They differ where one of them does not write something: the kernel no ports of SCTP, ulogd no ECE, CWR and AE,
//! its JSON no destination address of a loopback frame, no next header that it does not know and no ARP; it takes bytes
//! of later fragments for ports; and a bridge's NFLOG names the bridge where the kernel's line names the port.

use super::corpus::contents;
use super::row_of;
use crate::columns::Row;
use crate::pcap::corpus;
use bartizan_decode::text::Line;
use serde_json::Value;
use std::path::Path;

/// What ulogd's JSON says, as far as text can say it, in the names of our columns.
fn of_json(json: &Value, kernel: bool) -> Row {
    let mut row = Row::new();
    let number = |key: &str| json[key].as_u64();
    let text = |key: &str| json[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            row.insert(name.into(), value);
        }
    };
    set("in_if", text("oob.in"));
    set("out_if", text("oob.out"));
    set("mac_src", text("mac.saddr.str"));
    set("mac_dst", text("mac.daddr.str"));
    set("src", text("src_ip"));
    set("dst", text("dest_ip"));
    set("sport", number("src_port").map(|n| n.to_string()));
    set("dport", number("dest_port").map(|n| n.to_string()));
    set("length", number("ip.totlen").or(number("ip6.payloadlen").map(|n| n + 40)).map(|n| n.to_string()));
    set("ttl", number("ip.ttl").or(number("ip6.hoplimit")).map(|n| n.to_string()));
    // the lowest bit is masked in text
    set("tos", number("ip.tos").map(|n| n & 0xfe).or(number("ip6.priority")).map(|n| n.to_string()));
    set("proto", number("ip.protocol").or(number("ip6.nexthdr")).map(|n| n.to_string()));
    set("icmp_type", number("icmp.type").or(number("icmpv6.type")).map(|n| n.to_string()));
    set("icmp_code", number("icmp.code").or(number("icmpv6.code")).map(|n| n.to_string()));
    set("tcp_window", number("tcp.window").map(|n| n.to_string()));
    if !kernel {
        set("prefix", text("oob.prefix"));
        set("tcp_seq", number("tcp.seq").map(|n| n.to_string()));
        set("tcp_ack", number("tcp.ackseq").map(|n| n.to_string()));
    }
    if let Some(0..) = number("tcp.syn") {
        let bits = ["fin", "syn", "rst", "psh", "ack", "urg"];
        let flags: u64 =
            bits.iter().enumerate().map(|(i, f)| number(&format!("tcp.{f}")).unwrap() << i).sum();
        set("tcp_flags", Some(flags.to_string()));
    }
    set("ip_id", number("ip.id").or(number("ip6.fragid")).map(|n| n.to_string()));
    set("mark", number("oob.mark").filter(|m| *m != 0).map(|n| n.to_string()));
    set("uid", number("oob.uid").map(|n| n.to_string()));
    set("gid", number("oob.gid").map(|n| n.to_string()));
    set("frag", number("ip.fragoff").filter(|f| *f != 0).map(|n| n.to_string()));
    row
}

/// The columns in which two rows differ.
fn differences(text: &Row, json: &Row) -> Vec<String> {
    const COMPARED: [&str; 20] = [
        "in_if",
        "out_if",
        "mac_src",
        "mac_dst",
        "src",
        "dst",
        "sport",
        "dport",
        "length",
        "ttl",
        "tos",
        "proto",
        "icmp_type",
        "icmp_code",
        "tcp_window",
        "tcp_flags",
        "ip_id",
        "mark",
        "uid",
        "gid",
    ];
    let mut differ: Vec<_> =
        COMPARED.iter().filter(|c| text.get(**c) != json.get(**c)).map(|c| (*c).to_owned()).collect();
    for column in ["prefix", "tcp_seq", "tcp_ack", "frag"] {
        if json.contains_key(column) && text.get(column) != json.get(column) {
            differ.push(column.to_owned());
        }
    }
    differ
}

/// Takes away what one of both does not write; see the top.
fn alike(kernel: bool, bridge: bool, text: &mut Row, json: &mut Row) {
    if kernel && text.get("proto").is_some_and(|p| p == "132") {
        json.remove("sport");
        json.remove("dport");
    }
    if kernel && bridge {
        json.remove("in_if");
        text.remove("in_if");
    }
    // the rule for the kernel's line has no `flags skuid`
    if kernel {
        json.remove("uid");
        json.remove("gid");
    }
    if text.get("in_if").is_some_and(|i| i == "lo") {
        text.remove("mac_dst");
    }
    if !json.contains_key("proto") {
        text.remove("proto");
    }
    // ulogd takes the bytes of later fragments for ports
    if text.get("frag").and_then(|f| f.parse::<u16>().ok()).is_some_and(|f| f & 0x1fff != 0) {
        for row in [&mut *text, &mut *json] {
            row.remove("sport");
            row.remove("dport");
        }
    }
    // no packet that ulogd could read: only the frame is compared
    if !json.contains_key("src") {
        let frame = ["in_if", "mac_src", "mac_dst"];
        text.retain(|column, _| frame.contains(&column.as_str()));
        json.retain(|column, _| frame.contains(&column.as_str()) && text.contains_key(column));
    }
    if let Some(flags) = text.get_mut("tcp_flags") {
        *flags = (flags.parse::<u16>().unwrap() & 0x3f).to_string();
    }
}

fn lines(path: &Path) -> Vec<Vec<u8>> {
    contents(path).split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect()
}

fn compare(set: &str, logemu: &str, plain: &str) {
    let Some(folder) = corpus().map(|c| c.join(set)).filter(|f| f.is_dir()) else {
        println!("no set {set}");
        return;
    };
    let json: Vec<Value> =
        lines(&folder.join("nflog.json.gz")).iter().map(|l| serde_json::from_slice(l).unwrap()).collect();
    let kernel: Vec<_> = lines(&folder.join("kernel.log.gz"))
        .into_iter()
        .filter(|l| l.windows(plain.len()).any(|w| w == plain.as_bytes()))
        .collect();
    let emulated = lines(&folder.join(logemu));
    assert_eq!((kernel.len(), emulated.len()), (json.len(), json.len()));
    assert!(json.len() > 800);
    let mut count = std::collections::BTreeMap::<String, usize>::new();
    for ((json, kernel), emulated) in json.iter().zip(&kernel).zip(&emulated) {
        for (name, line) in [("kernel", kernel), ("logemu", emulated)] {
            let read = Line::parse(line).unwrap();
            assert_eq!(read.problem, None, "{}", String::from_utf8_lossy(line));
            let (mut text, mut json) = (row_of(&read), of_json(json, name == "kernel"));
            alike(name == "kernel", plain.contains("BR"), &mut text, &mut json);
            let differ = differences(&text, &json);
            if !differ.is_empty() {
                let n = count.entry(format!("{name} {differ:?} {}", text.contains_key("extra"))).or_default();
                *n += 1;
                if *n <= 2 {
                    println!("{name} {differ:?}\n {}\n {json:?}\n {text:?}", String::from_utf8_lossy(line));
                }
            }
        }
    }
    println!("{count:#?}");
    assert!(count.is_empty());
}

#[test]
fn routed_packets_read_the_same_in_three_formats() {
    compare("oracle-ulogd-kernel", "nflog.syslogemu.gz", "ORCOPEN-PLAIN");
}

#[test]
fn bridged_packets_read_the_same_in_three_formats() {
    compare("oracle-ulogd-kernel-bridge", "nflog.syslogemu", "ORCOPENBR-BR-PLAIN");
}
