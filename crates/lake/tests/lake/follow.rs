//! Following the log: each row is in one entry, and the log is kept for whoever still reads it.

use crate::support::{Key, NOW, Place, append, batch_id, everywhere, expected, keys_of};
use bartizan_lake::{LakeError, Table};
use bartizan_model::Micros;
use std::collections::BTreeSet;

everywhere!(every_row_is_in_one_entry_and_in_one_piece the_log_is_kept_from_the_entry_that_is_read_next);

/// All rows of the entries from one on, each file in two halves as after a stop in the middle.
async fn follow(table: &Table, from: i64) -> BTreeSet<Key> {
    let mut keys = Vec::new();
    for version in from.. {
        let Some(files) = table.entry(version).await.unwrap() else { break };
        for file in files {
            let first = table.pieces(&file, 0, 2).await.unwrap().next().await.unwrap().unwrap();
            keys_of(&first, &mut keys);
            let mut rest = table.pieces(&file, first.num_rows(), 2).await.unwrap();
            while let Some(batch) = rest.next().await.unwrap() {
                keys_of(&batch, &mut keys);
            }
        }
    }
    let set: BTreeSet<Key> = keys.iter().cloned().collect();
    assert_eq!(set.len(), keys.len(), "a row is in two entries");
    set
}

async fn every_row_is_in_one_entry_and_in_one_piece(place: &Place) {
    let table = place.open().await;
    for seq in 1..=5 {
        append(&table, batch_id(1, seq));
        append(&table, batch_id(2, seq));
        table.commit(NOW).await.unwrap();
    }
    append(&table, batch_id(1, 6));
    let all = follow(&table, 0).await;
    assert_eq!(all, expected(&[(1, 5), (2, 5)]), "what is hot is in no entry yet");
    let version = table.view().version;
    table.commit(NOW).await.unwrap();
    assert_eq!(follow(&table, version + 1).await.len(), 3);
    assert_eq!(follow(&place.open().await, 0).await.len(), 33);
}

async fn the_log_is_kept_from_the_entry_that_is_read_next(place: &Place) {
    let table = place.open().await;
    table.hold("copy", 0);
    table.hold("other", 4);
    for seq in 1..=6 {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
        table.checkpoint().await.unwrap();
    }
    let later = Micros(i64::MAX / 2);
    table.collect(later).await.unwrap();
    assert_eq!(follow(&table, 0).await, expected(&[(1, 6)]));
    table.hold("copy", 3);
    assert!(table.collect(later).await.unwrap().log_files > 0);
    assert!(matches!(table.entry(2).await, Err(LakeError::Gap { version: 2, .. })));
    assert!(table.entry(3).await.unwrap().is_some());
}
