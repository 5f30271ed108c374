//! Rulesets of other people: nothing panics, and rules that log are read.
//!
//! The folder is the one that `BARTIZAN_CORPUS` names, or the one beside the project; not part of it.

use crate::checks;
use bartizan_ruleset::{Form, Listing, Ruleset};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The files below a folder of the corpus whose names end so; none, with a printed reason, where it is absent.
fn files(folder: &str, end: &str) -> Vec<(PathBuf, String)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = std::env::var_os("BARTIZAN_CORPUS").map_or(beside, PathBuf::from).join(folder);
    if !root.is_dir() {
        println!(
            "no rulesets: BARTIZAN_CORPUS names no folder with {folder} and none lies beside the project"
        );
        return Vec::new();
    }
    let (mut folders, mut found) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                found.push((path, text));
            }
        }
    }
    found.sort_unstable();
    found
}

fn read(forms: &[(Form, &str)]) -> Ruleset {
    Ruleset::read(&Listing(forms.iter().map(|(form, text)| (*form, (*text).to_owned())).collect()))
}

/// How many of the rules that log have everything read, of all that do.
fn readable(ruleset: &Ruleset) -> (usize, usize) {
    let logs = ruleset.rules().filter(|rule| !rule.logs.is_empty());
    logs.fold((0, 0), |(good, all), rule| (good + usize::from(!rule.opaque), all + 1))
}

#[test]
fn dumps_of_nft_with_their_text() {
    let (mut rules, mut unread, mut named) = (0, Vec::new(), 0);
    for (path, json) in files("nft-shell-dumps", ".json-nft") {
        let text = std::fs::read_to_string(path.with_extension("nft")).unwrap_or_default();
        let both = read(&[(Form::NftJson, &json), (Form::Nft, &text)]);
        let alone = read(&[(Form::NftJson, &json)]);
        let text_alone = read(&[(Form::Nft, &text)]);
        rules += alone.rules().count();
        named += alone.rules().zip(both.rules()).filter(|(a, b)| a.text == b.text).count();
        unread.extend(both.notes().iter().map(|n| format!("{}: {n}", path.display())));
        // Tests of nft that flush everything leave an empty text.
        if text_alone.rules().count() > 0 {
            assert_eq!(text_alone.rules().count(), alone.rules().count(), "{}", path.display());
        }
        for cut in (0..json.len()).step_by(1 + json.len() / 20).filter(|at| json.is_char_boundary(*at)) {
            let part = read(&[(Form::NftJson, &json[..cut])]);
            assert!(part.rules().count() <= alone.rules().count());
            let cut_off = cut > 0 && cut + 3 < json.trim_end().len();
            assert!(!cut_off || !part.notes().is_empty(), "{} cut at {cut}", path.display());
        }
    }
    println!("{rules} rules, {} notes, {named} printed as nft prints them", unread.len());
    println!("{}", unread.join("\n"));
    if rules > 0 {
        assert!(unread.len() * 20 < rules && named * 100 > rules * 60);
    }
}

#[test]
fn every_statement_of_nft() {
    let (mut logs, mut good, mut all, mut opaque, mut same) = (0, 0, 0, 0, 0);
    for (path, text) in files("nft-py", ".t.json") {
        for part in text.split("\n# ").filter(|p| p.contains('\n')) {
            let (rule, expr) = part.split_once('\n').unwrap();
            let Ok(expr) = serde_json::from_str::<Value>(expr) else { continue };
            let family =
                path.parent().and_then(|p| p.file_name()).and_then(|n| n.to_str()).unwrap_or_default();
            let family =
                if ["arp", "bridge", "ip", "ip6", "netdev"].contains(&family) { family } else { "inet" };
            let json = serde_json::json!({"nftables": [
                {"chain": {"family": family, "table": "t", "name": "c", "handle": 1}},
                {"rule": {"family": family, "table": "t", "chain": "c", "handle": 2, "expr": expr}},
            ]});
            let ruleset = read(&[(Form::NftJson, &json.to_string())]);
            let read = ruleset.rules().next().unwrap();
            all += 1;
            let written = rule.trim_start_matches("# ");
            if read.opaque {
                println!("opaque: {written}");
            } else if std::env::var_os("BARTIZAN_SHOW").is_some() && read.text != written {
                println!("{written}\n    {}", read.text);
            }
            opaque += usize::from(read.opaque);
            same += usize::from(read.text == written);
            let (g, l) = readable(&ruleset);
            (good, logs) = (good + g, logs + l);
        }
    }
    println!("{all} rules: {opaque} opaque, {same} printed as written; {good} of {logs} that log are read");
    if all > 0 {
        assert!(good == logs && logs >= 20 && opaque * 50 < all && same * 100 > all * 40);
    }
}

