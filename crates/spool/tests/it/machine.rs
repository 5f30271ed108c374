//! Random histories against the ideal model (F01, F02, F03, F07, F13).

use crate::world::{self, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn any_history_conserves_every_weight() {
    let cases = crate::soak(1_500, 200_000);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let histories = (any::<u64>(), proptest::collection::vec(world::step(), 1..80));
    runner
        .run(&histories, |(seed, steps)| {
            let mut world = World::new(world::config(), seed);
            for step in &steps {
                world.take(step);
            }
            world.drain_and_check();
            Ok(())
        })
        .unwrap();
}

#[test]
fn replay() {
    use crate::model_fs::Failure;
    use world::Step::*;
let steps = [Append(187), Append(0), Append(0), Append(0), Append(0), Append(50), Kill, Append(1), Append(297), Append(115), Commit(1), Read(1), Append(137), Fail(Failure { wait: 0, times: 1, errno: 5 }), Commit(1), Commit(1), Read(4), Fail(Failure { wait: 5, times: 3, errno: 5 }), Read(1), Append(151), Append(0), Append(0), Append(0), Append(27)];
    let mut world = World::new(world::config(), 0);
    for step in &steps {
        world.take(step);
        println!("{step:?} {:?}", world.spool);
    }
    world.drain_and_check();
}
