//! F38, F40: background work on the lake, killed at any moment and without disk: every row stays there, once.
//!
//! Files are small and plenty here (a commit every few milliseconds), so that merging, sorting and counting go on all the
//! time and a kill meets each of them in some round.

use crate::scene::{PORT, Scene, SmallDisk, amount, possible};
use bartizan_e2e::process::wait_until;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A commit every 20 ms, units as small as they may be, and nothing kept back from sorting.
const BUSY: &str = "commit.age_ms = 20\ncommit.reserve_megabytes = 4\ncompact.unit_rows = 65536\n\
    compact.newest_rows = 0\ncompact.settle_minutes = 0";

/// Entries of a table's log with this in them.
fn entries(server: &Path, table: &str, text: &str) -> usize {
    let log = server.join("lake").join(table).join("_delta_log");
    let files = std::fs::read_dir(log).into_iter().flatten().flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|e| e == "json"))
        .filter(|file| std::fs::read_to_string(file.path()).is_ok_and(|entry| entry.contains(text)))
        .count()
}

fn merges(scene: &Scene) -> usize {
    entries(scene.server.dir(), "events", "\"operation\":\"OPTIMIZE\"")
}

fn commits(scene: &Scene) -> usize {
    entries(scene.server.dir(), "events", "\"operation\":\"WRITE\"")
}

#[test]
fn every_row_is_there_once_whenever_upkeep_is_killed() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("upkeep-kill", "capture.batch_ms = 10\nspool.sync_ms = 10", BUSY);
    // A commit has some tens of rows, so that sixteen of them are merged long before they are a unit.
    let flow = scene.flow(2_000);
    for round in 0..amount(12, 200) {
        if round % 2 == 0 {
            // something to be merged by the next start
            let enough = commits(&scene) + 12 + (round as usize * 7) % 16;
            wait_until("commits", Duration::from_secs(60), || Ok((commits(&scene) >= enough).then_some(())))
                .unwrap();
        }
        // which begins with it: never the same moment of the work
        thread::sleep(Duration::from_millis((round * 37) % 250));
        scene.server.kill().unwrap();
        scene.server.start().unwrap();
    }
    flow.end();
    let figures = scene.exact();
    assert_eq!(figures.ledger, 0, "{:?}", scene.server.losses());
    // sixteen of a size are one, again and again
    wait_until("merges", Duration::from_secs(60), || {
        Ok((merges(&scene) >= commits(&scene) / 32).then_some(()))
    })
    .unwrap();
    assert!(merges(&scene) >= 3, "{} merges of {} commits", merges(&scene), commits(&scene));
    // and as another start finds it
    scene.server.kill().unwrap();
    scene.server.start().unwrap();
    let again = scene.exact();
    assert_eq!(again.ledger, 0, "{:?}", scene.server.losses());
}

#[test]
fn a_disk_that_fills_while_files_are_merged_loses_nothing_and_work_goes_on_later() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared("upkeep-full", "capture.batch_ms = 10\nspool.sync_ms = 10", BUSY);
    let disk = SmallDisk::mount(&scene.server.dir().join("lake"), 96);
    let mut scene = scene.up();
    let flow = scene.flow(10_000);
    for round in 0..amount(6, 100) {
        thread::sleep(Duration::from_millis(300 + (round * 211) % 600));
        // now and then so little is left that a commit fits and a merged file does not, now and then nothing
        disk.fill(if round % 2 == 0 { 0 } else { 5 << 20 });
        thread::sleep(Duration::from_millis(700));
        if round % 3 == 2 {
            scene.server.kill().unwrap();
            disk.empty();
            scene.server.start().unwrap();
        } else {
            disk.empty();
        }
    }
    flow.end();
    scene.alive();
    let figures = scene.exact();
    assert_eq!(figures.ledger, 0, "{:?}", scene.server.losses());
    // what failed for want of disk is done by the next start at the latest
    let before = merges(&scene);
    scene.server.stop().unwrap();
    scene.server.start().unwrap();
    // more than a unit, so that there is something to be merged in any case
    scene.send(PORT, 70_000, 20_000);
    assert_eq!(scene.exact().ledger, 0, "{:?}", scene.server.losses());
    wait_until("a merge on a disk with room", Duration::from_secs(60), || {
        Ok((merges(&scene) > before).then_some(()))
    })
    .unwrap();
}
