//! Several servers on one lake: two tables on one folder that commit in turn and at once.

use crate::support::{NOW, Place, append, batch_id, everywhere, expected, keys, stream};
use bartizan_lake::Append;
use bartizan_model::Seq;

everywhere!(two_writers_in_turn_keep_every_row_once writers_at_once_each_get_their_entries_in);

async fn two_writers_in_turn_keep_every_row_once(place: &Place) {
    let (a, b) = (place.open().await, place.open().await);
    // A batch comes to both, because its acknowledgement was lost on the way.
    for table in [&a, &b] {
        assert_eq!(append(table, batch_id(1, 1)), Append::Appended);
        assert_eq!(append(table, batch_id(1, 2)), Append::Appended);
    }
    assert_eq!(append(&b, batch_id(1, 3)), Append::Appended);
    assert_eq!(append(&b, batch_id(2, 1)), Append::Appended);
    assert_eq!(a.commit(NOW).await.unwrap().unwrap().batches, 2);
    assert_eq!(keys(&b).await, expected(&[(1, 3), (2, 1)]), "before it knows of the other");
    assert_eq!(b.commit(NOW).await.unwrap().unwrap().batches, 2, "only what the other has not");
    assert_eq!(keys(&b).await, expected(&[(1, 3), (2, 1)]));
    assert_eq!(a.committed(&stream(1)), Seq(2));
    a.refresh().await.unwrap();
    assert_eq!(a.committed(&stream(1)), Seq(3));
    assert_eq!(keys(&a).await, expected(&[(1, 3), (2, 1)]));
    // All of it is there already: nothing is written.
    let c = place.open().await;
    assert_eq!(append(&a, batch_id(2, 2)), Append::Appended);
    assert_eq!(append(&c, batch_id(2, 2)), Append::Appended);
    a.commit(NOW).await.unwrap().unwrap();
    assert_eq!(c.commit(NOW).await.unwrap(), None);
    assert_eq!(c.hot().batches, 0);
    assert_eq!(keys(&c).await, expected(&[(1, 3), (2, 2)]));
    assert_eq!(place.open().await.verify(true).await.unwrap(), [], "no file is left unnamed");
}

async fn writers_at_once_each_get_their_entries_in(place: &Place) {
    let mut tasks = Vec::new();
    for n in 0..3_u8 {
        let table = place.open().await;
        tasks.push(tokio::spawn(async move {
            for seq in 1..=10 {
                assert_eq!(append(&table, batch_id(n, seq)), Append::Appended);
                assert_ne!(append(&table, batch_id(9, seq)), Append::Busy);
                table.commit(NOW).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let table = place.open().await;
    assert_eq!(keys(&table).await, expected(&[(0, 10), (1, 10), (2, 10), (9, 10)]));
    assert_eq!(table.verify(false).await.unwrap(), []);
}
