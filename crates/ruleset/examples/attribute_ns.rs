//! Nanoseconds per event for attributing batches: prefixes with one rule each, and prefixes that rules share.
//!
//! `cargo run --release -p bartizan-ruleset --example attribute_ns [rules]`

#![allow(clippy::print_stdout, clippy::expect_used, reason = "prints figures")]

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int16Array, Int32Array, RecordBatch};
use bartizan_ruleset::{Attribution, Form, Listing, Ruleset, attribute};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

const ROWS: usize = 8192;

fn batch(prefixes: &[String]) -> RecordBatch {
    let text = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        let texts: Vec<String> = (0..ROWS).map(of).collect();
        Arc::new(texts.iter().map(String::as_str).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("prefix", text(&|row| prefixes[row % prefixes.len()].clone())),
        ("family", text(&|_| "ip".into())),
        ("hook", text(&|_| "input".into())),
        ("in_if", text(&|_| "eth0".into())),
        ("proto", Arc::new(Int16Array::from_value(6, ROWS))),
        ("dport", Arc::new((0..ROWS).map(|r| Some((r % 60_000) as i32)).collect::<Int32Array>())),
        ("tcp_flags", Arc::new(Int16Array::from_value(2, ROWS))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn measure(name: &str, rules: &str, prefixes: &[String]) {
    let text = format!("*filter\n:INPUT DROP [0:0]\n{rules}COMMIT\n");
    let start = Instant::now();
    let ruleset = Arc::new(Ruleset::read(&Listing(vec![(Form::IptablesLegacySave, text)])));
    let mut attribution = Attribution::new(ruleset);
    let read = start.elapsed();
    let batch = batch(prefixes);
    let mut best = f64::MAX;
    for _ in 0..30 {
        let start = Instant::now();
        std::hint::black_box(attribute(&batch, Some(5), &mut [&mut attribution]));
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / ROWS as f64);
    }
    println!("{name}: {best:.1} ns per event, ruleset read in {read:.1?}");
}

fn main() {
    let rules: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100);
    let (mut each, mut shared, mut names) = (String::new(), String::new(), Vec::new());
    for n in 0..rules {
        let _ = writeln!(
            each,
            "-A INPUT -p tcp -m tcp --dport {n} -j NFLOG --nflog-prefix \"p{n} \" --nflog-group 5"
        );
        let _ = writeln!(each, "-A INPUT -p tcp -m tcp --dport {n} -j DROP");
        let _ = writeln!(
            shared,
            "-A INPUT -p tcp -m tcp --dport {n} -j NFLOG --nflog-prefix \"p\" --nflog-group 5"
        );
        let _ = writeln!(shared, "-A INPUT -p tcp -m tcp --dport {n} -j DROP");
        names.push(format!("p{n} "));
    }
    let _ = writeln!(shared, "-A INPUT -j NFLOG --nflog-prefix \"p\" --nflog-group 5");
    measure("one rule for each prefix", &each, &names);
    measure("one rule for the one prefix", &each, &names[..1]);
    measure("all rules share one prefix", &shared, &["p".to_owned()]);
}
