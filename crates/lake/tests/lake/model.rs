//! Random appends, resends, commits, checkpoints, collections, faults and crashes against a model that is a
//! list of numbers.

use crate::support::{
    Fault, FaultyDisk, NOW, append, batch_id, expected, keys, open_with, options, scratch, stream,
};
use bartizan_lake::{Append, Probe, Table};
use bartizan_model::{Micros, Seq};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const STREAMS: u8 = 3;

#[derive(Debug, Clone)]
enum Act {
    /// The next batch of a stream.
    Send(u8),
    /// A batch that was sent before.
    Resend(u8, u64),
    Commit,
    Checkpoint,
    Collect,
    /// A step from now fails once.
    Fail(u64),
    /// A step from now is the last; then a commit; perhaps the power goes as well; then a new start.
    Crash {
        at: u64,
        power: bool,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..STREAMS).prop_map(Act::Send),
        2 => (0..STREAMS, 1..6_u64).prop_map(|(n, back)| Act::Resend(n, back)),
        4 => Just(Act::Commit),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Collect),
        2 => (1..16_u64).prop_map(Act::Fail),
        2 => (1..20_u64, any::<bool>()).prop_map(|(at, power)| Act::Crash { at, power }),
    ]
}

/// What must be true: how many batches of each stream were sent, and how many acknowledged.
#[derive(Debug, Default, Clone)]
struct Model {
    sent: [u64; STREAMS as usize],
    acked: [u64; STREAMS as usize],
}

impl Model {
    fn see(&mut self, table: &Table) {
        for n in 0..STREAMS {
            let (mark, now) = (&mut self.acked[usize::from(n)], table.committed(&stream(n)));
            assert!(now.0 >= *mark, "L2: an acknowledgement was taken back");
            *mark = now.0;
        }
    }

    fn expected(&self) -> std::collections::BTreeSet<crate::support::Key> {
        let all: Vec<_> = (0..STREAMS).map(|n| (n, self.sent[usize::from(n)])).collect();
        expected(&all)
    }
}

async fn start(root: &Path) -> (Table, Arc<FaultyDisk>) {
    let disk = FaultyDisk::new(None);
    (open_with(root, Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await.unwrap(), disk)
}

async fn run(acts: Vec<Act>) {
    let dir = scratch();
    let (mut table, mut disk) = start(dir.path()).await;
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Send(n) => {
                let sent = &mut model.sent[usize::from(n)];
                *sent += 1;
                assert_eq!(append(&table, batch_id(n, *sent)), Append::Appended);
            }
            Act::Resend(n, back) => {
                let seq = model.sent[usize::from(n)].saturating_sub(back);
                assert_eq!(append(&table, batch_id(n, seq)), Append::Duplicate);
            }
            Act::Commit => {
                if table.commit(NOW).await.is_ok() {
                    assert!(
                        (0..STREAMS).all(|n| table.committed(&stream(n)).0 == model.sent[usize::from(n)])
                    );
                }
            }
            Act::Checkpoint => {
                let _ = table.checkpoint().await;
            }
            Act::Collect => {
                let _ = table.collect(Micros(i64::MAX / 2)).await;
            }
            Act::Fail(at) => disk.arm(Some((at, Fault::Fail(5)))),
            Act::Crash { at, power } => {
                disk.arm(Some((at, Fault::DieBefore)));
                let _ = table.commit(NOW).await;
                model.see(&table);
                disk.kill();
                if power {
                    disk.cut_power();
                }
                (table, disk) = start(dir.path()).await;
                model.see(&table);
                // The senders send again what was not acknowledged.
                for n in 0..STREAMS {
                    for seq in model.acked[usize::from(n)] + 1..=model.sent[usize::from(n)] {
                        assert_eq!(append(&table, batch_id(n, seq)), Append::Appended);
                    }
                }
            }
        }
        model.see(&table);
        assert_eq!(keys(&table).await, model.expected());
    }
    disk.arm(None);
    table.commit(NOW).await.unwrap();
    let (table, _) = start(dir.path()).await;
    assert_eq!(keys(&table).await, model.expected());
    for n in 0..STREAMS {
        assert_eq!(table.committed(&stream(n)), Seq(model.sent[usize::from(n)]));
    }
}

#[test]
fn a_list_of_numbers_says_the_same() {
    let cases = if std::env::var_os("BARTIZAN_SOAK").is_some() { 3000 } else { 48 };
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let acts = proptest::collection::vec(act(), 1..40);
    runner
        .run(&acts, |acts| {
            runtime.block_on(run(acts));
            Ok(())
        })
        .unwrap();
}
