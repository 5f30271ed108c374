//! Files that other programs wrote, and the corpus of the fuzz target.

#![allow(unreachable_pub, reason = "the check is a library function of the fuzz crate")]

#[path = "../../../../fuzz/src/enrich.rs"]
mod fuzz;

use bartizan_enrich::Database;
use bartizan_model::{Micros, addr_from_ip};
use std::fs;
use std::path::Path;

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Written by `mmdb-writer` 0.2 for Python; the addresses are of documentation (RFC 5737, RFC 3849), the systems too.
#[test]
fn a_file_of_another_writer_says_what_was_put_into_it() {
    let database = Database::read(&fs::read(here("tests/data/made-up.mmdb")).unwrap(), Micros(0)).unwrap();
    let said = |addr: &str| {
        let record = database.of(addr_from_ip(addr.parse().unwrap()));
        let name = record.asn.and_then(|asn| database.name(asn)).unwrap_or("-");
        format!("{} {} {name}", record.country.map_or("-".into(), |c| c.to_string()), record.asn.unwrap_or(0))
    };
    assert_eq!(said("192.0.2.0"), "NL 64500 Made-up Net");
    assert_eq!(said("192.0.2.127"), "NL 64500 Made-up Net");
    assert_eq!(said("192.0.2.128"), "DE 64501 Second Net");
    assert_eq!(said("198.51.100.255"), "FR 64502 Third Net");
    assert_eq!(said("198.51.101.0"), "- 0 -");
    assert_eq!(said("2001:db8::"), "NL 64500 Made-up Net");
    assert_eq!(said("2001:db8:ffff::"), "JP 64503 Fourth Net");
    assert_eq!((database.kind(), database.ranges()), ("Bartizan-Made-Up-Country-ASN", 5));
    assert_eq!(database.date(), Micros(1_795_676_743_000_000));
}

/// What is below `::/96` of such a file is IPv4 and nothing else.
#[test]
fn every_address_of_ipv6_that_maps_to_ipv4_is_unknown() {
    let database = Database::read(&fs::read(here("tests/data/made-up.mmdb")).unwrap(), Micros(0)).unwrap();
    for addr in ["::c000:207", "2002:c000:207::", "64:ff9b::c000:207"] {
        assert!(database.of(addr_from_ip(addr.parse().unwrap())).is_empty(), "{addr}");
    }
}

#[test]
fn the_fuzz_corpus_is_replayed() {
    let mut seeds = 0;
    for entry in fs::read_dir(here("../../fuzz/corpus/enrich_file")).unwrap() {
        fuzz::enrich_file(&fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds >= 5);
}
