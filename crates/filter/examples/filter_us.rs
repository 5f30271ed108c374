//! Measures microseconds per filter: `cargo run --release -p bartizan-filter --example filter_us`.
//!
//! Parses the examples of the documentation one after the other, then the longest text that is allowed, of each kind
//! that could be slow. What is measured is from text to the typed tree, and that printed again.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use bartizan_filter::{AddrRange, Context, Filter, MAX_LEN};
use std::hint::black_box;
use std::time::Instant;

const EXAMPLES: &[&str] = &[
    "src:203.0.113.0/24 dport:22 -host:web* action:drop",
    "dport:22,3389,8000-9000 src:public -src:@admins",
    "flags:syn -flags:ack group:db",
    "2001:db8::/32 OR 198.51.100.7",
    "src.asn:AS4134 (rule:in-* OR prefix:\"x y\")",
    "-dport:* proto:udp",
    "action:drop proto:tcp dport:ssh,https,rdp -(src:fleet OR src:private) in:eth0 ttl:>200",
];

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let one = AddrRange::parse("192.0.2.0/28").unwrap();
    let context = Context::default()
        .with_set("admins", vec![one])
        .with_fleet(vec![one])
        .with_group("db", &["db*".to_owned()]);
    let parse = |text: &str| Filter::parse(black_box(text), &context);
    let mut worst = 0_f64;
    for text in EXAMPLES {
        assert!(parse(text).is_ok(), "{text}");
        worst = worst.max(micros(rounds, || drop(black_box(parse(text)))));
    }
    let all = micros(rounds / 8 + 1, || {
        for text in EXAMPLES {
            drop(black_box(parse(text)));
        }
    }) / EXAMPLES.len() as f64;
    figure("parse a filter, mean of the examples", all, 20.0);
    figure("parse a filter, the slowest example", worst, 20.0);
    let printed = parse(EXAMPLES[0]).unwrap();
    figure("print a filter", micros(rounds, || drop(black_box(printed.to_string()))), 20.0);
    let many = |piece: &str| {
        let mut text = piece.repeat(MAX_LEN / piece.len());
        text.truncate(text.trim_end_matches([' ', ',']).len());
        text
    };
    for (name, text) in [
        ("words", many("web ")),
        (
            "addresses",
            format!(
                "src:{}",
                many("10.0.0.1,").get(..8_000).unwrap().trim_end_matches(',').rsplit_once(',').unwrap().0
            ),
        ),
        ("terms", many("dport:22 OR ")),
        ("what is no filter", many("dprot:22 ")),
    ] {
        let text = text.trim_end_matches(" OR");
        let took = micros(200, || drop(black_box(parse(text))));
        figure(&format!("parse 8 KiB of {name}"), took, 20_000.0);
    }
}

/// The median of rounds.
fn micros(rounds: u32, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn figure(name: &str, value: f64, goal: f64) {
    println!(
        r#"{{"figure":"{name}","value":{value:.2},"unit":"µs","goal":"< {goal}","ok":{}}}"#,
        value < goal
    );
}
