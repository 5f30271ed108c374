//! F19: rules change under traffic, and every event has the rule of its own generation.

use crate::scene::{GROUP, PORT, Scene, amount, possible};
use bartizan_e2e::netns::NetNs;
use serde_json::Value;
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

/// Puts one of two rulesets in place, in one transaction. The rule says itself which one it is: it marks the packet
/// before it logs it, and the kernel gives the mark along.
fn swap(netns: &NetNs, mark: u64) {
    let verdict = if mark.is_multiple_of(2) { "drop" } else { "accept" };
    let log = format!("counter log prefix \"swap: \" group {GROUP}");
    let rule = format!("udp dport {PORT} meta mark set {mark} {log} {verdict}");
    netns.nft(&format!("flush chain inet f input\nadd rule inet f input {rule}")).unwrap();
}

fn text<'a>(row: &'a Value, column: &str) -> Option<&'a str> {
    row[column].as_str().filter(|t| !t.is_empty())
}

#[test]
fn no_event_gets_a_wrong_generation_while_rules_change_under_traffic() {
    if !possible() {
        return;
    }
    let scene = Scene::new("generations", "", "commit.age_ms = 200");
    let changes = amount(200, 2000);
    swap(&scene.netns, 1);
    thread::sleep(Duration::from_secs(1));
    let flow = scene.flow(3000);
    for n in 0..changes {
        swap(&scene.netns, 1 + n % 2);
        // from faster than anything can be listed to slow enough for certainty
        thread::sleep(Duration::from_millis([0, 5, 30, 120, 400, 700][n as usize % 6]));
    }
    // and the end of it is quiet
    swap(&scene.netns, 2);
    thread::sleep(Duration::from_secs(2));
    flow.end();
    scene.wait_for_rows("", 1, Duration::from_secs(20));
    let settled = || {
        let rows = scene.server.search_count("").unwrap();
        thread::sleep(Duration::from_secs(2));
        scene.server.search_count("").unwrap() == rows
    };
    while !settled() {}

    let rows = scene.server.rows_of("", "mark,rule,generation,extra,action").unwrap();
    let (mut sure, mut in_flight, mut names) = (0_u64, 0_u64, BTreeSet::new());
    for row in &rows {
        let mark = row["mark"].as_u64().unwrap();
        let (rule, generation) = (text(row, "rule"), text(row, "generation"));
        let extra: Value = text(row, "extra").map_or(Value::Null, |e| serde_json::from_str(e).unwrap());
        if let Some(generation) = generation {
            let rule = rule.unwrap_or_else(|| panic!("a generation and no rule: {row}"));
            assert!(rule.contains(&format!("mark set {mark:#010x}")), "the wrong rule: {row}");
            let action = if mark.is_multiple_of(2) { "drop" } else { "accept" };
            assert_eq!(row["action"], action, "{row}");
            assert!(extra["in_flight"].is_null(), "{row}");
            names.insert((mark, generation.to_owned()));
            sure += 1;
        } else {
            assert!(extra["in_flight"].is_array(), "neither sure nor marked: {row}");
            assert!(rule.is_none_or(|r| r.contains(&format!("mark set {mark:#010x}"))), "{row}");
            in_flight += 1;
        }
    }
    eprintln!("{changes} changes: {sure} events with their generation, {in_flight} in flight");
    // one name for each content, however often it became active
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(sure > 10_000, "{sure}");
    assert_eq!(scene.server.losses_sum().unwrap(), 0, "{:#?}", scene.server.losses());
}
