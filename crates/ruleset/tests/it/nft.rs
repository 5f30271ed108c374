//! Rulesets in nft's JSON.

use crate::events::{Event, answer, read};
use bartizan_ruleset::{Form, Listing, Ruleset};
use serde_json::{Value, json};
use std::sync::Arc;

/// A table `inet f` with a base chain `input`, policy drop, and these objects.
fn table(objects: &[Value]) -> String {
    let mut all = vec![
        json!({"metainfo": {"version": "1.0.6", "json_schema_version": 1}}),
        json!({"table": {"family": "inet", "name": "f", "handle": 1}}),
        json!({"chain": {"family": "inet", "table": "f", "name": "input", "handle": 2, "type": "filter",
            "hook": "input", "prio": 0, "policy": "drop"}}),
    ];
    all.extend_from_slice(objects);
    json!({"nftables": all}).to_string()
}

fn rule(chain: &str, handle: i64, expr: Value) -> Value {
    json!({"rule": {"family": "inet", "table": "f", "chain": chain, "handle": handle, "expr": expr}})
}

fn input(handle: i64, expr: Value) -> Value {
    rule("input", handle, expr)
}

fn log() -> Value {
    json!({"log": {"prefix": "x", "group": 5}})
}

fn dport(right: Value) -> Value {
    json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": right}})
}

fn ruleset(objects: &[Value]) -> Arc<Ruleset> {
    read(Form::NftJson, &table(objects))
}

#[test]
fn limit_log_and_drop_in_one_rule() {
    let rules = ruleset(&[
        input(4, json!([{"limit": {"rate": 5, "per": "second"}}, log(), {"counter": null}, {"drop": null}])),
        input(5, json!([log()])),
    ]);
    assert_eq!(answer(&rules, Event::tcp("x", 1)), "? drop");
    let rules =
        ruleset(&[input(4, json!([{"limit": {"rate": 5, "per": "second"}}, log(), {"reject": null}]))]);
    assert_eq!(answer(&rules, Event::tcp("x", 1)), "input#4 reject");
    let text: Vec<&str> = rules.rules().map(|r| r.text.as_str()).collect();
    assert_eq!(text, ["limit rate 5/second log prefix \"x\" group 5 reject"]);
}

#[test]
fn sets_maps_and_jumps() {
    let rules = ruleset(&[
        json!({"set": {"family": "inet", "name": "bad", "table": "f", "type": "ipv4_addr", "handle": 3,
            "flags": ["interval"], "elem": [{"prefix": {"addr": "192.0.2.0", "len": 24}}, "203.0.113.5"]}}),
        json!({"chain": {"family": "inet", "table": "f", "name": "ssh", "handle": 9}}),
        input(
            4,
            json!([{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}},
            "data": {"set": [[22, {"jump": {"target": "ssh"}}], [{"range": [80, 90]}, {"accept": null}]]}}}]),
        ),
        input(
            5,
            json!([{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
            "right": "@bad"}}, log(), {"accept": null}]),
        ),
        input(6, json!([log()])),
        rule("ssh", 7, json!([log(), {"return": null}])),
    ]);
    assert_eq!(answer(&rules, Event { src: "10.0.0.1", ..Event::tcp("x", 23) }), "input#6 drop");
    assert_eq!(answer(&rules, Event::tcp("x", 85)), "? ");
    // Logged twice with one prefix: which event is whose?
    assert_eq!(answer(&rules, Event { src: "10.0.0.1", ..Event::tcp("x", 22) }), "? drop");
}

#[test]
fn sets_that_packets_add_to_are_unknown() {
    let set = json!({"set": {"family": "inet", "name": "s", "table": "f", "type": "inet_service", "handle": 3,
        "elem": [22]}});
    let objects = |adds: bool| {
        let add = json!({"set": {"op": "add", "elem": {"payload": {"protocol": "tcp", "field": "dport"}}, "set": "@s"}});
        let mut list = vec![
            set.clone(),
            input(4, json!([dport(json!("@s")), log()])),
            input(5, json!([dport(json!({"set": [23, {"range": [80, 90]}]})), log()])),
        ];
        list.extend(adds.then(|| input(6, json!([add]))));
        ruleset(&list)
    };
    assert_eq!(answer(&objects(false), Event::tcp("x", 85)), "input#5 drop");
    assert_eq!(answer(&objects(true), Event::tcp("x", 85)), "? drop");
}

#[test]
fn what_cannot_be_read_may_have_logged() {
    let rules = ruleset(&[input(4, json!([log()])), input(5, json!([{"xt": null}]))]);
    assert_eq!(answer(&rules, Event::tcp("x", 1)), "? ");
    assert_eq!(rules.notes().len(), 1);
}

#[test]
fn generations_are_of_the_content() {
    let set = |elements: Value| {
        json!({"set": {"family": "inet", "name": "s", "table": "f", "type": "inet_service", "handle": 3,
            "elem": elements}})
    };
    let name = |objects: &[Value]| ruleset(objects).generation().to_owned();
    let counted = |n: u64, handle| input(handle, json!([{"counter": {"packets": n, "bytes": n}}, log()]));
    assert_eq!(name(&[counted(1, 4), set(json!([1, 2]))]), name(&[set(json!([2, 1])), counted(9, 8)]));
    assert_ne!(name(&[counted(1, 4), set(json!([1, 2]))]), name(&[counted(1, 4), set(json!([1, 3]))]));
    assert_ne!(
        name(&[counted(1, 4), input(5, json!([log()]))]),
        name(&[input(5, json!([log()])), counted(1, 4)])
    );
    let listing = |forms: [(Form, &str); 2]| {
        Ruleset::read(&Listing(forms.map(|(f, t)| (f, t.to_owned())).into())).generation().to_owned()
    };
    let save = "*filter\n:INPUT DROP [0:0]\n[5:7] -A INPUT -j DROP\nCOMMIT\n";
    let json = table(&[counted(1, 4)]);
    let one = listing([(Form::NftJson, &json), (Form::IptablesLegacySave, save)]);
    let other = save.replace("[5:7] ", "").replace("[0:0]", "[8:9]") + "# later\n";
    assert_eq!(one, listing([(Form::IptablesLegacySave, &other), (Form::NftJson, &json)]));
    assert_ne!(one, listing([(Form::NftJson, &json), (Form::IptablesSave, save)]));
}
