//! Tracked connections: each that ends is one row, and those that the kernel could not tell are a number.

use crate::scene::{Scene, possible};
use bartizan_e2e::process::wait_until;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

const SERVICE: u16 = 4000;

fn scene(label: &str, settings: &str) -> Scene {
    let scene = Scene::prepared(label, &format!("flows.enabled = true\n{settings}"), "commit.age_ms = 200");
    track(&scene);
    scene.up()
}

/// Lets the kernel track connections, and forget those of UDP soon.
pub(crate) fn track(scene: &Scene) {
    // a rule that looks at connections makes the kernel track them
    scene
        .netns
        .nft("table inet t {\n chain c {\n type filter hook input priority 0;\n ct state new accept\n }\n}")
        .unwrap();
    for (key, value) in [
        ("net.netfilter.nf_conntrack_acct", "1"),
        ("net.netfilter.nf_conntrack_timestamp", "1"),
        ("net.netfilter.nf_conntrack_udp_timeout", "1"),
    ] {
        scene.netns.sysctl(key, value).unwrap();
    }
}

/// The first source port of flows.
const FIRST: u16 = 20_000;

/// One flow for each of so many source ports, with three packets.
pub(crate) fn flows(scene: &Scene, count: u16) -> BTreeSet<u64> {
    scene
        .netns
        .run(|| {
            let _service = UdpSocket::bind((Ipv4Addr::LOCALHOST, SERVICE)).unwrap();
            // below those that the kernel hands out, which may come again: that would be the same connection
            (FIRST..FIRST + count)
                .map(|port| {
                    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
                    (0..3).for_each(|_| {
                        socket.send_to(b"flow", (Ipv4Addr::LOCALHOST, SERVICE)).unwrap();
                    });
                    u64::from(port)
                })
                .collect()
        })
        .unwrap()
}

#[test]
fn every_connection_is_a_row_at_its_end() {
    if !possible() {
        return;
    }
    let scene = scene("flows", "flows.protocols = [\"udp\"]");
    // the thread that listens has to be there before the connections: older ones are not told
    thread::sleep(Duration::from_millis(500));
    let ports = flows(&scene, 100);
    let filter = format!("dport:{SERVICE}");
    wait_until("the ends of all flows", Duration::from_secs(60), || {
        Ok((scene.server.table("flows", &filter)?.len() >= ports.len()).then_some(()))
    })
    .unwrap();
    let rows = scene.server.table("flows", &filter).unwrap();
    let seen: BTreeSet<u64> = rows.iter().map(|row| row["sport"].as_u64().unwrap()).collect();
    assert_eq!((seen, rows.len()), (ports, 100));
    for row in &rows {
        assert_eq!(row["event"], "destroy", "{row}");
        assert_eq!((row["packets"].as_u64(), row["bytes"].as_u64()), (Some(3), Some(96)), "{row}");
        assert!(row["start"].is_string() && row["proto"] == "udp", "{row}");
    }
    assert!(scene.server.losses().unwrap().is_empty());
}

#[test]
fn connections_that_the_kernel_could_not_tell_are_counted_as_flows() {
    if !possible() {
        return;
    }
    let scene = scene("flows-lost", "flows.protocols = [\"udp\"]\nflows.receive_buffer = 4096");
    thread::sleep(Duration::from_millis(500));
    let count = flows(&scene, 5000).len() as u64;
    let lost = || -> u64 {
        let losses = scene.server.losses().unwrap();
        assert!(losses.iter().all(|l| l["kind"] == "flows" && l["reason"] == "overrun"), "{losses:#?}");
        losses.iter().map(|l| l["count"].as_u64().unwrap()).sum()
    };
    let filter = format!("dport:{SERVICE} event:destroy");
    wait_until("rows and ledger to be all flows", Duration::from_secs(60), || {
        // the kernel tells of an expired connection when it meets it, at the latest in a minute; a list meets all
        scene.netns.command("conntrack").arg("-L").output()?;
        let rows = scene.server.table("flows", &filter)?.len() as u64;
        Ok((rows + lost() >= count).then_some(()))
    })
    .unwrap();
    let rows = scene.server.table("flows", &filter).unwrap().len() as u64;
    eprintln!("{rows} rows, {} lost", lost());
    assert!(lost() > 0);
    // nothing else in this host speaks UDP
    assert_eq!(rows + lost(), count);
}
