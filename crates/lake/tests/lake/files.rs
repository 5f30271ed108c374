//! F39: log and files that do not fit each other; checkpoints and collecting.

use crate::support::{
    NOW, append, batch_id, expected, keys, keys_of, open, open_with, options, scratch, stream,
};
use bartizan_lake::{Append, ErrorKind, LakeError, Options, Problem};
use bartizan_model::{Micros, Seq};
use std::sync::Arc;

#[tokio::test]
async fn a_missing_file_is_named_and_the_rest_stays_readable() {
    let dir = scratch();
    let table = open(dir.path()).await;
    for seq in 1..=3 {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
    }
    let files: Vec<_> = table.view().files.iter().cloned().collect();
    std::fs::remove_file(dir.path().join(files[1].path().as_ref())).unwrap();

    let table = open(dir.path()).await;
    let error = table.read(&files[1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains(files[1].path().as_ref()), "{error}");
    let mut rest = Vec::new();
    for file in [&files[0], &files[2]] {
        table.read(file).await.unwrap().iter().for_each(|b| keys_of(b, &mut rest));
    }
    assert_eq!(rest.len(), 6);
    let missing = Problem::Missing { path: files[1].path().clone(), rows: Some(3) };
    assert_eq!(table.verify(true).await.unwrap(), [missing]);

    // A decision by hand takes it out of the log; the marks stay.
    assert_eq!(table.forget_missing(NOW).await.unwrap(), [Arc::clone(&files[1])]);
    for table in [table, open(dir.path()).await] {
        assert_eq!(table.verify(true).await.unwrap(), []);
        assert_eq!(keys(&table).await.len(), 6);
        assert_eq!(append(&table, batch_id(1, 2)), Append::Duplicate);
    }
}

#[tokio::test]
async fn files_ahead_of_the_log_are_reported_and_not_touched() {
    let dir = scratch();
    let table = open(dir.path()).await;
    for seq in 1..=3 {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
    }
    // A backup of the log that is older than the files.
    std::fs::remove_file(dir.path().join("events/_delta_log/00000000000000000003.json")).unwrap();
    let table = open(dir.path()).await;
    assert_eq!(keys(&table).await, expected(&[(1, 2)]));
    let problems = table.verify(true).await.unwrap();
    assert!(matches!(problems.as_slice(), [Problem::Unnamed { .. }]), "{problems:?}");
    let later = Micros(i64::MAX / 2);
    assert_eq!(table.collect(later).await.unwrap().data_files, 0, "seen for the first time");
    assert_eq!(table.verify(false).await.unwrap().len(), 1);
    // The sender still has the batch, because it was not acknowledged by this log.
    assert_eq!(append(&table, batch_id(1, 3)), Append::Appended);
    table.commit(NOW).await.unwrap();
    assert_eq!(keys(&table).await, expected(&[(1, 3)]));
    // Only what has been seen unnamed for a week goes.
    let week = Options::default().orphan_age;
    assert_eq!(table.collect(Micros(later.0 + week - 1)).await.unwrap().data_files, 0);
    assert_eq!(table.collect(Micros(later.0 + week)).await.unwrap().data_files, 1);
    assert_eq!(table.verify(true).await.unwrap(), []);
    assert_eq!(keys(&table).await, expected(&[(1, 3)]));
}

#[tokio::test]
async fn damaged_files_are_found() {
    let dir = scratch();
    let table = open(dir.path()).await;
    for seq in 1..=2 {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
    }
    let files: Vec<_> = table.view().files.iter().cloned().collect();
    let on_disk = |i: usize| dir.path().join(files[i].path().as_ref());
    std::fs::write(on_disk(0), "short").unwrap();
    let mut bytes = std::fs::read(on_disk(1)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(on_disk(1), bytes).unwrap();
    std::fs::write(dir.path().join("events/notes.txt"), "not ours").unwrap();
    let problems = table.verify(true).await.unwrap();
    assert!(matches!(problems[0], Problem::WrongSize { found: 5, .. }), "{problems:?}");
    assert!(matches!(problems[1], Problem::WrongChecksum { .. }), "{problems:?}");
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[tokio::test]
async fn a_start_from_a_checkpoint_is_the_same_as_from_the_beginning() {
    let dir = scratch();
    let table = open_with(dir.path(), None, Options { checkpoint_every: 5, ..options() }).await.unwrap();
    let mut version = table.watch();
    for seq in 1..=23 {
        append(&table, batch_id((seq % 3) as u8, seq));
        let committed = table.commit(NOW).await.unwrap().unwrap();
        assert_eq!(*version.borrow_and_update(), committed.version);
    }
    let log = dir.path().join("events/_delta_log");
    let checkpoints = || {
        let names = std::fs::read_dir(&log).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n.ends_with(".checkpoint.parquet")).count()
    };
    // They are written beside the commits; wait for the work, not for a time.
    while checkpoints() == 0 || !log.join("_last_checkpoint").exists() {
        tokio::task::yield_now().await;
    }
    table.checkpoint().await.unwrap();
    append(&table, batch_id(1, 24));
    table.commit(NOW).await.unwrap();
    let (all, marks) = (keys(&table).await, [0, 1, 2].map(|n| table.committed(&stream(n))));
    assert_eq!(all.len(), 72);

    let again = open(dir.path()).await;
    assert_eq!(keys(&again).await, all);
    assert_eq!([0, 1, 2].map(|n| again.committed(&stream(n))), marks);
    // Entries that two checkpoints cover go when they are old, and nothing changes by that.
    again.checkpoint().await.unwrap();
    assert_eq!(again.collect(NOW).await.unwrap().log_files, 0, "too young");
    assert!(again.collect(Micros(i64::MAX / 2)).await.unwrap().log_files > 10);
    let last = open(dir.path()).await;
    assert_eq!(keys(&last).await, all);
    assert_eq!([0, 1, 2].map(|n| last.committed(&stream(n))), marks);
    assert_eq!(last.verify(true).await.unwrap(), []);
    assert_eq!(append(&last, batch_id(2, 2)), Append::Duplicate);
    assert_eq!(append(&last, batch_id(2, 24)), Append::Appended);
}

#[tokio::test]
async fn memory_is_bounded_and_a_commit_makes_room() {
    let dir = scratch();
    let table = open_with(dir.path(), None, Options { hot_limit: 250, ..options() }).await.unwrap();
    assert_eq!(append(&table, batch_id(1, 1)), Append::Appended);
    assert_eq!(append(&table, batch_id(1, 2)), Append::Appended);
    assert_eq!(append(&table, batch_id(1, 3)), Append::Busy);
    assert_eq!(table.received(&stream(1)), Seq(2));
    let waiting = tokio::spawn({
        let table = table.clone();
        async move { table.room(100).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    table.commit(NOW).await.unwrap();
    waiting.await.unwrap();
    assert_eq!(append(&table, batch_id(1, 3)), Append::Appended);
    // A batch that is larger than the limit is taken when nothing else is there.
    table.commit(NOW).await.unwrap();
    let rows = crate::support::rows_at(bartizan_model::Kind::Events, batch_id(1, 4), &[NOW.0], NOW);
    assert_eq!(table.append(batch_id(1, 4), vec![rows], 1_000_000, NOW).unwrap(), Append::Appended);
}

#[tokio::test]
async fn a_table_of_a_newer_protocol_is_left_alone() {
    let dir = scratch();
    drop(open(dir.path()).await);
    let entry = dir.path().join("events/_delta_log/00000000000000000001.json");
    std::fs::write(&entry, "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7}}\n").unwrap();
    let error = open_with(dir.path(), None, options()).await.unwrap_err();
    assert!(matches!(error, LakeError::Unsupported { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn wrong_rows_are_refused_and_empty_batches_move_the_mark() {
    let dir = scratch();
    let table = open(dir.path()).await;
    let losses = crate::support::rows_at(bartizan_model::Kind::Losses, batch_id(1, 1), &[NOW.0], NOW);
    assert_eq!(table.append(batch_id(1, 1), vec![losses], 1, NOW).unwrap_err().kind(), ErrorKind::BadRows);
    let rows =
        crate::support::rows_at(bartizan_model::Kind::Events, batch_id(1, 1), &[NOW.0], Micros(i64::MAX));
    assert_eq!(table.append(batch_id(1, 1), vec![rows], 1, NOW).unwrap_err().kind(), ErrorKind::BadRows);
    assert_eq!(table.append(batch_id(1, u64::MAX), vec![], 1, NOW).unwrap_err().kind(), ErrorKind::BadRows);
    assert_eq!(table.append(batch_id(1, 0), vec![], 1, NOW).unwrap(), Append::Duplicate);
    assert_eq!(table.append(batch_id(1, 1), vec![], 1, NOW).unwrap(), Append::Appended);
    let committed = table.commit(NOW).await.unwrap().unwrap();
    assert_eq!((committed.rows, committed.files, committed.batches), (0, 0, 1));
    assert_eq!(open(dir.path()).await.committed(&stream(1)), Seq(1));
    assert_eq!(table.commit(NOW).await.unwrap(), None);
}
