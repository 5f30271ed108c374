//! Random histories against the ideal model (F01, F02, F03, F07, F13).

use crate::world::{self, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn any_history_conserves_every_weight() {
    let cases = crate::soak(20_000, 2_000_000);
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
