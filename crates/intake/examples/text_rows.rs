//! Measures lines per second from a sender's text to rows: `cargo run --release -p bartizan-intake --example text_rows`.
//!
//! Log-file lines (RFC 3164 stamp without a year, host, `kernel:`, uptime) through [`TextReader`]: envelope, packet,
//! year and zone, whose it is; each batch of 16,384 rows finished, on one core. Then the same with one line of another
//! service after each, and the prefixes of a batch read by the table of dialects.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use bartizan_intake::Rows;
use bartizan_intake::text::{Fixed, Named, Origin, TextReader};
use bartizan_model::Micros;
use bartizan_prefix::Dialects;
use std::hint::black_box;
use std::time::Instant;

const LINES: usize = 4096;
const ROWS: usize = 16_384;

fn main() {
    let packets: Vec<String> = (0..LINES).map(line).collect();
    let mixed: Vec<String> = packets
        .iter()
        .flat_map(|l| {
            [l.clone(), "Jan  8 03:37:09 gw sshd[7]: Accepted publickey for root from 192.0.2.1".into()]
        })
        .collect();
    for (name, lines) in
        [("log lines of a sender into rows", packets), ("half of them another service's", mixed)]
    {
        let (mut reader, mut rows) = (TextReader::default(), Rows::new(ROWS));
        let naming = Named { host: "192.0.2.9", sender: "192.0.2.9", believed: true };
        let now = Micros(1_772_323_200_000_000);
        let origin = Origin {
            source: "syslog",
            naming: &naming,
            zone: &Fixed(3600),
            reference: now,
            unstamped: now,
            lines: false,
        };
        let rate = rate(lines.len(), || {
            for line in &lines {
                if reader.read(line.as_bytes(), &origin, &mut rows).is_err() {
                    black_box(rows.finish());
                    reader.read(line.as_bytes(), &origin, &mut rows).unwrap();
                }
            }
        });
        say(name, rate, "lines/s", 1_500_000.0);
    }
    let dialects = Dialects::built_in();
    let prefixes = ["[UFW BLOCK] ", "filter_IN_public_REJECT: ", "in-drop: ", "[WAN_LOCAL-default-D]", "x "];
    let rate = rate(prefixes.len() * 1000, || {
        for _ in 0..1000 {
            for prefix in prefixes {
                black_box(dialects.read(prefix));
            }
        }
    });
    say("distinct prefixes read by dialect", rate, "prefixes/s", 100_000.0);
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

fn line(n: usize) -> String {
    let prefixes = ["in-drop: ", "[UFW BLOCK] ", "in-rate-limit: ", "fwd-drop: "];
    let (a, b) = (n % 251, n / 251 % 251);
    format!(
        "Jan  8 03:37:09 gw kernel: [ 1269.733882] {}IN=eth0 OUT= MAC=52:54:00:12:34:56:00:13:46:3a:41:36:08:00 \
         SRC=198.51.{a}.{b} DST=192.0.2.{a} LEN=60 TOS=0x00 PREC=0x00 TTL=57 ID={} DF PROTO=TCP SPT={} DPT=22 \
         WINDOW=64240 RES=0x00 SYN URGP=0 ",
        prefixes[n % 4],
        n * 13 % 65_536,
        1024 + n
    )
}
