//! L3: readers that look while rows move from hot batches to files.

use crate::support::{NOW, Place, ROWS, append, batch_id, everywhere, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

everywhere!(readers_count_each_row_once_while_it_moves);

async fn readers_count_each_row_once_while_it_moves(place: &Place) {
    let table = place.open().await;
    let (started, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (table, started, done, stop) = (table.clone(), started.clone(), done.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut looks = 0_u64;
                while !stop.load(Ordering::SeqCst) {
                    let least = done.load(Ordering::SeqCst);
                    let view = table.view();
                    let most = started.load(Ordering::SeqCst);
                    let hot: u64 = view.hot.iter().flat_map(|b| b.rows()).map(|r| r.num_rows() as u64).sum();
                    let cold: u64 = view.files.iter().map(|f| f.rows().unwrap()).sum();
                    let rows = hot + cold;
                    assert!(
                        rows >= least * ROWS as u64 && rows <= most * ROWS as u64,
                        "{least} {rows} {most}"
                    );
                    // A view stays what it was.
                    let again: u64 =
                        view.hot.iter().flat_map(|b| b.rows()).map(|r| r.num_rows() as u64).sum();
                    assert_eq!(again, hot);
                    assert!(table.committed(&stream(1)) <= table.received(&stream(1)));
                    looks += 1;
                }
                looks
            })
        })
        .collect();
    for seq in 1..=150 {
        started.store(seq, Ordering::SeqCst);
        append(&table, batch_id(1, seq));
        done.store(seq, Ordering::SeqCst);
        if seq % 3 == 0 {
            table.commit(NOW).await.unwrap();
        }
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
}
