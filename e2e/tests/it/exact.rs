//! What the rules counted equals what is found plus the ledger: the promise that everything else rests on.

use crate::scene::{GROUP, PORT, Scene, amount, possible};
use bartizan_e2e::traffic;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

#[test]
fn every_protocol_of_both_families_is_found_and_equals_the_counters() {
    if !possible() {
        return;
    }
    let scene = Scene::new("protocols", "", "");
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    scene.send(PORT, 1000, 0);
    scene
        .netns
        .run(|| {
            for to in [v4, v6] {
                assert_eq!(traffic::icmp_echo(to, 100).unwrap(), 100);
                let ports = [PORT; 10];
                assert_eq!(traffic::tcp_connects(to, ports, Duration::from_millis(20)).unwrap(), 0);
            }
        })
        .unwrap();
    let figures = scene.settle();
    assert_eq!(figures.ledger, 0);
    assert_eq!(figures.counted, 1000 + 200 + 20);
    for (filter, rows) in [
        ("proto:udp", 1000),
        ("proto:tcp", 20),
        ("proto:tcp flags:syn -flags:ack", 20),
        ("proto:icmp", 100),
        ("proto:icmpv6", 100),
        ("::1", 610),
        ("127.0.0.0/8", 610),
        ("src:127.0.0.1 dport:9", 510),
        ("action:drop host:web-01 in:lo", 1220),
        ("prefix:\"ping6-drop: \"", 100),
        ("proto:udp OR proto:tcp", 1020),
        ("-proto:udp -proto:tcp", 200),
    ] {
        assert_eq!(scene.server.search_count(filter).unwrap(), rows, "{filter}");
    }
    scene.exact();
    let hosts = scene.server.hosts().unwrap();
    assert_eq!((hosts.len(), &hosts[0]["name"]), (1, &"web-01".into()));
}

#[test]
fn fifty_thousand_packets_a_second_are_all_found() {
    if !possible() {
        return;
    }
    let scene = Scene::new("fast", "", "");
    let seconds = amount(5, 20);
    let start = Instant::now();
    scene.send(PORT, 50_000 * seconds, 50_000);
    let took = start.elapsed();
    let figures = scene.exact();
    eprintln!(
        "{} packets a second, {figures:?}",
        f64::from(50_000 * u32::try_from(seconds).unwrap()) / took.as_secs_f64()
    );
    assert_eq!(figures.ledger, 0, "{:?}", scene.server.losses());
    assert_eq!(figures.rows, 50_000 * seconds + 10);
}

#[test]
fn an_overload_is_counted_to_the_packet() {
    if !possible() {
        return;
    }
    let scene = Scene::new("overload", "capture.receive_buffer = 8192", "");
    for _ in 0..amount(3, 20) {
        scene.send(PORT, 200_000, 0);
        let figures = scene.exact();
        assert!(figures.ledger > 0, "no overload: {figures:?}");
    }
    let losses = scene.server.losses().unwrap();
    assert!(losses.iter().all(|l| l["stage"] == "kernel" && l["host"] == "web-01"), "{losses:?}");
}

#[test]
fn what_is_logged_while_no_agent_listens_is_in_the_ledger() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("away", "", "");
    scene.send(PORT, 100, 0);
    assert_eq!(scene.exact().ledger, 0);
    scene.agent.stop().unwrap();
    scene.send(PORT, 77, 0);
    scene.start_agent();
    let figures = scene.exact();
    assert_eq!((figures.ledger, figures.counted), (77, 100 + 77 + 20));
    let losses = scene.server.losses().unwrap();
    assert_eq!(losses[0]["detail"], format!("nflog group {GROUP}"));
}
