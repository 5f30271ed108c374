//! Every network namespace of the machine: captured when it comes, settled when it goes.

use crate::scene::possible;
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Server, wait_until};
use bartizan_e2e::traffic;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A group of its own: an agent that captures in all namespaces must not take another test's group.
const GROUP: u16 = 977;
const PATIENCE: Duration = Duration::from_secs(30);

fn guest(label: &str) -> NetNs {
    let netns = NetNs::new(label).unwrap();
    let chain = "type filter hook input priority filter; policy accept;";
    let rule = format!("udp dport 9 counter log prefix \"{label}: \" group {GROUP} drop");
    netns.nft(&format!("table inet f {{\n chain input {{\n {chain}\n {rule}\n }}\n }}")).unwrap();
    netns
}

fn send(netns: &NetNs, count: u64) {
    let to: SocketAddr = (Ipv4Addr::LOCALHOST, 9).into();
    netns.run(|| traffic::udp_burst(to, count, 0, 60)).unwrap().unwrap();
}

#[test]
fn namespaces_come_and_go_and_each_is_exact() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let host = Arc::new(guest("nshost"));
    let early = guest("nsearly");
    let mut server = Server::new(&dir.path().join("server"), "commit.age_ms = 200").unwrap().inside(&host);
    server.start().unwrap();
    let mut agent =
        Agent::new(&dir.path().join("agent"), &format!("groups = [{GROUP}]\nnetns = \"all\"")).unwrap();
    agent.enrol(Some(&host), server.front(), &server.token(1).unwrap(), "web-01").unwrap();
    agent.start(Some(&host)).unwrap();
    for netns in [&*host, &early] {
        agent.wait_for_capture(netns, GROUP).unwrap();
    }
    // one that comes later
    let late = guest("nslate");
    agent.wait_for_capture(&late, GROUP).unwrap();
    send(&host, 100);
    send(&early, 200);
    send(&late, 300);
    let rows = |filter: &str, count: u64| {
        wait_until(&format!("{count} rows of `{filter}`"), PATIENCE, || {
            Ok((server.search_count(filter)? == count).then_some(()))
        })
        .unwrap();
    };
    rows("-netns:*", 100);
    rows(&format!("netns:{}", early.name()), 200);
    rows(&format!("netns:{}", late.name()), 300);
    rows("in:lo", 600);

    // what is logged while no agent listens is found in each namespace
    agent.kill().unwrap();
    send(&early, 7);
    send(&host, 5);
    agent.start(Some(&host)).unwrap();
    let ledger = |sum: u64| {
        wait_until(&format!("{sum} in the ledger"), PATIENCE, || {
            Ok((server.losses_sum()? == sum).then_some(()))
        })
        .unwrap();
    };
    ledger(12);
    let missed = |netns: &str, count: u64| {
        server
            .losses()
            .unwrap()
            .iter()
            .any(|l| l["netns"].as_str().unwrap_or_default() == netns && l["count"] == count)
    };
    assert!(missed("", 5) && missed(early.name(), 7), "{:#?}", server.losses());

    // one goes in the middle of its traffic: its last packets are read before it is let go
    agent.wait_for_capture(&late, GROUP).unwrap();
    send(&late, 1000);
    let name = late.name().to_owned();
    drop(late);
    rows(&format!("netns:{name}"), 1300);
    wait_until("the namespace to be let go", PATIENCE, || {
        let log = agent.running().unwrap().log_tail();
        Ok(log.contains("a network namespace is gone").then_some(()))
    })
    .unwrap();
    send(&early, 50);
    rows(&format!("netns:{}", early.name()), 250);
    ledger(12);
}

#[test]
fn only_the_named_namespaces_are_captured() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (host, wanted, other) = (Arc::new(guest("nshost")), guest("nswanted"), guest("nsother"));
    let mut server = Server::new(&dir.path().join("server"), "commit.age_ms = 200").unwrap().inside(&host);
    server.start().unwrap();
    let settings = format!("groups = [{GROUP}]\nnetns = [{:?}]", wanted.name());
    let mut agent = Agent::new(&dir.path().join("agent"), &settings).unwrap();
    agent.enrol(Some(&host), server.front(), &server.token(1).unwrap(), "web-01").unwrap();
    agent.start(Some(&host)).unwrap();
    agent.wait_for_capture(&wanted, GROUP).unwrap();
    send(&other, 100);
    send(&wanted, 10);
    send(&host, 1);
    wait_until("11 rows", PATIENCE, || Ok((server.search_count("")? == 11).then_some(()))).unwrap();
    assert_eq!(server.search_count(&format!("netns:{}", wanted.name())).unwrap(), 10);
}
