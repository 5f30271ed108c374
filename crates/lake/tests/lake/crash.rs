//! F30, F38: the process or the power ends at every step of append, commit and checkpoint.

use crate::support::{
    Fault, FaultyDisk, append, batch_id, expected, keys, open, open_with, options, scratch, stream,
};
use bartizan_lake::{Append, ErrorKind, LakeError, Probe, Table};
use bartizan_model::Seq;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const LAST: u64 = 4;
const STREAMS: [u8; 2] = [1, 2];

/// Sends four batches of two streams, with commits and a checkpoint between them, as far as the disk lets it.
/// Notes what was acknowledged.
async fn send(table: &Table, acked: &mut BTreeMap<u8, Seq>) -> Result<(), LakeError> {
    for seq in 1..=LAST {
        for n in STREAMS {
            if append(table, batch_id(n, seq)) == Append::Appended && seq % 2 == u64::from(n % 2) {
                commit(table, acked).await?;
            }
        }
        if seq == 2 {
            table.checkpoint().await?;
        }
    }
    commit(table, acked).await
}

async fn commit(table: &Table, acked: &mut BTreeMap<u8, Seq>) -> Result<(), LakeError> {
    let done = table.commit(crate::support::NOW).await.map(|_| ());
    for n in STREAMS {
        acked.insert(n, table.committed(&stream(n)));
    }
    done
}

async fn resend_all_and_check(root: &Path, acked: &BTreeMap<u8, Seq>, what: &str) {
    let table = open(root).await;
    for (n, seq) in acked {
        assert!(table.committed(&stream(*n)) >= *seq, "L2: {what}: acknowledged, and gone");
    }
    let before = keys(&table).await;
    for (n, seq) in acked {
        assert!(before.is_superset(&expected(&[(*n, seq.0)])), "L2: {what}: acknowledged rows are gone");
    }
    for seq in 1..=LAST {
        for n in STREAMS {
            let known = Seq(seq) <= table.received(&stream(n));
            let answer = append(&table, batch_id(n, seq));
            assert_eq!(answer == Append::Duplicate, known, "{what}: {n}/{seq}");
        }
    }
    table.commit(crate::support::NOW).await.unwrap();
    let all = expected(&[(1, LAST), (2, LAST)]);
    assert_eq!(keys(&table).await, all, "{what}");
    // And once more after another start, a week later.
    let table = open(root).await;
    for n in STREAMS {
        assert_eq!(append(&table, batch_id(n, LAST)), Append::Duplicate, "{what}");
    }
    assert_eq!(keys(&table).await, all, "{what}");
    assert!(
        table.verify(true).await.unwrap().iter().all(|p| matches!(p, bartizan_lake::Problem::Unnamed { .. }))
    );
}

