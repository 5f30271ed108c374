//! Lines that were read are written as they were, but for what no column holds.

use super::corpus::contents;
use super::format::LINES;
use crate::pcap::corpus;
use arrow_array::RecordBatch;
use bartizan_decode::columns::EventColumns;
use bartizan_decode::text::write::{Event, Events, write_json, write_kernel, write_logemu};
use bartizan_decode::text::{Line, Stamp};
use bartizan_model::Micros;
use std::collections::BTreeMap;

fn batch(line: &Line<'_>) -> RecordBatch {
    let time = match line.envelope.stamp {
        Some(Stamp::Local(local)) => local.at(2026, 0),
        Some(Stamp::Moment(moment)) => moment,
        None => Micros(0),
    };
    let mut columns = EventColumns::new(1);
    columns.push_line(line, time, "text").unwrap();
    columns.finish()
}

fn written(line: &Line<'_>, write: impl Fn(&mut String, Event<'_>)) -> String {
    let batch = batch(line);
    let mut out = String::new();
    Events::new(&batch).iter().for_each(|event| write(&mut out, event));
    out
}

/// The words of a line that some column holds.
fn comparable(line: &str) -> Vec<&str> {
    let (mut icmp, mut udp) = (false, false);
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let gone = ["URGP=", "FLOWLBL=", "SPI=", "MTU=", "GATEWAY=", "PARAMETER=", "POINTER=", "RES="];
        icmp |= word.starts_with("PROTO=ICMP");
        let echo = icmp && (word.starts_with("ID=") || word.starts_with("SEQ="));
        // of UDP it is made from the packet's length
        let echo = echo || (udp && word.starts_with("LEN="));
        udp |= word == "PROTO=UDP";
        if !echo && !gone.iter().any(|g| word.starts_with(g)) {
            words.push(word.strip_prefix("INCOMPLETE").filter(|w| !w.is_empty()).unwrap_or(word));
        }
    }
    words.retain(|w| *w != "INCOMPLETE");
    words
}

#[test]
fn lines_of_ulogd_are_written_as_ulogd_writes_them() {
    let Some(corpus) = corpus() else {
        println!("no lines: BARTIZAN_CORPUS names no folder and none lies beside the project");
        return;
    };
    for file in ["oracle-ulogd-kernel/nflog.syslogemu.gz", "oracle-ulogd-kernel-bridge/nflog.syslogemu"] {
        let path = corpus.join(file);
        if !path.exists() {
            println!("no {file}");
            return;
        }
        let text = contents(&path);
        let (mut lines, mut differ) = (0, BTreeMap::<Vec<String>, usize>::new());
        for line in String::from_utf8(text).unwrap().lines() {
            let read = Line::parse(line.as_bytes()).unwrap();
            let again = written(&read, |out, event| write_logemu(out, event, "vm", 0));
            lines += 1;
            // of a frame without a packet, a type under 0x600 is a length, which no column holds
            if !line.contains(" SRC=") {
                continue;
            }
            let (was, is) = (comparable(line), comparable(&again));
            if was != is {
                let words =
                    was.iter().filter(|w| !is.contains(w)).chain(is.iter().filter(|w| !was.contains(w)));
                let names = words.map(|w| w.split('=').next().unwrap().to_owned()).collect();
                let n = differ.entry(names).or_default();
                *n += 1;
                if *n == 1 {
                    println!("{line}\n{again}");
                }
            }
        }
        println!("{file}: {lines} lines, {differ:?}");
        let unlike: usize = differ.values().sum();
        assert!(lines > 800 && unlike * 100 < lines, "{unlike} of {lines}");
    }
}

#[test]
fn kernel_lines_survive_being_written() {
    for (line, _) in LINES {
        let read = Line::parse(line.as_bytes()).unwrap();
        if read.problem.is_some() {
            continue;
        }
        let again = written(&read, |out, event| write_kernel(out, event, "gw", 0));
        let second = Line::parse(again.as_bytes()).unwrap_or_else(|| panic!("{again}"));
        assert_eq!((second.envelope.host, second.envelope.program), (Some(&b"gw"[..]), Some(&b"kernel"[..])));
        assert_eq!(
            (second.prefix, second.in_if, second.out_if),
            (read.prefix, read.in_if, read.out_if),
            "{again}"
        );
        assert_eq!((second.mark, second.uid, second.gid), (read.mark, read.uid, read.gid), "{again}");
        let (a, b) = (second.headers, read.headers);
        assert_eq!((a.src, a.dst, a.proto, a.length), (b.src, b.dst, b.proto, b.length), "{again}");
        assert_eq!((a.ttl, a.id, a.frag), (b.ttl, b.id, b.frag), "{again}");
    }
}

#[test]
fn a_line_of_each_form() {
    let read = Line::parse(LINES[0].0.as_bytes()).unwrap();
    assert_eq!(
        written(&read, |out, event| write_kernel(out, event, "gw", 0)),
        format!("Jan  1 00:00:00 gw kernel: {}\n", LINES[0].0.replace("SEQ=17 ACK=4294967295 ", ""))
    );
    assert_eq!(
        written(&read, |out, event| write_logemu(out, event, "gw.example.net", 3600)),
        "Jan  1 01:00:00 gw  IN=eth0 OUT= MAC=00:1b:b9:76:9c:e4:00:13:46:3a:41:36:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=08 PREC=0xC0 TTL=64 ID=54321 CE DF MF PROTO=TCP SPT=40000 DPT=22 SEQ=17 ACK=4294967295 WINDOW=64240 URG ACK PSH RST SYN FIN URGP=0 UID=0 GID=100 MARK=0x1a \n"
    );
    let json = written(&read, |out, event| write_json(out, event, 0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (key, value) in [
        ("timestamp", "1970-01-01T00:00:00.000000".into()),
        ("src_ip", "192.0.2.1".into()),
        ("dest_port", 22.into()),
        ("tcp.syn", 1.into()),
        ("oob.mark", 26.into()),
        ("ip.fragoff", 0xe000.into()),
        ("oob.in", "eth0".into()),
        ("oob.out", "".into()),
        ("mac.str", "00:1b:b9:76:9c:e4:00:13:46:3a:41:36:08:00".into()),
    ] {
        let value: serde_json::Value = value;
        assert_eq!(json[key], value, "{key}");
    }
}
