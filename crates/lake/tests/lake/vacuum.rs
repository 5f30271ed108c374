//! F38: removed files are deleted when nobody needs them any more, wherever the process or the power ends.

use crate::support::{
    Fault, FaultyDisk, NOW, append, batch_id, expected, keys, open, open_with, options, scratch,
};
use bartizan_lake::{DataFile, Options, Probe, Problem, Rewrite, Table};
use bartizan_model::Micros;
use std::path::Path;
use std::sync::Arc;

/// Past the grace of removed files.
fn later() -> Micros {
    Micros(NOW.0 + Options::default().removed_age)
}

/// A table with the batches 1..=4 in four files.
async fn filled(root: &Path) -> Table {
    let table = open(root).await;
    for seq in 1..=4 {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
    }
    table
}

async fn remove(table: &Table, file: &Arc<DataFile>) -> Result<i64, bartizan_lake::LakeError> {
    let rewrite = Rewrite {
        operation: "DELETE",
        removed: vec![Arc::clone(file)],
        added: Vec::new(),
        data_change: true,
    };
    table.rewrite(rewrite, NOW).await
}

fn first_two(table: &Table) -> Vec<Arc<DataFile>> {
    table.view().files.iter().take(2).cloned().collect()
}

fn is_there(root: &Path, file: &DataFile) -> bool {
    root.join(file.path().as_ref()).exists()
}

#[tokio::test]
async fn a_removed_file_stays_as_long_as_somebody_may_read_it() {
    let dir = scratch();
    let table = filled(dir.path()).await;
    let files = first_two(&table);
    let view = table.view();
    remove(&table, &files[0]).await.unwrap();
    let just_before = Micros(later().0 - 1000);
    assert_eq!(table.collect(just_before).await.unwrap().removed_files, 0);
    for file in view.files.iter() {
        table.read(file).await.unwrap();
    }
    assert_eq!(table.removed(just_before).await.unwrap(), (1, 0));

    let pin = table.pin();
    assert_eq!(table.collect(later()).await.unwrap().removed_files, 0, "pinned");
    drop(pin);
    table.hold("sink", 1);
    assert_eq!(table.removed(later()).await.unwrap(), (1, 0));
    assert_eq!(
        table.collect(later()).await.unwrap().removed_files,
        0,
        "entry 1, which named it, is followed"
    );
    table.hold("sink", 2);
    assert_eq!(table.removed(later()).await.unwrap(), (1, 1));
    assert!(is_there(dir.path(), &files[0]));
    let collected = table.collect(later()).await.unwrap();
    assert_eq!((collected.removed_files, collected.bytes), (1, files[0].size()));
    assert!(!is_there(dir.path(), &files[0]) && is_there(dir.path(), &files[1]));
    assert_eq!(table.removed(later()).await.unwrap(), (0, 0));
    assert_eq!(keys(&table).await.len(), 9);

    // After a start the log still names it as removed, until a checkpoint does not.
    let table = open(dir.path()).await;
    assert_eq!(table.removed(later()).await.unwrap(), (1, 1));
    assert_eq!(table.collect(later()).await.unwrap().removed_files, 0, "it is gone already");
    table.checkpoint().await.unwrap();
    let table = open(dir.path()).await;
    assert_eq!(table.removed(later()).await.unwrap(), (0, 0));
    assert_eq!(table.verify(true).await.unwrap(), []);
}

/// Removes two files in an entry each, deletes them, and writes a checkpoint.
async fn vacuum(table: &Table, files: &[Arc<DataFile>]) -> Result<(), bartizan_lake::LakeError> {
    for file in files {
        remove(table, file).await?;
    }
    table.collect(later()).await?;
    table.checkpoint().await?;
    table.collect(later()).await.map(|_| ())
}

#[tokio::test]
async fn whatever_step_is_the_last_no_row_is_lost_and_removed_files_go() {
    let (dir, disk) = (scratch(), FaultyDisk::new_with_deletions(None));
    filled(dir.path()).await;
    let table = open_with(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await.unwrap();
    disk.arm(None);
    vacuum(&table, &first_two(&table)).await.unwrap();
    let steps = disk.steps();
    assert!(steps > 15, "{steps}");
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    for at in 1..=steps {
        for fault in [Fault::DieBefore, Fault::DieAfter, Fault::Fail(EIO), Fault::Fail(ENOSPC)] {
            for power in [false, true] {
                let what = format!("{fault:?} at {at} of {steps}, power cut: {power}");
                let (dir, disk) = (scratch(), FaultyDisk::new_with_deletions(None));
                let files = first_two(&filled(dir.path()).await);
                let probe = Arc::clone(&disk) as Arc<dyn Probe>;
                let table = open_with(dir.path(), Some(probe), options()).await.unwrap();
                disk.arm(Some((at, fault)));
                let _ = vacuum(&table, &files).await;
                disk.kill();
                if power {
                    disk.cut_power();
                }
                let table = open(dir.path()).await;
                let there = keys(&table).await;
                let whole: Vec<_> = (1..=4).filter(|seq| there.iter().any(|k| k.1 == *seq)).collect();
                assert_eq!(there.len(), whole.len() * 3, "{what}");
                assert!(whole.contains(&3) && whole.contains(&4), "{what}");
                let problems = table.verify(true).await.unwrap();
                assert!(problems.iter().all(Problem::is_harmless), "{what}: {problems:?}");
                // Done again, it comes to the same end.
                for file in files.iter().filter(|f| table.view().files.iter().any(|g| g.path() == f.path())) {
                    remove(&table, file).await.unwrap();
                }
                table.collect(later()).await.unwrap();
                assert!(!files.iter().any(|f| is_there(dir.path(), f)), "{what}");
                let rest: Vec<_> = expected(&[(1, 4)]).into_iter().filter(|k| k.1 > 2).collect();
                assert!(keys(&table).await.into_iter().eq(rest), "{what}");
                assert_eq!(table.verify(true).await.unwrap().iter().filter(|p| !p.is_harmless()).count(), 0);
            }
        }
    }
}
