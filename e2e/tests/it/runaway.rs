//! F50: questions that would go on for long, twenty of them, while the host goes on logging.

use crate::scene::{MARKER, PORT, Scene, possible};
use bartizan_e2e::process::wait_until;
use std::process::{Child, Stdio};
use std::time::Duration;

const QUESTIONS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// Megabytes that the server may have had at most. Without bounds the groups of these questions alone are gigabytes.
const MEMORY: u64 = 1500;

/// Each row is a group of its own, and every prefix is looked through.
fn runaway(scene: &Scene) -> Child {
    let mut command = scene.server.cli().unwrap();
    command.args([
        "search",
        r#"-prefix:~"(.*a.*b.*c){9}z""#,
        "--by",
        "sport,ip_id,row,seq,time,length,src,dst",
    ]);
    command.args(["--top", "100000", "-o", "ndjson"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn peak_megabytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
}

#[test]
fn twenty_runaway_questions_hold_up_no_row_and_take_no_more_than_their_memory() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("runaway", "", "commit.age_ms = 50");
    scene.send(PORT, 400_000, 100_000);
    scene.settle();
    let flow = scene.flow(5_000);
    let mut asked: Vec<Child> = (0..QUESTIONS).map(|_| runaway(&scene)).collect();
    // rows go on to be taken and found, between the questions that run
    let before = scene.counted();
    scene.send(MARKER, 10, 0);
    scene.wait_for_rows(&format!("dport:{MARKER}"), 10, PATIENCE);
    wait_until("more packets", PATIENCE, || Ok((scene.counted() > before).then_some(()))).unwrap();
    // half of those who asked go away
    for child in asked.iter_mut().take(QUESTIONS / 2) {
        let _ = child.kill();
    }
    // the others are answered or told that it is too much; none hangs
    for mut child in asked {
        wait_until("the end of a question", PATIENCE, || Ok(child.try_wait()?)).unwrap();
    }
    flow.end();
    scene.alive();
    let server = scene.server.running().unwrap().id();
    let peak = peak_megabytes(server);
    assert!(peak < MEMORY, "{peak} MB");
    let figures = scene.exact();
    assert_eq!(figures.ledger, 0, "{:?}", scene.server.losses());
}
