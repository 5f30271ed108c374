//! Events with the rules that logged them, before and after the rules changed.

use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::process::wait_until;
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn json(scene: &Scene, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    serde_json::from_str(&scene.server.ask(&args).unwrap()).unwrap()
}

#[test]
fn an_old_event_keeps_its_rule_when_the_ruleset_changes() {
    if !possible() {
        return;
    }
    let scene = Scene::new("joined", "", "");
    let listed = wait_until("a ruleset", PATIENCE, || Ok(scene.server.ask(&["rules", "web-01"]).ok()));
    let listed = listed.unwrap();
    assert!(listed.starts_with("# ruleset ") && listed.contains("udp-drop: "), "{listed}");
    scene.send(PORT, 50, 0);
    scene.settle();
    let logged = |filter: &str| scene.server.rows(filter).unwrap();
    let before = logged(&format!("dport:{PORT} rule:*"));
    assert!(before.len() >= 40, "{} of 50 events have their rule", before.len());
    let event = &before[0];
    assert_eq!((&event["table"], &event["chain"]), (&"inet f".into(), &"input".into()));
    let rule = event["rule"].as_str().unwrap();
    assert!(rule.contains("log prefix \"udp-drop: \" group 5") && rule.ends_with("drop"), "{rule}");

    let handle = event["handle"].as_i64().unwrap();
    let changes = [
        format!("delete rule inet f input handle {handle}"),
        "add rule inet f input udp dport 12 counter log prefix \"new-drop: \" group 5 drop".to_owned(),
    ];
    scene.netns.nft(&changes.join("\n")).unwrap();
    let history = wait_until("a second ruleset", PATIENCE, || {
        let history = json(&scene, &["rules", "web-01", "--history"]);
        Ok((history.as_array().unwrap().len() > 1).then_some(history))
    });
    let history = history.unwrap();
    assert_eq!(history[0]["process"], "nft", "{history}");
    assert_ne!(history[0]["generation"], event["generation"]);
    assert!(history.as_array().unwrap().iter().any(|change| change["generation"] == event["generation"]));

    let id = event["id"].as_str().unwrap();
    let shown = json(&scene, &["show", id]);
    assert_eq!(&shown["event"], event);
    assert_eq!(
        (&shown["rule"]["text"], &shown["now"]["state"]),
        (&rule.into(), &"deleted".into()),
        "{shown}"
    );
    let words = scene.server.ask(&["show", id]).unwrap();
    assert!(words.contains(rule) && words.contains("since then   deleted"), "{words}");
    assert_eq!(logged(&format!("dport:{PORT} rule:*")), before, "what was logged stays as it was");

    let then = json(&scene, &["rules", "web-01", "--at", event["time"].as_str().unwrap()]);
    assert_eq!(then["generation"], event["generation"]);
    let generation = |change: &Value| change["generation"].as_str().unwrap().to_owned();
    let (old, new) = (generation(event), generation(&history[0]));
    let diff = scene.server.ask(&["rules", "web-01", "--diff", &old, &new]).unwrap();
    let signed = |sign: char, text: &str| diff.lines().any(|l| l.starts_with(sign) && l.contains(text));
    assert!(signed('-', "udp-drop: ") && signed('+', "new-drop: "), "{diff}");

    let hits = json(&scene, &["rules", "web-01", "--hits", "--since", "1h"]);
    let of = |list: &str, text: &str| {
        let found =
            hits[list].as_array().unwrap().iter().find(|r| r["rule"].as_str().unwrap().contains(text));
        found.cloned().unwrap_or_else(|| panic!("no {text} in {hits}"))
    };
    assert_eq!(of("rules", "new-drop: ")["state"], "never");
    let packets: i64 = before.iter().map(|row| row["packets"].as_i64().unwrap()).sum();
    assert_eq!(of("gone", "udp-drop: ")["logged"], packets);
}
