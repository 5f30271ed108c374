//! Checks of the readers of rulesets on any text: nothing panics, whatever is read can attribute every event, and
//! the name of a ruleset does not depend on the order of its texts.

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int16Array, Int32Array, RecordBatch};
use bartizan_ruleset::{Attribution, Form, Listing, Ruleset, attribute};
use std::sync::Arc;

/// What `nft -j list ruleset` printed; what follows a NUL is the text form.
pub fn ruleset_json(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (json, text) = text.split_once('\0').unwrap_or((&text, ""));
    check(Listing(vec![(Form::NftJson, json.to_owned()), (Form::Nft, text.to_owned())]));
    check(Listing(vec![(Form::Nft, text.to_owned())]));
}

/// What `iptables-save` printed; what follows a NUL is from `ip6tables-legacy-save`.
pub fn ruleset_save(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (nft, legacy) = text.split_once('\0').unwrap_or((&text, ""));
    check(Listing(vec![
        (Form::IptablesSave, nft.to_owned()),
        (Form::Ip6tablesLegacySave, legacy.to_owned()),
    ]));
}

fn check(listing: Listing) {
    let size: usize = listing.0.iter().map(|(_, text)| text.len()).sum();
    let ruleset = Arc::new(Ruleset::read(&listing));
    let reversed = Ruleset::read(&Listing(listing.0.into_iter().rev().collect()));
    assert_eq!(ruleset.generation(), reversed.generation());
    assert_eq!(ruleset.generation().len(), 32);
    assert!(ruleset.rules().count() <= size);
    let mut attribution = Attribution::new(Arc::clone(&ruleset));
    let mut groups: Vec<Option<u16>> = vec![None];
    let mut prefixes: Vec<&str> = vec!["", "x"];
    for log in ruleset.rules().flat_map(|rule| &rule.logs).take(20) {
        if !groups.contains(&log.group) {
            groups.push(log.group);
        }
        prefixes.push(&log.prefix);
    }
    let batch = events(&prefixes);
    for group in groups {
        let out = attribute(&batch, group, &mut [&mut attribution]);
        assert_eq!(out.num_rows(), batch.num_rows());
    }
}

/// Events of every prefix, family and hook, TCP and UDP.
fn events(prefixes: &[&str]) -> RecordBatch {
    let families = ["ip", "ip6", "bridge", "netdev", "arp"];
    let hooks = ["input", "output", "forward", "ingress"];
    let mut rows = Vec::new();
    for prefix in prefixes {
        for (at, family) in families.iter().enumerate() {
            for hook in hooks {
                rows.push((*prefix, *family, hook, if at % 2 == 0 { 6_i16 } else { 17 }));
            }
        }
    }
    let text = |texts: Vec<&str>| -> ArrayRef {
        Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("prefix", text(rows.iter().map(|r| r.0).collect())),
        ("family", text(rows.iter().map(|r| r.1).collect())),
        ("hook", text(rows.iter().map(|r| r.2).collect())),
        ("in_if", text(rows.iter().map(|_| "eth0").collect())),
        ("proto", Arc::new(rows.iter().map(|r| r.3).collect::<Int16Array>())),
        ("dport", Arc::new(Int32Array::from_value(22, rows.len()))),
        ("tcp_flags", Arc::new(Int16Array::from_value(2, rows.len()))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