/// `iptables -t filter -A INPUT ...` as `iptables-save` would have it.
fn saved(script: &str, tool: &str) -> String {
    let mut tables: std::collections::BTreeMap<&str, String> = std::collections::BTreeMap::new();
    for line in script.lines() {
        let Some((table, rule)) =
            line.strip_prefix(tool).and_then(|l| l.strip_prefix(" -t ")?.split_once(' '))
        else {
            continue;
        };
        if rule.starts_with("-A ") {
            let table = tables.entry(table).or_default();
            table.push_str(&rule.replace('"', "").replace('\'', "\""));
            table.push('\n');
        }
    }
    let table = |(name, rules): (&&str, &String)| format!("*{name}\n:INPUT DROP [0:0]\n{rules}COMMIT\n");
    tables.iter().map(table).collect()
}

#[test]
fn rules_of_iptables() {
    let (mut good, mut logs, mut all, mut opaque) = (0, 0, 0, Vec::new());
    let mut add = |ruleset: &Ruleset| {
        let (g, l) = readable(ruleset);
        (good, logs, all) = (good + g, logs + l, all + ruleset.rules().count());
        opaque.extend(ruleset.notes().iter().cloned());
    };
    for (_, script) in files("ferm-iptables-save", ".result") {
        add(&read(&[(Form::IptablesLegacySave, &saved(&script, "iptables"))]));
        add(&read(&[(Form::Ip6tablesLegacySave, &saved(&script, "ip6tables"))]));
    }
    for (_, text) in files("rulesets-wild", "iptables-save.txt") {
        add(&read(&[(Form::IptablesSave, &text)]));
    }
    println!("{all} rules, {good} of {logs} that log are read\n{}", opaque.join("\n"));
    if all > 0 {
        assert!(good == logs && logs >= 15 && opaque.len() * 10 < all);
    }
}

/// The fuzz corpus: every file of `fuzz/corpus/<target>` through the check of that name.
#[test]
fn the_fuzz_corpus_passes() {
    for (target, check) in
        [("ruleset_json", checks::ruleset_json as fn(&[u8])), ("ruleset_save", checks::ruleset_save)]
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(files.len() >= 3, "{target}");
        for entry in files {
            check(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}

mod any {
    use crate::checks;
    use proptest::prelude::*;

    /// Pieces that rules are made of, in any order.
    fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(words), 0..60).prop_map(|w| w.concat())
    }

    const SAVE: &[&str] = &[
        "*filter\n",
        ":INPUT DROP [0:0]\n",
        ":a - [0:0]\n",
        "COMMIT\n",
        "-A INPUT",
        "-A a",
        " -j a\n",
        " -g a\n",
        " -j NFLOG --nflog-prefix x --nflog-group 5\n",
        " -j LOG\n",
        " -p tcp",
        " --dport 22",
        " ! ",
        " -s 10.0.0.0/8",
        " -m limit",
        " --tcp-flags SYN SYN",
        "\"",
        "\\",
        "\n",
        " -j RETURN\n",
        " -j MARK\n",
        "[1:2] ",
        "\0",
        " -i eth+",
    ];

    const JSON: &[&str] = &[
        "{\"nftables\":[",
        "{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"c\",\"hook\":\"input\",\"prio\":0}},",
        "{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"d\"}},",
        "{\"rule\":{\"family\":\"ip\",\"table\":\"t\",\"chain\":\"c\",\"expr\":[",
        "{\"rule\":{\"family\":\"ip\",\"table\":\"t\",\"chain\":\"d\",\"expr\":[",
        "{\"log\":{\"prefix\":\"x\",\"group\":5}},",
        "{\"jump\":{\"target\":\"d\"}},",
        "{\"goto\":{\"target\":\"c\"}},",
        "{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"tcp\",\"field\":\"dport\"}},\"right\":",
        "{\"set\":[1,",
        "2]}",
        "\"@s\"",
        "22",
        "}},",
        "{\"drop\":null}",
        "]}},",
        "]}",
        "null",
        "\"xt\"",
        "\0",
        "{\"vmap\":{\"key\":{\"meta\":{\"key\":\"mark\"}},\"data\":{\"set\":[[1,{\"drop\":null}]]}}},",
    ];

    proptest! {
        #[test]
        fn text_is_a_ruleset(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            checks::ruleset_json(&bytes);
            checks::ruleset_save(&bytes);
        }

        #[test]
        fn pieces_are_a_ruleset(save in pieces(SAVE), json in pieces(JSON)) {
            checks::ruleset_save(save.as_bytes());
            checks::ruleset_json(json.as_bytes());
        }
    }
}
