//! Measures nanoseconds per packet: `cargo run --release -p bartizan-decode --example decode_ns`.
//!
//! 4,096 messages as an input chain on an Ethernet device gives them: seven in ten TCP SYNs, the rest UDP, one
//! in eight over IPv6, four prefixes. Prints the median of the bare walk (attributes and headers, nothing kept)
//! and of the decoding into columns, each batch of 16,384 rows finished.
#![allow(
    unreachable_pub,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a measuring tool"
)]

#[path = "../tests/decode/build.rs"]
mod build;

use bartizan_decode::columns::{EventColumns, InterfaceNames};
use bartizan_decode::netlink::Messages;
use bartizan_decode::nflog::NflogPacket;
use bartizan_model::Micros;
use std::hint::black_box;
use std::time::Instant;

const MESSAGES: usize = 4096;
const ROWS: usize = 16_384;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200);
    let datagrams = datagrams();
    let bytes: usize = datagrams.iter().map(Vec::len).sum();
    eprintln!("{MESSAGES} messages, {} bytes each", bytes / MESSAGES);
    let walked = median(rounds, || walk(&datagrams), MESSAGES);
    let mut names = InterfaceNames::new();
    names.set(2, "eth0");
    let mut columns = EventColumns::new(ROWS);
    let decoded = median(rounds, || decode(&datagrams, &mut columns, &names), ROWS);
    println!(
        r#"{{"figure":"decode into columns","value":{decoded:.1},"unit":"ns/packet","goal":"< 60","peer":"walk of attributes and headers","peer_value":{walked:.1},"ok":{}}}"#,
        decoded < 60.0
    );
}

/// The messages, 20 to a datagram, as the kernel's queue threshold makes them.
fn datagrams() -> Vec<Vec<u8>> {
    let prefixes = ["in-drop: ", "in-scan: ", "in-rate-limit: ", "fwd-drop: "];
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let messages: Vec<_> = (0..MESSAGES)
        .map(|n| {
            let seq = u32::try_from(n).unwrap();
            let r = random();
            let [a, b, c, d, e, f, ..] = r.to_be_bytes();
            let (sport, dport) =
                (u16::from_be_bytes([e, f]), [22, 23, 80, 443, 445, 3389][usize::from(a % 6)]);
            let (proto, body) = if r % 10 < 7 {
                (6, build::tcp_syn(sport, dport, seq))
            } else {
                (17, build::udp(sport, dport, &[0; 40]))
            };
            let prefix = prefixes[usize::from(b % 4)];
            if c % 8 == 0 {
                let payload =
                    build::ipv6([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0xfd; 16], proto, &body);
                build::input(10, prefix, seq, &payload)
            } else {
                let payload =
                    build::ipv4([a, b, c, d], [198, 51, 100, 2], proto, u16::from_be_bytes([c, d]), &body);
                build::input(2, prefix, seq, &payload)
            }
        })
        .collect();
    messages.chunks(20).map(<[_]>::concat).collect()
}

fn walk(datagrams: &[Vec<u8>]) {
    for datagram in datagrams {
        for message in Messages::new(datagram).flatten() {
            if let Some(Ok(packet)) = &NflogPacket::from_message(&message) {
                black_box(packet.decode());
            }
        }
    }
}

fn decode(datagrams: &[Vec<u8>], columns: &mut EventColumns, names: &InterfaceNames) {
    for datagram in datagrams.iter().cycle() {
        for message in Messages::new(datagram).flatten() {
            if let Some(Ok(packet)) = &NflogPacket::from_message(&message)
                && columns.push_nflog(packet, Micros(0), names).is_err()
            {
                black_box(columns.finish());
                return;
            }
        }
    }
}

/// The median over the rounds (200 or the first argument) of nanoseconds per packet.
fn median(rounds: usize, mut round: impl FnMut(), packets: usize) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e9 / packets as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[rounds / 2]
}