async fn steps_of_a_whole_run() -> u64 {
    let (dir, disk) = (scratch(), FaultyDisk::new(None));
    let table = open_with(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await.unwrap();
    send(&table, &mut BTreeMap::new()).await.unwrap();
    disk.steps()
}

#[tokio::test]
async fn whatever_step_is_the_last_every_row_is_there_once() {
    let steps = steps_of_a_whole_run().await;
    assert!(steps > 50, "{steps}");
    for at in 1..=steps {
        for fault in [Fault::DieBefore, Fault::DieAfter] {
            for power in [false, true] {
                let what = format!("{fault:?} step {at} of {steps}, power cut: {power}");
                let (dir, disk) = (scratch(), FaultyDisk::new(Some((at, fault))));
                let mut acked = BTreeMap::new();
                if let Ok(table) =
                    open_with(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await
                {
                    let _ = send(&table, &mut acked).await;
                }
                disk.kill();
                if power {
                    disk.cut_power();
                }
                resend_all_and_check(dir.path(), &acked, &what).await;
            }
        }
    }
}

/// The process dies between naming an entry and syncing its folder, another one starts, believes the entry and
/// acknowledges; only then the power goes.
#[tokio::test]
async fn an_entry_found_at_the_start_is_made_durable_before_it_counts() {
    let steps = steps_of_a_whole_run().await;
    for at in 1..=steps {
        let (dir, first) = (scratch(), FaultyDisk::new(Some((at, Fault::DieAfter))));
        let mut acked = BTreeMap::new();
        if let Ok(table) = open_with(dir.path(), Some(Arc::clone(&first) as Arc<dyn Probe>), options()).await
        {
            let _ = send(&table, &mut acked).await;
        }
        first.kill();
        let second = FaultyDisk::new(None);
        let table =
            open_with(dir.path(), Some(Arc::clone(&second) as Arc<dyn Probe>), options()).await.unwrap();
        for n in STREAMS {
            acked.insert(n, table.committed(&stream(n)));
        }
        // What the first left unsynced is lost unless the second has synced that folder since.
        second.cut_power();
        first.cut_power_except_synced_by(&second);
        resend_all_and_check(dir.path(), &acked, &format!("step {at}")).await;
    }
}

#[tokio::test]
async fn after_an_error_at_any_step_a_later_commit_works() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    let (dir, disk) = (scratch(), FaultyDisk::new(None));
    let table = open_with(dir.path(), Some(Arc::clone(&disk) as Arc<dyn Probe>), options()).await.unwrap();
    append(&table, batch_id(1, 1));
    table.commit(crate::support::NOW).await.unwrap();
    let mut seq = 1;
    for (at, errno) in (1..=12).flat_map(|at| [(at, EIO), (at, ENOSPC)]) {
        seq += 1;
        append(&table, batch_id(1, seq));
        disk.arm(Some((at, Fault::Fail(errno))));
        if let Err(error) = table.commit(crate::support::NOW).await {
            let kind = if errno == ENOSPC { ErrorKind::DiskFull } else { ErrorKind::Retry };
            assert_eq!(error.kind(), kind, "{error:?}");
            assert_eq!(table.committed(&stream(1)), Seq(seq - 1), "nothing is acknowledged");
            assert_eq!(table.hot().batches, 1, "the batch stays");
        }
        assert_eq!(keys(&table).await, expected(&[(1, seq)]), "readable all the time");
        disk.arm(None);
        table.commit(crate::support::NOW).await.unwrap();
        assert_eq!(table.committed(&stream(1)), Seq(seq));
        assert_eq!(keys(&table).await, expected(&[(1, seq)]), "step {at}");
    }
    assert!(!disk.is_dead());
    let problems = open(dir.path()).await.verify(true).await.unwrap();
    assert!(problems.iter().all(|p| matches!(p, bartizan_lake::Problem::Unnamed { .. })), "{problems:?}");
}

#[tokio::test]
async fn a_damaged_checkpoint_is_passed_over_and_a_damaged_entry_is_not() {
    let dir = scratch();
    let table = open(dir.path()).await;
    for seq in 1..=6 {
        append(&table, batch_id(1, seq));
        table.commit(crate::support::NOW).await.unwrap();
        if seq % 2 == 0 {
            table.checkpoint().await.unwrap();
        }
    }
    let log = dir.path().join("events/_delta_log");
    let file = |v: u64, end: &str| log.join(format!("{v:020}.{end}"));
    std::fs::write(file(6, "checkpoint.parquet"), "torn").unwrap();
    // Only the older checkpoint and the entries after it are needed.
    (0..=4).for_each(|v| std::fs::remove_file(file(v, "json")).unwrap());
    let again = open(dir.path()).await;
    assert_eq!(keys(&again).await, expected(&[(1, 6)]));
    assert_eq!(again.committed(&stream(1)), Seq(6));

    let text = std::fs::read_to_string(file(6, "json")).unwrap();
    for bad in ["", "{\"add\":", &text[..text.len() / 2]] {
        std::fs::write(file(6, "json"), bad).unwrap();
        let error = open_with(dir.path(), None, options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("entry 6"), "{error}");
    }
    std::fs::write(file(6, "json"), &text).unwrap();
    std::fs::remove_file(file(5, "json")).unwrap();
    let error = open_with(dir.path(), None, options()).await.unwrap_err();
    assert!(matches!(error, LakeError::Gap { version: 5, .. }), "{error}");
}
