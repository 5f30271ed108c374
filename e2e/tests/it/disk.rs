//! F07, F40: full disks, on the host and on the server.

use crate::scene::{MARKER, PORT, Scene, SmallDisk, possible};
use std::thread;
use std::time::Duration;

#[test]
fn rows_still_travel_while_the_spool_has_no_disk() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared(
        "spool-full",
        "spool.megabytes = 16\nspool.memory_megabytes = 1",
        "commit.age_ms = 200",
    );
    let disk = SmallDisk::mount(&scene.agent.dir().join("spool"), 24);
    let mut scene = scene.up();
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.settle().ledger, 0);

    disk.fill(0);
    // More than what is left of the last segment's page, so that the disk is felt.
    scene.send(PORT, 20_000, 20_000);
    scene.send(MARKER, 10, 0);
    scene.wait_for_rows(&format!("dport:{MARKER}"), 10, Duration::from_secs(20));
    scene.alive();
    let log = scene.agent.running().unwrap().log_tail();
    assert!(log.contains("the spool's disk fails; rows wait in memory"), "{log}");

    // Nobody takes what is in memory, and there is more than it holds: given up, and counted.
    scene.server.kill().unwrap();
    scene.send(PORT, 600_000, 100_000);
    scene.server.start().unwrap();
    let full = scene.settle();
    eprintln!("without disk and server: {full:?}");
    assert!(full.ledger > 0, "{full:?}");
    let losses = scene.server.losses().unwrap();
    assert!(losses.iter().all(|l| l["stage"] == "spool" && l["reason"] == "disk error"), "{losses:?}");

    disk.empty();
    thread::sleep(Duration::from_secs(2));
    scene.send(PORT, 1000, 0);
    let figures = scene.exact();
    assert_eq!(figures.ledger, full.ledger, "nothing more is lost: {:?}", scene.server.losses());
    let log = scene.agent.running().unwrap().log_tail();
    assert!(log.contains("the spool's disk works again"), "{log}");
    // And what is on disk now is as good as before.
    scene.server.stop().unwrap();
    scene.send(PORT, 1000, 0);
    thread::sleep(Duration::from_secs(1));
    scene.agent.kill().unwrap();
    scene.start_agent();
    scene.server.start().unwrap();
    assert_eq!(scene.exact().ledger, figures.ledger);
}

#[test]
fn a_full_lake_is_read_and_not_acknowledged_to_and_takes_everything_later() {
    if !possible() {
        return;
    }
    let settings = "commit.age_ms = 200\ncommit.reserve_megabytes = 16";
    let scene = Scene::prepared("lake-full", "", settings);
    let disk = SmallDisk::mount(&scene.server.dir().join("lake"), 64);
    let mut scene = scene.up();
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.settle().ledger, 0);

    disk.fill(8 << 20);
    let free = disk.free();
    scene.send(PORT, 20_000, 20_000);
    // They are not written, and they are found.
    scene.wait_for_rows("", 21_000, Duration::from_secs(20));
    thread::sleep(Duration::from_secs(1));
    assert!(disk.free() + (1 << 20) > free, "the reserve is used: {free} -> {}", disk.free());
    let log = scene.server.running().unwrap().log_tail();
    assert!(log.contains("commit failed; senders keep their rows"), "{log}");

    // What was not committed was not acknowledged either: with the server's memory gone, the agent has it.
    scene.server.kill().unwrap();
    scene.server.start().unwrap();
    let committed = scene.server.search_count("").unwrap();
    eprintln!("committed before the disk was full: {committed}");
    scene.wait_for_rows("", 21_000, Duration::from_secs(60));
    scene.alive();
    scene.server.kill().unwrap();
    disk.empty();
    scene.server.start().unwrap();
    let figures = scene.exact();
    assert_eq!((figures.ledger, figures.rows), (0, 21_010));
}
