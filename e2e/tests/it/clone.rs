//! F22: a host that was copied with its key and its spool.

use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::process::{Agent, wait_until};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// What only the copy captures.
const COPYS_PORT: u16 = 11;
const COPYS_GROUP: u16 = 6;

#[test]
fn f22_two_agents_with_one_key_are_told_apart_and_neither_loses_a_row() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("clone", "", "");
    scene.send(PORT, 100, 0);
    scene.settle();
    scene.agent.stop().unwrap();
    let copy = scene.dir.path().join("copy");
    let copied = Command::new("cp").arg("-a").arg(scene.agent.dir()).arg(&copy).status().unwrap();
    assert!(copied.success());
    scene.start_agent();
    let rule = format!("udp dport {COPYS_PORT} counter log prefix \"copy-drop: \" group {COPYS_GROUP} drop");
    let chain = "type filter hook input priority 5; policy accept;";
    scene.netns.nft(&format!("table inet g {{\n chain input {{\n {chain}\n {rule}\n }}\n }}")).unwrap();
    let mut copy = Agent::new(&copy, &format!("groups = [{COPYS_GROUP}]")).unwrap();
    copy.start(Some(&scene.netns)).unwrap();
    copy.wait_for_capture(&scene.netns, COPYS_GROUP).unwrap();

    // One of them is turned away, and both know of it: the agent in its log, the server in its list.
    let noticed = wait_until("a word about the clone", Duration::from_secs(60), || {
        Ok(scene.server.hosts()?.iter().any(|host| !host["clone_seen"].is_null()).then_some(()))
    });
    noticed.unwrap();
    scene.send(PORT, 100, 0);
    scene.send(COPYS_PORT, 100, 0);
    let count = |port: u16| scene.server.search_count(&format!("dport:{port}")).unwrap();
    wait_until("the rows of one of them", Duration::from_secs(30), || {
        Ok(((count(PORT), count(COPYS_PORT)) == (100, 100) || count(PORT) == 200).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(2));
    let first_waits = count(PORT) == 100;
    assert!(first_waits || count(COPYS_PORT) == 0, "both of them send");
    let said = |agent: &mut Agent| agent.running().unwrap().log_tail();
    let log = if first_waits { said(&mut scene.agent) } else { said(&mut copy) };
    assert!(log.contains("a clone?") && log.contains("rows are kept"), "{log}");

    // When the one that sends is gone the other is let in, with all that it has kept.
    if first_waits {
        copy.stop().unwrap()
    } else {
        scene.agent.stop().unwrap()
    }
    wait_until("the rows of the other", Duration::from_secs(120), || {
        Ok(((count(PORT), count(COPYS_PORT)) == (200, 100)).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(1));
    assert_eq!((count(PORT), count(COPYS_PORT)), (200, 100));
    assert_eq!((scene.server.losses_sum().unwrap(), scene.server.duplicates("").unwrap()), (0, 0));
}
