//! Counters: the growth that is recorded sums to what the kernel shows, over kills and resets.

use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::process::wait_until;
use std::thread;
use std::time::Duration;

const OBJECT: &str = "inet f input";

/// The sums of packets of a rule and of a named counter.
fn sums(scene: &Scene) -> (u64, u64) {
    let rows = scene.server.table("counters", "").unwrap();
    let sum = |wanted: &dyn Fn(&serde_json::Value) -> bool| {
        rows.iter().filter(|row| wanted(row)).map(|row| row["packets"].as_u64().unwrap()).sum()
    };
    let rule = sum(&|row| {
        row["kind"] == "rule" && row["rule"].as_str().is_some_and(|rule| rule.contains("udp-drop"))
    });
    (rule, sum(&|row| row["kind"] == "counter" && row["name"] == "total"))
}

fn wait(scene: &Scene, expected: (u64, u64)) {
    wait_until(&format!("sums of {expected:?}"), Duration::from_secs(30), || {
        let sums = sums(scene);
        assert!(sums.0 <= expected.0 && sums.1 <= expected.1, "more than there was: {sums:?}");
        Ok((sums == expected).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", scene.server.table("counters", "")));
}

#[test]
fn growth_sums_to_what_the_kernel_counts_over_kills_and_resets() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared("counters", "counters.interval_secs = 1", "commit.age_ms = 200");
    scene
        .netns
        .nft(&format!(
            "add counter inet f total\ninsert rule inet f input udp dport {PORT} counter name total"
        ))
        .unwrap();
    let mut scene = scene.up();
    scene.send(PORT, 100, 0);
    wait(&scene, (100, 100));
    for _ in 0..3 {
        // in the middle of readings, and nothing is counted twice or left out
        scene.send(PORT, 50, 0);
        thread::sleep(Duration::from_millis(700));
        scene.agent.kill().unwrap();
        scene.send(PORT, 50, 0);
        scene.start_agent();
    }
    wait(&scene, (400, 400));
    let rows = scene.server.table("counters", "").unwrap();
    let firsts = rows.iter().filter(|row| row["name"] == "total" && row["reset"] == 1).count();
    assert!(firsts <= 1, "a restart is no first reading: {rows:#?}");
    assert!(rows.iter().any(|row| row["object"].as_str().is_some_and(|o| o.starts_with(OBJECT))));

    // a reset: what it shows afterwards is all that is known
    thread::sleep(Duration::from_millis(1500));
    scene.netns.nft("reset counter inet f total").unwrap();
    scene.send(PORT, 30, 0);
    wait(&scene, (430, 430));
    let rows = scene.server.table("counters", "").unwrap();
    assert!(rows.iter().any(|row| row["name"] == "total" && row["reset"] == 1 && row["packets"] == 30));
}
