//! Measures records per second from a sender's bytes to rows: `cargo run --release -p bartizan-intake --example record_rows`.
//!
//! ulogd's JSON of packets as its usual stack writes it (about 800 bytes a record), and IPFIX of flows, 24 in a message;
//! each batch of 16,384 rows finished, on one core.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use bartizan_intake::ipfix::Exports;
use bartizan_intake::text::Fixed;
use bartizan_intake::ulogd::{JsonReader, Told};
use bartizan_intake::{Rows, Whose};
use bartizan_model::Micros;
use std::hint::black_box;
use std::time::Instant;

const RECORDS: usize = 4096;
const ROWS: usize = 16_384;
/// Flows of a message.
const FLOWS: usize = 24;

fn main() {
    let told = Told {
        source: "ulogd",
        whose: Whose { host: "gw", sender: "192.0.2.9" },
        received: Micros(7),
        zone: &Fixed(0),
    };
    let text: String = (0..RECORDS).map(record).collect();
    let (mut reader, mut rows) = (JsonReader::default(), Rows::new(ROWS));
    let json = rate(RECORDS, || {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match reader.read(rest, true, &mut rows, &told) {
                Ok(piece) => rest = &rest[piece.len..],
                Err(_) => _ = black_box(rows.finish()),
            }
        }
    });
    say("ulogd's JSON into rows", json, "records/s", 300_000.0);

    let messages: Vec<Vec<u8>> = (0..RECORDS / FLOWS).map(message).collect();
    let (mut exports, mut rows) = (Exports::default(), Rows::new(ROWS));
    let flows = rate(messages.len() * FLOWS, || {
        for message in &messages {
            while exports.read(&[1; 16], message, &mut rows, &told).is_err() {
                black_box(rows.finish());
            }
        }
    });
    say("IPFIX into rows", flows, "flows/s", 300_000.0);
}

fn say(figure: &str, value: f64, unit: &str, goal: f64) {
    println!(
        r#"{{"figure":"{figure}","value":{value:.0},"unit":"{unit}","goal":"> {goal:.0}","peer":null,"peer_value":null,"ok":{}}}"#,
        value > goal
    );
}

/// Per second, the median of the rounds.
fn rate(things: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..100)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    things as f64 / times[times.len() / 2]
}

/// A record of the stack NFLOG, BASE, IFINDEX, IP2STR, HWHDR.
fn record(n: usize) -> String {
    let (a, b, port) = (n % 251, n / 251 % 251, 1024 + n);
    format!(
        r#"{{"timestamp": "2026-11-23T05:43:22.{n:06}", "dvc": "Netfilter", "raw.pktlen": 60, "raw.pktcount": 1, "oob.prefix": "in-drop: ", "oob.time.sec": 1795412602, "oob.time.usec": {n}, "oob.mark": 0, "oob.ifindex_in": 2, "oob.hook": 1, "raw.mac_len": 14, "oob.seq.local": {n}, "oob.family": 2, "oob.protocol": 2048, "raw.label": 0, "raw.type": 1, "raw.mac.addrlen": 6, "ip.protocol": 6, "ip.tos": 0, "ip.ttl": 64, "ip.totlen": 60, "ip.ihl": 5, "ip.csum": 63125, "ip.id": {port}, "ip.fragoff": 16384, "src_port": {port}, "dest_port": 22, "tcp.seq": 1572962444, "tcp.ackseq": 0, "tcp.window": 64240, "tcp.offset": 0, "tcp.reserved": 0, "tcp.urg": 0, "tcp.ack": 0, "tcp.psh": 0, "tcp.rst": 0, "tcp.syn": 1, "tcp.fin": 0, "tcp.res1": 0, "tcp.res2": 0, "tcp.csum": 50192, "oob.in": "eth0", "oob.out": "", "src_ip": "198.51.{a}.{b}", "dest_ip": "192.0.2.7", "mac.saddr.str": "10:00:00:64:64:23", "mac.daddr.str": "02:00:5e:10:00:01", "mac.str": "02:00:5e:10:00:01:10:00:00:64:64:23:08:00"}}
"#
    )
}

/// A message of IPFIX with its template, as softflowd writes it with times in milliseconds.
fn message(n: usize) -> Vec<u8> {
    let template: Vec<u8> =
        [256_u16, 11, 8, 4, 12, 4, 152, 8, 153, 8, 1, 4, 2, 4, 10, 4, 7, 2, 11, 2, 4, 1, 6, 1]
            .iter()
            .flat_map(|n| n.to_be_bytes())
            .collect();
    let mut data = Vec::new();
    for flow in 0..FLOWS {
        let [.., hi, lo] = (n * FLOWS + flow).to_be_bytes();
        data.extend([198, 51, hi, lo, 192, 0, 2, 7]);
        data.extend([1_795_400_000_000_u64, 1_795_400_001_500].map(u64::to_be_bytes).concat());
        data.extend([4800_u32, 12, 3].map(u32::to_be_bytes).concat());
        data.extend([hi | 4, lo, 0, 22, 6, 0]);
    }
    let set = |id: u16, body: &[u8]| {
        [&id.to_be_bytes(), &u16::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
    };
    let sets = [set(2, &template), set(256, &data)].concat();
    let mut message = [10, u16::try_from(sets.len() + 16).unwrap()].map(u16::to_be_bytes).concat();
    let sequence = u32::try_from(n * FLOWS).unwrap();
    message.extend([1_795_400_002, sequence, 1].map(u32::to_be_bytes).concat());
    message.extend(sets);
    message
}
