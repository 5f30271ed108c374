//! One history, with a crash or a failure at each single operation of the file system in turn (F01, F02, F03, F07).

use crate::model_fs::{EDQUOT, EIO, ENOSPC, Failure, ModelFs};
use crate::world::{self, Step, World};
use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{Config, Head, Item, Op, Spool};
use std::time::Instant;

/// Fills, syncs, reads, acknowledges, drops, restarts: touches every path once.
fn history() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..3_usize {
        for i in 0..6 {
            steps.push(Step::Append(40 + 60 * i + round));
            if i % 2 == 1 {
                steps.push(Step::Sync);
            }
        }
        steps.extend([
            Step::Read(4),
            Step::Commit(3),
            Step::Ack,
            Step::Sync,
            Step::Append(200),
            Step::Append(250),
        ]);
        steps.extend([Step::Sync, Step::DropOldest, Step::Append(100), Step::DropOldest, Step::Sync]);
        steps.extend([Step::Read(3), Step::Commit(9), Step::Ack]);
        if round == 1 {
            steps.push(Step::Kill);
        }
    }
    steps
}

fn run(world: &mut World) {
    for step in history() {
        if !world.take(&step) {
            return;
        }
    }
}

fn operations() -> u64 {
    let mut world = World::new(world::config(), 1);
    run(&mut world);
    let ops = world.fs.ops();
    world.drain_and_check();
    ops
}

#[test]
fn a_crash_at_any_operation_loses_nothing_durable() {
    let ops = operations();
    assert!(ops > 100, "{ops}");
    for at in 1..=ops {
        for seed in 0..u64::from(crate::soak(6, 500)) {
            let mut world = World::new(world::config(), seed);
            if at <= world.fs.ops() {
                continue;
            }
            world.fs.crash_at(Some(at));
            let history = history();
            for step in &history {
                // A planned restart is no longer planned once a crash is: it would hide it.
                if !matches!(step, Step::Kill) && !world.take(step) {
                    break;
                }
            }
            world.close();
            if seed == 0 {
                world.fs.kill()
            } else {
                world.fs.power_cut(seed)
            }
            world.open();
            for step in history.iter().take(12) {
                world.take(step);
            }
            world.drain_and_check();
        }
    }
}

#[test]
fn a_failure_at_any_operation_leaves_the_state_consistent_and_is_got_over() {
    for wait in 0..operations() as u32 {
        for (errno, times) in [(ENOSPC, 1), (EDQUOT, 3), (EIO, 1), (EIO, 2), (ENOSPC, 12)] {
            let mut world = World::new(world::config(), u64::from(wait));
            world.fs.fail(Some(Failure { wait, times, errno }));
            run(&mut world);
            // F07: once there is space again, the next append and sync work.
            world.drain();
            world.take(&Step::Append(10));
            world.drain_and_check();
        }
    }
}

/// F08: a sector that cannot be read is reported, then given up as damage; the lane goes on behind it.
#[test]
fn f08_a_bad_sector_does_not_stop_the_lane() {
    let config = Config { segment_bytes: 40_000, budget_bytes: 400_000, ..world::config() };
    let fs = ModelFs::new(7);
    let open = |epoch| Spool::open(config.clone(), fs.clone(), Epoch(epoch), Instant::now()).unwrap().0;
    let mut spool = open(1);
    let head = Head { kind: Kind::Events, weight: 5, note: b"note" };
    for i in 0..30 {
        spool.append(head, &[i; 3000], Instant::now()).unwrap();
    }
    spool.sync(Instant::now()).unwrap();
    for (bad, epoch) in [(9_500, 2), (70, 3), (10, 4), (39_000, 5)] {
        fs.set_bad_byte(Some(bad));
        // Opening scans the last segment, which has a bad sector too.
        drop(spool);
        spool = open(epoch);
        let (mut after, mut weight, mut errors, mut lost) = (Seq::ZERO, 0, 0, 0);
        while after < Seq(30) {
            // What cannot be made durable again is not read before it is.
            if after == spool.durable() {
                fs.set_bad_byte(None);
                spool.sync(Instant::now()).unwrap();
            }
            match spool.read(after) {
                Ok(Some(item)) => {
                    after = item.last();
                    weight += item.weight();
                    if let Item::Hole(hole) = item {
                        lost += hole.last.0.min(30) - hole.first.0 + 1;
                    }
                }
                Ok(None) => panic!("nothing after {after:?}"),
                Err(error) => {
                    assert_eq!(error.op, Op::Read);
                    errors += 1;
                    assert!(errors < 30, "bad byte {bad}: it stands still at {after:?}");
                }
            }
        }
        // The newest record of all may be beyond counting; the numbers then stay above it.
        let counted = weight == 30 * 5 || (weight == 29 * 5 && spool.last() > Seq(30));
        assert!(counted, "bad byte {bad}: {weight}");
        assert!(lost <= 9, "bad byte {bad}: {lost} records lost");
        assert!(errors > 0 || bad == 10, "bad byte {bad}");
    }
}
