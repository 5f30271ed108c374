//! What an event costs at receipt for country and autonomous system of both addresses.
//!
//! `cargo run --release -p bartizan-enrich --example enrich_ns`
//!
//! The databases are made up and as large as the published ones: a list of countries and one of systems, each of 400,000
//! ranges of IPv4 and 100,000 of IPv6. Batches have 8,192 events: scanners of all the Internet (each source another one),
//! and a usual mix (3,000 sources, 50 destinations).

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

use arrow_array::FixedSizeBinaryArray;
use bartizan_enrich::{Database, Places};
use bartizan_model::{Micros, addr_from_v4};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROWS: u32 = 8_192;
const ROUNDS: u32 = 200;

fn main() {
    let start = Instant::now();
    let places = Places::new(vec![Arc::new(database(false)), Arc::new(database(true))]);
    figure("enrich, two databases read", start.elapsed().as_secs_f64(), "s", None);

    let mut seed = 7_u32;
    let dst = column((0..ROWS).map(|i| 0x0a00_0000 + i % 50));
    let scan: Vec<_> = (0..ROUNDS).map(|_| column((0..ROWS).map(|_| random(&mut seed)))).collect();
    figure("enrich, every source another", per_event(&places, &scan, &dst), "ns/event", Some(400.0));
    let sources: Vec<u32> = (0..3_000).map(|_| random(&mut seed)).collect();
    let usual: Vec<_> = (0..ROUNDS)
        .map(|_| column((0..ROWS).map(|_| sources[(random(&mut seed) as usize) % sources.len()])))
        .collect();
    figure("enrich, 3,000 sources", per_event(&places, &usual, &dst), "ns/event", Some(200.0));
}

fn per_event(places: &Places, batches: &[FixedSizeBinaryArray], dst: &FixedSizeBinaryArray) -> f64 {
    let start = Instant::now();
    for src in batches {
        black_box((places.columns(src), places.columns(dst)));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ROWS) / batches.len() as f64
}

fn database(systems: bool) -> Database {
    let mut text = String::new();
    let mut seed = 3;
    let mut line = |first: String, last: String| {
        let (asn, country) = (random(&mut seed) % 80_000 + 1, random(&mut seed));
        let country = [country % 26, country / 26 % 25].map(|letter| char::from(b'A' + letter as u8));
        let country: String = country.iter().collect();
        let said = if systems { asn.to_string() } else { country };
        writeln!(text, "{first}\t{last}\t{said}").unwrap();
    };
    for i in 0..400_000_u32 {
        let first = i * 10_737;
        let ip = |number: u32| std::net::Ipv4Addr::from(number).to_string();
        line(ip(first), ip(first + 10_736));
    }
    for i in 0..100_000_u128 {
        let first = (0x2001 << 112) + (i << 96);
        let ip = |number: u128| std::net::Ipv6Addr::from(number).to_string();
        line(ip(first), ip(first + (1 << 96) - 1));
    }
    Database::read(text.as_bytes(), Micros(0)).unwrap()
}

fn column(addrs: impl Iterator<Item = u32>) -> FixedSizeBinaryArray {
    FixedSizeBinaryArray::try_from_iter(addrs.map(|addr| addr_from_v4(addr.to_be_bytes()))).unwrap()
}

/// xorshift: any numbers, the same each time.
fn random(seed: &mut u32) -> u32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed
}

fn figure(name: &str, value: f64, unit: &str, goal: Option<f64>) {
    let text = goal.map(|most| format!("<= {most}")).unwrap_or_default();
    let ok = goal.map_or("null".to_owned(), |most| (value <= most).to_string());
    println!(
        "{{\"figure\":\"{name}\",\"value\":{value:.2},\"unit\":\"{unit}\",\"goal\":\"{text}\",\"peer\":null,\"ok\":{ok}}}"
    );
}
