//! F39: what does not fit is found, named and, where it can be, mended.

use crate::support::{NOW, append, append_at, batch_id, keys, open, scratch, stream};
use bartizan_lake::{DataFile, LakeError, Problem, Rewrite, Table};
use bartizan_model::{Micros, Seq};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

async fn filled(root: &Path, batches: u64) -> Table {
    let table = open(root).await;
    for seq in 1..=batches {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
    }
    table
}

/// Writes an entry as a broken or hostile writer might.
fn forge(root: &Path, version: i64, actions: &str) {
    fs::write(root.join(format!("events/_delta_log/{version:020}.json")), actions).unwrap();
}

fn add(path: &str, size: u64, rows: u64) -> String {
    format!(
        r#"{{"add":{{"path":"{path}","partitionValues":{{"date":"2026-11-23"}},"size":{size},"modificationTime":1,"dataChange":true,"stats":"{{\"numRecords\":{rows}}}"}}}}"#
    )
}

fn files(table: &Table) -> Vec<Arc<DataFile>> {
    table.view().files.iter().cloned().collect()
}

#[tokio::test]
async fn damaged_files_are_named_and_taken_out_on_request() {
    let dir = scratch();
    let table = filled(dir.path(), 4).await;
    let files = files(&table);
    let on_disk = |i: usize| dir.path().join(files[i].path().as_ref());
    // One bit in the middle of a page, so that the footer is whole.
    let mut flipped = fs::read(on_disk(0)).unwrap();
    flipped[300] ^= 4;
    fs::write(on_disk(0), &flipped).unwrap();
    let whole = fs::read(on_disk(1)).unwrap();
    fs::write(on_disk(1), &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(on_disk(2)).unwrap();

    let table = open(dir.path()).await;
    let found = table.examine(true, |_| {}).await.unwrap();
    assert_eq!((found.files, found.rows, found.checked, found.batches), (4, 12, 2, 1));
    let words: BTreeSet<_> = found.problems.iter().map(|p| (p.word(), p.path().cloned())).collect();
    let path = |i: usize| Some(files[i].path().clone());
    let expected = [("wrong-checksum", path(0)), ("wrong-size", path(1)), ("missing", path(2))];
    assert_eq!((found.problems.len(), words), (3, BTreeSet::from(expected)));

    let taken = table.repair(&found.problems, NOW).await.unwrap();
    assert_eq!(taken.len(), 3);
    for table in [table, open(dir.path()).await] {
        assert_eq!(table.verify(true).await.unwrap(), []);
        assert_eq!(keys(&table).await.len(), 3);
        assert_eq!(table.committed(&stream(1)), Seq(4), "nothing is asked for again");
        assert_eq!(table.examine(false, |_| {}).await.unwrap().removed_rows, 9);
    }
    let kept = dir.path().join("events/_damaged").join(files[0].path().filename().unwrap());
    assert_eq!(fs::read(kept).unwrap(), flipped, "what is left of it is kept");
}

#[tokio::test]
async fn a_row_that_is_there_twice_is_found() {
    let dir = scratch();
    let table = filled(dir.path(), 2).await;
    let file = &files(&table)[0];
    let copy = format!("date=2026-11-23/part-{}.parquet", "00000000-0000-4000-8000-000000000001");
    fs::copy(dir.path().join(file.path().as_ref()), dir.path().join("events").join(&copy)).unwrap();
    forge(dir.path(), 3, &add(&copy, file.size(), 3));
    let table = open(dir.path()).await;
    let problems = table.verify(true).await.unwrap();
    let [Problem::Twice { stream: of, seq: 1, rows: 3, .. }] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!(*of, stream(1).to_string());
    assert_eq!(table.verify(false).await.unwrap(), [], "the log alone does not show it");
}

#[tokio::test]
async fn rows_that_are_missing_inside_a_batch_are_found_unless_they_were_removed() {
    let (n, day) = (NOW.0, Micros::DAY);
    for on_purpose in [true, false] {
        let dir = scratch();
        let table = open(dir.path()).await;
        append_at(&table, batch_id(1, 1), &[n, n - day, n + 1]);
        table.commit(NOW).await.unwrap();
        let file = files(&table).into_iter().find(|f| f.day() == Some(NOW.day() - 1)).unwrap();
        if on_purpose {
            let rewrite =
                Rewrite { operation: "DELETE", removed: vec![file], added: vec![], data_change: true };
            table.rewrite(rewrite, NOW).await.unwrap();
            assert_eq!(table.verify(true).await.unwrap(), []);
        } else {
            let path = file.path().as_ref().strip_prefix("events/").unwrap();
            forge(dir.path(), 2, &format!(r#"{{"remove":{{"path":"{path}","deletionTimestamp":1}}}}"#));
            let problems = open(dir.path()).await.verify(true).await.unwrap();
            let first = (stream(1).to_string(), 1);
            assert_eq!(problems, [Problem::Gaps { rows: 1, removed: 0, first }]);
        }
    }
}

#[tokio::test]
async fn rows_above_their_mark_and_wrong_counts_are_found() {
    let (dir, other) = (scratch(), scratch());
    let table = filled(other.path(), 2).await;
    let file = files(&table)[1].clone();
    filled(dir.path(), 1).await;
    let to = dir.path().join(file.path().as_ref());
    fs::copy(other.path().join(file.path().as_ref()), to).unwrap();
    forge(dir.path(), 2, &add(file.path().as_ref().strip_prefix("events/").unwrap(), file.size(), 4));
    let problems = open(dir.path()).await.verify(true).await.unwrap();
    let path = file.path().clone();
    assert_eq!(
        problems,
        [
            Problem::WrongRows { path, expected: 4, found: 3 },
            Problem::AheadOfMark { stream: stream(1).to_string(), seq: 2, mark: 1 }
        ]
    );
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_found() {
    let dir = scratch();
    let table = filled(dir.path(), 3).await;
    fs::remove_file(dir.path().join("events/_delta_log/00000000000000000003.json")).unwrap();
    let problems = table.verify(false).await.unwrap();
    assert!(matches!(problems.as_slice(), [Problem::Log { reason }] if reason.contains("last entry is 2")));
}

#[tokio::test]
async fn an_entry_that_says_it_changes_no_rows_must_not() {
    let dir = scratch();
    let table = filled(dir.path(), 2).await;
    let removed = vec![files(&table)[0].clone()];
    let rewrite = Rewrite { operation: "OPTIMIZE", removed, added: vec![], data_change: false };
    let error = table.rewrite(rewrite, NOW).await.unwrap_err();
    assert!(matches!(error, LakeError::Rows { .. }), "{error}");
    assert_eq!(keys(&table).await.len(), 6);
}

#[tokio::test]
async fn a_note_on_a_file_that_is_gone_does_not_bring_it_back() {
    let dir = scratch();
    let table = filled(dir.path(), 2).await;
    let file = files(&table)[0].clone();
    let noted = (*file).clone().with_tag("test", "1");
    let note =
        || Rewrite { operation: "WRITE", removed: vec![], added: vec![noted.clone()], data_change: false };
    table.rewrite(note(), NOW).await.unwrap();
    let read = open(dir.path()).await;
    for table in [&table, &read] {
        assert!(table.view().files.iter().any(|f| f.tag("test") == Some("1")));
        assert_eq!(keys(table).await.len(), 6);
    }
    let removed = vec![file];
    let rewrite = Rewrite { operation: "DELETE", removed, added: vec![], data_change: true };
    table.rewrite(rewrite, NOW).await.unwrap();
    let error = table.rewrite(note(), NOW).await.unwrap_err();
    assert!(matches!(error, LakeError::Replaced { .. }), "{error}");
    assert_eq!(keys(&table).await.len(), 3);
}
