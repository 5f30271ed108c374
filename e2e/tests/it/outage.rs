//! The server is away, or seems to be: nothing recorded is lost, and live rows do not wait for the backlog.

use crate::scene::{MARKER, PORT, Scene, amount, possible};
use bartizan_e2e::process::wait_until;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn nothing_is_lost_while_the_server_is_away_and_live_rows_overtake_the_backlog() {
    if !possible() {
        return;
    }
    // Many small batches, so that a backlog is many batches; commits a second apart, so that it takes a while.
    let agent = "capture.flush_ms = 10\ncapture.batch_ms = 10\nspool.sync_ms = 20";
    let mut scene = Scene::new("outage", agent, "commit.age_ms = 1000");
    let flow = scene.flow(5000);
    scene.wait_for_rows("", 1000, Duration::from_secs(10));
    scene.server.kill().unwrap();
    thread::sleep(Duration::from_secs(amount(10, 60)));
    flow.end();
    let counted = scene.counted();
    scene.server.start().unwrap();
    let before = scene.server.search_count("").unwrap();
    wait_until("the backlog to begin", Duration::from_secs(90), || {
        Ok((scene.server.search_count("")? > before).then_some(()))
    })
    .unwrap();
    scene.send(MARKER, 1, 0);
    let sent = Instant::now();
    scene.wait_for_rows(&format!("dport:{MARKER}"), 1, Duration::from_secs(60));
    let old = scene.server.search_count(&format!("dport:{PORT}")).unwrap();
    eprintln!("the live row came after {:.1?}, with {old} of {counted} older rows in", sent.elapsed());
    assert!(old < counted, "the backlog was first");
    let figures = scene.exact();
    assert_eq!(figures.ledger, 0);
    eprintln!("all there {:.1?} after the live row was sent", sent.elapsed());
}

#[test]
fn an_agent_starts_and_records_while_there_is_no_server() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("alone", "", "");
    scene.send(PORT, 100, 0);
    assert_eq!(scene.exact().ledger, 0);
    scene.server.stop().unwrap();
    scene.agent.stop().unwrap();
    scene.start_agent();
    scene.send(PORT, 1000, 0);
    // Recorded, but for the last 200 ms, whatever happens now.
    thread::sleep(Duration::from_secs(1));
    scene.agent.kill().unwrap();
    scene.start_agent();
    scene.server.start().unwrap();
    assert_eq!(scene.exact().ledger, 0);
}

/// F31: the connection is there and nothing comes through.
#[test]
fn a_dead_connection_is_found_out_and_replaced() {
    if !possible() {
        return;
    }
    let scene = Scene::new("dead", "", "");
    scene.send(PORT, 100, 0);
    scene.settle();
    let agents = scene.server.agents().port();
    let local = connection_to(&scene, agents);
    let drop_rules: String = [("sport", "dport"), ("dport", "sport")]
        .iter()
        .map(|(a, b)| format!("tcp {a} {local} tcp {b} {agents} drop\n"))
        .collect();
    scene
        .netns
        .nft(&format!(
            "table inet cut {{\n chain input {{\n type filter hook input priority -10; policy accept;\n {drop_rules}}}\n }}"
        ))
        .unwrap();
    let start = Instant::now();
    scene.send(MARKER, 1, 0);
    scene.wait_for_rows(&format!("dport:{MARKER}"), 1, Duration::from_secs(60));
    let took = start.elapsed();
    eprintln!("a new connection after {took:.1?}");
    assert_ne!(connection_to(&scene, agents), local);
    // A ping after 20 s, 10 s for its answer, and a pause of up to a second; the machine may be busy.
    assert!(took < Duration::from_secs(45), "{took:?}");
    assert_eq!(scene.exact().ledger, 0);
}

/// The local port of the newest established connection to a port of loopback.
fn connection_to(scene: &Scene, port: u16) -> u16 {
    wait_until("a connection", Duration::from_secs(10), || {
        let table = scene.netns.run(|| fs::read_to_string("/proc/thread-self/net/tcp"))??;
        let found = table.lines().skip(1).filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let number = |field: &str| u16::from_str_radix(field.rsplit_once(':')?.1, 16).ok();
            let (local, remote) = (number(fields.get(1)?)?, number(fields.get(2)?)?);
            (remote == port && fields.get(3) == Some(&"01")).then_some(local)
        });
        Ok(found.last())
    })
    .unwrap()
}
