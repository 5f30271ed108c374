//! F45: times of ten years ago and ten years ahead.

use crate::support::{NOW, Place, append_at, batch_id, everywhere, keys};
use bartizan_model::Micros;

everywhere!(strange_times_go_by_the_day_of_receipt_and_to_their_own_file files_are_sorted_by_time);

const YEARS: i64 = 3650 * Micros::DAY;

async fn strange_times_go_by_the_day_of_receipt_and_to_their_own_file(place: &Place) {
    let table = place.open().await;
    let n = NOW.0;
    append_at(&table, batch_id(1, 1), &[n, n + 5, n - YEARS, n + YEARS, n - Micros::DAY, i64::MIN, i64::MAX]);
    append_at(&table, batch_id(2, 1), &[n + 1]);
    let committed = table.commit(NOW).await.unwrap().unwrap();
    assert_eq!((committed.rows, committed.files), (8, 3));

    for table in [table, place.open().await] {
        assert_eq!(keys(&table).await.len(), 8);
        let view = table.view();
        let today = NOW.day();
        let days: Vec<_> = view.files.iter().map(|f| (f.day(), f.rows())).collect();
        assert_eq!(days.iter().filter(|d| d.0 == Some(today)).count(), 2, "{days:?}");
        assert!(days.contains(&(Some(today - 1), Some(1))), "{days:?}");
        // The good file of today keeps narrow bounds, so that an hour of today does not read the others.
        let good: Vec<_> = view.files.iter().filter(|f| f.time() == Some((NOW, Micros(n + 5)))).collect();
        assert_eq!(good.len(), 1);
        assert_eq!(good[0].rows(), Some(3));
        let future = view.files_between(Micros(n + YEARS), Micros(n + YEARS + 1));
        assert_eq!(future.len(), 1, "a row of the year 2036 is found by its time");
        assert_eq!(future[0].day(), Some(today));
        // Bounds that no text can hold are open: the file is never passed over.
        assert_eq!(view.files_between(Micros(i64::MIN), Micros(i64::MIN + 1)).len(), 1);
        assert_eq!(view.files_between(Micros(n + 6), Micros(n + 7)).len(), 1);
    }
}

async fn files_are_sorted_by_time(place: &Place) {
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampMicrosecondType;
    let table = place.open().await;
    let n = NOW.0;
    append_at(&table, batch_id(1, 1), &[n + 9, n + 1, n + 5]);
    append_at(&table, batch_id(2, 1), &[n + 2, n + 8]);
    table.commit(NOW).await.unwrap();
    let files = table.view().files;
    let rows = table.read(files.iter().next().unwrap()).await.unwrap();
    let times = rows[0].column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.values().to_vec(), [n + 1, n + 2, n + 5, n + 8, n + 9]);
    assert_eq!(keys(&table).await.len(), 5);
}
