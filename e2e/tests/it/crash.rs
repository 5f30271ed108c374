//! F01, F10, F30, F38: `kill -9` at any moment, again and again.

use crate::scene::{PORT, Scene, amount, possible};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn agent_and_server_are_killed_a_hundred_times_and_every_packet_is_there_once() {
    if !possible() {
        return;
    }
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::new("crash", "", "commit.age_ms = 200");
    scene.send(PORT, 10, 0);
    scene.settle();
    let start = Instant::now();
    let flow = scene.flow(5000);
    let kills = amount(100, 1000);
    for _ in 0..kills {
        // Often before everything is up again, sometimes long after.
        let longest = if random.random_bool(0.3) { 3000 } else { 600 };
        thread::sleep(Duration::from_millis(random.random_range(0..longest)));
        scene.alive();
        let (agent, server) = [(true, false), (false, true), (true, true)][random.random_range(0..3)];
        if agent {
            scene.agent.kill().unwrap();
        }
        if server {
            scene.server.kill().unwrap();
            scene.server.start().unwrap();
        }
        if agent {
            scene.agent.start(Some(&scene.netns)).unwrap();
        }
    }
    flow.end();
    scene.alive();
    eprintln!("{kills} kills in {:.0?}", start.elapsed());
    let figures = scene.exact();
    assert!(figures.rows > figures.counted / 10, "{figures:?}");
}
