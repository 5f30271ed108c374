//! Measures lines per second: `cargo run --release -p bartizan-decode --example text_ns`.
//!
//! Lines as the kernel writes them: seven in ten TCP SYNs, the rest UDP and pings, one in eight over IPv6, four
//! prefixes; once as `/dev/kmsg` has them (text only) and once as a log file has them (RFC 3164, `kernel:`, uptime).
//! Into columns, each batch of 16,384 rows finished, on one core. Beside it, on the same lines: a walk over the words
//! of each line that keeps nothing, and for the lines of a log file syslog_loose, which takes the header apart and
//! leaves the packet as text.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a measuring tool")]

use bartizan_decode::columns::EventColumns;
use bartizan_decode::text::Line;
use bartizan_model::Micros;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

const LINES: usize = 4096;
const ROWS: usize = 16_384;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200);
    for (name, head) in
        [("kernel lines", ""), ("lines of a log file", "Jan  8 03:37:09 gw kernel: [ 1269.733882] ")]
    {
        let lines = lines(head);
        let bytes: usize = lines.iter().map(String::len).sum();
        eprintln!("{LINES} {name}, {} bytes each", bytes / LINES);
        let mut columns = EventColumns::new(ROWS);
        let walked = rate(rounds, || {
            for line in &lines {
                for word in line.as_bytes().split(|b| *b == b' ') {
                    black_box(word);
                }
            }
        });
        let read = rate(rounds, || {
            for line in &lines {
                let line = match head {
                    "" => Line::of_kernel(line.as_bytes()),
                    _ => Line::parse(line.as_bytes()),
                };
                columns.push_line(&line.unwrap(), Micros(0), "kmsg").unwrap();
                if columns.is_full() {
                    black_box(columns.finish());
                }
            }
        });
        say(&format!("{name} into columns"), read, "words, nothing kept", walked);
        if !head.is_empty() {
            let loose = rate(rounds, || {
                for line in &lines {
                    black_box(syslog_loose::parse_message(line, syslog_loose::Variant::Either));
                }
            });
            say(&format!("{name} into columns, again"), read, "syslog_loose, header only", loose);
        }
    }
}

fn say(figure: &str, read: f64, peer: &str, peer_value: f64) {
    println!(
        r#"{{"figure":"{figure}","value":{read:.0},"unit":"lines/s","goal":"> 1500000","peer":"{peer}","peer_value":{peer_value:.0},"ok":{}}}"#,
        read > 1_500_000.0
    );
}

/// The median of the rounds.
fn rate(rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    LINES as f64 / times[times.len() / 2]
}

fn lines(head: &str) -> Vec<String> {
    let prefixes = ["in-drop: ", "[UFW BLOCK] ", "in-rate-limit: ", "fwd-drop: "];
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..LINES)
        .map(|n| {
            let r = random();
            let [a, b, c, d, e, f, ..] = r.to_be_bytes();
            let (sport, dport) = (1024 + r % 60_000, [22, 23, 80, 443, 445, 3389][usize::from(a % 6)]);
            let mut line = format!("{head}{}IN=eth0 OUT= MAC=52:54:00:{b:02x}:{c:02x}:{d:02x}:00:13:46:3a:41:36:", prefixes[n % 4]);
            if n % 8 == 0 {
                line.push_str("86:dd");
                let _ = write!(line, " SRC=2001:0db8:0000:0000:0000:0000:{b:02x}{c:02x}:{d:02x}{e:02x} DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=60 TC=0 HOPLIMIT=58 FLOWLBL=0 ");
            } else {
                let _ = write!(line, "08:00 SRC=198.51.{b}.{c} DST=192.0.2.{d} LEN=60 TOS=0x00 PREC=0x00 TTL=5{} ID={} DF ", e % 10, u16::from_be_bytes([e, f]));
            }
            let _ = match n % 10 {
                0..7 => write!(line, "PROTO=TCP SPT={sport} DPT={dport} WINDOW=64240 RES=0x00 SYN URGP=0 "),
                7 | 8 => write!(line, "PROTO=UDP SPT={sport} DPT={dport} LEN=40 "),
                _ => write!(line, "PROTO=ICMP TYPE=8 CODE=0 ID={} SEQ=1 ", r % 65536),
            };
            line
        })
        .collect()
}
