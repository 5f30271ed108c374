//! What the server says of its agents' configuration: it counts without a restart, the host's own word wins, no row is
//! lost by it, and what does no good is given up.

use crate::caps::settle;
use crate::scene::{GROUP, PORT, Scene, possible};
use bartizan_e2e::process::{Agent, program, wait_until};
use bartizan_netfilter::{NflogConfig, NflogSocket};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Says a text; what the command said if it was refused.
fn say(scene: &Scene, target: &str, text: &str) -> Result<(), String> {
    let file = scene.dir.path().join("said.toml");
    fs::write(&file, text).unwrap();
    let asked = scene.server.ask(&["config", "set", target, file.to_str().unwrap()]);
    asked.map(drop).map_err(|error| format!("{error:#}"))
}

/// Waits until the host says that these versions count there; how the list shows it.
fn wait_for(scene: &Scene, versions: &Value) -> Value {
    wait_until(&format!("versions {versions}"), PATIENCE, || {
        let host = scene.server.hosts()?.swap_remove(0);
        Ok((host["config"] == "as wanted" && host["config_has"] == *versions).then_some(host))
    })
    .unwrap()
}

/// What the agent says of the server's configuration.
fn central(scene: &Scene) -> Value {
    let status = wait_until("the agent to answer", PATIENCE, || {
        let mut command = program(Some(&scene.netns), "bartizan-agent")?;
        let output = command.args(["status", "-o", "json", "--config"]).arg(scene.agent.config()).output()?;
        Ok(output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).unwrap()))
    })
    .unwrap();
    status["configuration"]["central"].clone()
}

fn wait_for_log(agent: &mut Agent, words: &str) {
    let log = agent.dir().join("agent.log");
    wait_until(words, PATIENCE, || Ok(fs::read_to_string(&log)?.contains(words).then_some(()))).unwrap();
}

#[test]
fn what_the_server_says_counts_at_once_and_no_row_is_lost_by_it() {
    if !possible() {
        return;
    }
    let own = "caps.source_rate = 20000";
    let mut scene = Scene::new("configured", own, "commit.age_ms = 200\n[groups]\nedge = [\"web-*\"]\n");
    let process = scene.agent.running().unwrap().id();
    wait_for(&scene, &json!([]));
    let flow = scene.flow(400);
    let caps = "counters.interval_secs = 30\n[caps]\nrule_rate = 20\nrule_burst = 20\nsource_rate = 1\nsource_burst = 1";
    say(&scene, "*", "caps.rule_rate = 1000").unwrap();
    say(&scene, "group:edge", caps).unwrap();
    let host = wait_for(&scene, &json!([1, 2]));
    assert_eq!(host["config_held"], json!(["caps.source_rate"]), "{host}");
    assert_eq!(host["config_after_restart"], json!(["counters"]), "{host}");
    thread::sleep(Duration::from_secs(3));
    let wrong = say(&scene, "group:edge", "[caps]\nrule_rate = 20\nrule_burts = 20").unwrap_err();
    assert!(wrong.contains("group:edge:3: unknown key \"caps.rule_burts\""), "{wrong}");
    let wrong = say(&scene, "host:web-01", "local_log.path = \"/etc/cron.d/x\"").unwrap_err();
    assert!(wrong.contains("the host's own"), "{wrong}");
    // Again and again, while rows come.
    for rate in [500, 30, 600] {
        say(&scene, "host:web-01", &format!("caps.rule_rate = {rate}\ncapture.batch_ms = {rate}")).unwrap();
    }
    wait_for(&scene, &json!([1, 2, 5]));
    scene.server.ask(&["config", "rollback", "4"]).unwrap();
    wait_for(&scene, &json!([1, 2, 6]));
    flow.end();
    let rows = settle(&scene);
    assert!(rows < scene.counted(), "the caps made nothing of {rows} rows");
    assert_eq!(scene.server.losses_sum().unwrap(), 0);
    assert_eq!(scene.server.duplicates("").unwrap(), 0);
    assert_eq!(scene.agent.running().unwrap().id(), process);
    assert_eq!(central(&scene)["on_trial"], false);

    // It starts with it while there is no server.
    scene.server.stop().unwrap();
    scene.agent.kill().unwrap();
    scene.start_agent();
    assert_eq!(central(&scene)["versions"], json!([1, 2, 6]));
    scene.send(PORT, 200, 0);
    scene.server.start().unwrap();
    let rows_then = settle(&scene);
    assert!(rows_then < rows + 200, "the cap of the server's configuration counts");
    // What is said no more counts no more.
    for target in ["*", "group:edge", "host:web-01"] {
        say(&scene, target, "").unwrap();
    }
    wait_for(&scene, &json!([]));
    scene.alive();
}

/// What an agent would have on its disk that was killed just after it had taken an offer.
fn on_trial(scene: &Scene, text: &str) {
    let offer = json!({ "parts": [{ "version": 7, "target": "*", "text": text }] });
    let kept = json!({ "trial": { "offer": offer, "starts": 0 } });
    fs::write(scene.agent.dir().join("central.json"), kept.to_string()).unwrap();
}

#[test]
fn what_does_no_good_is_given_up_by_the_agent_itself() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared("given-up", "", "commit.age_ms = 200");
    scene.agent.configure("central.trial_secs = 2").unwrap();
    let mut scene = scene.up();
    wait_for(&scene, &json!([]));

    // The server is not reached with it.
    scene.server.stop().unwrap();
    scene.agent.kill().unwrap();
    on_trial(&scene, "caps.rule_rate = 5");
    scene.start_agent();
    wait_for_log(&mut scene.agent, "the server was not reached with it in time");
    let said = central(&scene);
    assert_eq!((&said["versions"], &said["refused"]["versions"]), (&json!([]), &json!([7])), "{said}");
    scene.send(PORT, 50, 0);
    scene.server.start().unwrap();
    scene.settle();

    // The agent does not come up with it: somebody else has the group.
    scene.agent.stop().unwrap();
    on_trial(&scene, "groups = [77]");
    let taken = scene.netns.run(|| NflogSocket::open(&NflogConfig::new(77)).unwrap()).unwrap();
    scene.agent.start(Some(&scene.netns)).unwrap();
    wait_until("the agent to end", PATIENCE, || {
        Ok(scene.agent.running().unwrap().ended()?.map(|status| assert!(!status.success())))
    })
    .unwrap();
    wait_for_log(&mut scene.agent, "is given up");
    drop(scene.agent.kill());
    scene.start_agent();
    drop(taken);
    assert!(central(&scene)["refused"]["why"].as_str().unwrap().contains("77"), "{}", central(&scene));
    scene.send(PORT, 50, 0);
    let figures = scene.settle();
    assert_eq!((figures.rows, figures.ledger), (100, 0), "group {GROUP} lost nothing");
}
