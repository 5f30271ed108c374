//! F15, F16: floods. What the caps coalesce is counted packet by packet, and other rules' events are all there.

use crate::scene::{GROUP, MARKER, PORT, Scene, amount, possible};
use bartizan_e2e::traffic;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// Packets of all rows that pass a filter, and the number of rows.
fn packets(scene: &Scene, filter: &str) -> (u64, u64) {
    let rows = scene.server.rows_of(filter, "packets").unwrap();
    (rows.iter().map(|row| row["packets"].as_u64().unwrap()).sum(), rows.len() as u64)
}

/// Waits until packets and ledger are what the rules counted; rows by then.
pub(crate) fn settle(scene: &Scene) -> u64 {
    let start = Instant::now();
    loop {
        let counted = scene.counted();
        let ((packets, rows), ledger) = (packets(scene, ""), scene.server.losses_sum().unwrap());
        assert!(packets + ledger <= counted, "{packets} + {ledger} > {counted}");
        if packets + ledger == counted {
            eprintln!("{counted} packets are {rows} rows, {ledger} in the ledger");
            return rows;
        }
        let patience = Duration::from_secs(60);
        assert!(start.elapsed() < patience, "{packets} + {ledger} of {counted}: {:?}", scene.server.losses());
        thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn a_flood_from_random_sources_leaves_other_rules_and_the_disk_alone() {
    if !possible() {
        return;
    }
    let caps = "caps.rule_rate = 500\ncaps.rule_burst = 500";
    let scene = Scene::new("flood", caps, "commit.age_ms = 200");
    let netns = &scene.netns;
    let (sources, each) = (amount(3000, 30_000), 50);
    thread::scope(|threads| {
        threads.spawn(|| {
            netns
                .run(|| {
                    for n in 0..sources {
                        let from = Ipv4Addr::new(
                            127,
                            1 + (n / 65_536) as u8,
                            (n / 256 % 256) as u8,
                            (n % 256) as u8,
                        );
                        let socket = UdpSocket::bind((from, 0)).unwrap();
                        for _ in 0..each {
                            // the rule drops it, which the sender is not told of
                            socket.send_to(b"flood", (Ipv4Addr::LOCALHOST, PORT)).unwrap();
                        }
                    }
                })
                .unwrap();
        });
        // meanwhile, at a rate below the cap
        scene.send(MARKER, 400, 200);
    });
    let rows = settle(&scene);
    let flood = sources * each;
    assert!(rows < flood / 10, "{rows} rows for {flood} packets");
    assert_eq!(packets(&scene, &format!("dport:{MARKER}")), (400, 400), "another rule's events");
    assert_eq!(scene.server.duplicates("").unwrap(), 0);
    // what the rest of the flood's rule became says how many, and not who
    let rest = scene.server.rows_of("-src:* prefix:\"udp-drop: \"", "packets").unwrap();
    assert!(!rest.is_empty());
}

#[test]
fn one_source_does_not_drown_the_others() {
    if !possible() {
        return;
    }
    let scene =
        Scene::new("source-cap", "caps.source_rate = 300\ncaps.source_burst = 300", "commit.age_ms = 200");
    let netns = &scene.netns;
    let to: SocketAddr = (Ipv4Addr::LOCALHOST, PORT).into();
    netns.run(|| traffic::udp_burst(to, 20_000, 0, 60)).unwrap().unwrap();
    netns
        .run(|| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 9, 9, 9), 0)).unwrap();
            (0..200).for_each(|_| {
                socket.send_to(b"other", to).unwrap();
            });
        })
        .unwrap();
    settle(&scene);
    let (loud, rows) = packets(&scene, "src:127.0.0.1");
    assert!(loud == 20_000 && rows < 2000, "{loud} packets in {rows} rows");
    assert_eq!(packets(&scene, "src:127.9.9.9"), (200, 200));
}

#[test]
fn what_the_kernel_drops_while_the_agent_keeps_its_share_of_the_processor_is_its_own_loss() {
    if !possible() {
        return;
    }
    let agent = "capture.cpu_percent = 3\ncapture.receive_buffer = 65536";
    let scene = Scene::new("cpu-share", agent, "commit.age_ms = 200");
    let to: SocketAddr = (Ipv4Addr::LOCALHOST, PORT).into();
    scene.netns.run(|| traffic::udp_burst(to, 300_000, 0, 60)).unwrap().unwrap();
    scene.send(MARKER, 10, 0);
    settle(&scene);
    let losses = scene.server.losses().unwrap();
    let own = losses.iter().filter(|l| l["stage"] == "agent cap" && l["reason"] == "cpu share");
    assert!(own.map(|l| l["count"].as_u64().unwrap()).sum::<u64>() > 0, "{losses:#?}");
}

#[test]
fn a_flood_with_a_small_buffer_is_exact() {
    if !possible() {
        return;
    }
    let scene = Scene::new("small-buffer", "capture.receive_buffer = 16384", "commit.age_ms = 200");
    let to: SocketAddr = (Ipv4Addr::LOCALHOST, PORT).into();
    let burst = amount(150_000, 2_000_000);
    thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| scene.netns.run(|| traffic::udp_burst(to, burst, 0, 60)).unwrap().unwrap());
        }
    });
    settle(&scene);
    assert!(scene.server.losses_sum().unwrap() > 0, "the buffer of group {GROUP} was too large for the test");
    scene.send(MARKER, 10, 0);
    settle(&scene);
}
