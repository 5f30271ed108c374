//! Files that are missing or damaged (fault: a truncated or bit-flipped file of the lake): each answer is that of the
//! files that are left, and says so.

use crate::common::{Lake, batch, int};
use bartizan_filter::{Context, Filter};
use bartizan_model::{Kind, Micros};
use bartizan_query::render::Rows;
use bartizan_query::{Damage, DataFile, Engine, ErrorKind, LeftOut, Limits, Order, QueryError, RowStream};
use bartizan_query::{Search, Window};
use bytes::Bytes;
use futures::StreamExt;
use parquet::file::metadata::ParquetMetaDataReader;
use std::collections::BTreeSet;
use std::sync::Arc;

const FILES: i64 = 4;
const ROWS: usize = 200;

/// Rows of file `n` have `seq` n and ports `n * 1000 ..`, their times follow one another.
fn rows(n: i64) -> arrow_array::RecordBatch {
    batch(Kind::Events, ROWS, |column, row| match column.name {
        "time" => int(n * ROWS as i64 + row as i64),
        "seq" => int(n),
        "row" => int(row as i64),
        "dport" => int(n * 1000 + row as i64),
        "packets" => int(1 + row as i64 % 2),
        _ => None,
    })
}

fn lake() -> (Arc<Lake>, Vec<DataFile>) {
    let lake = Lake::new();
    let files: Vec<_> = (0..FILES).map(|n| lake.write(Kind::Events, &rows(n))).collect();
    lake.change(Kind::Events, |view| view.files.clone_from(&files));
    lake.add_hot(Kind::Events, rows(FILES));
    (lake, files)
}

fn engine(lake: &Arc<Lake>) -> Engine {
    Engine::new(Arc::clone(lake) as _, &Limits { sort_rows: 150, ..Limits::default() }).unwrap()
}

/// The `seq`s that came, how many rows, and what the end said.
async fn seqs(mut rows: RowStream) -> (BTreeSet<i64>, u64, Vec<LeftOut>) {
    let (mut seqs, mut n) = (BTreeSet::new(), 0);
    while let Some(batch) = rows.next().await {
        match batch {
            Ok(batch) => {
                let seq = batch.column_by_name("seq").unwrap();
                let seq = seq.as_any().downcast_ref::<arrow_array::Int64Array>().unwrap();
                seqs.extend(seq.values().iter().copied());
                n += batch.num_rows() as u64;
            }
            Err(QueryError::LeftOut(left_out)) => {
                assert!(rows.next().await.is_none());
                return (seqs, n, left_out);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    (seqs, n, Vec::new())
}

/// What is done to a file, and what is said of it.
fn harm(lake: &Lake, file: &DataFile, how: usize) -> Damage {
    let path = lake.on_disk(file);
    let mut bytes = std::fs::read(&path).unwrap();
    let written = bytes.len() as u64;
    match how {
        0 => {
            std::fs::remove_file(&path).unwrap();
            return Damage::Missing;
        }
        1 => bytes.truncate(bytes.len() / 2),
        2 => bytes.truncate(0),
        // All pages: whichever column is asked for.
        3 => {
            let footer = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes.clone())).unwrap();
            let columns = footer.row_groups().iter().flat_map(|group| group.columns());
            let end = columns.map(|column| column.byte_range()).map(|(at, n)| at + n).max().unwrap();
            bytes[4..end as usize].fill(0xa5);
        }
        // The footer's own length.
        4 => {
            let at = bytes.len() - 8;
            bytes[at..at + 4].fill(0xff);
        }
        // The footer.
        _ => {
            let end = bytes.len() - 8;
            let length = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
            bytes[end - length as usize..end].fill(0xff);
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    match how {
        1 | 2 => Damage::Size { written, found: bytes.len() as u64 },
        3 => Damage::Checksum,
        _ => Damage::Unreadable(String::new()),
    }
}

fn same(found: &Damage, wanted: &Damage) -> bool {
    match (found, wanted) {
        (Damage::Unreadable(_), Damage::Unreadable(_)) => true,
        (found, wanted) => found == wanted,
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_and_the_rest_is_answered() {
    for how in 0..6 {
        let (lake, files) = lake();
        let damage = harm(&lake, &files[1], how);
        let named = |left_out: &[LeftOut]| {
            assert_eq!(left_out.len(), 1, "{how}");
            assert_eq!(left_out[0].path, files[1].path, "{how}");
            assert!(same(&left_out[0].damage, &damage), "{how}: {left_out:?}");
        };
        let rest = BTreeSet::from([0, 2, 3, FILES]);
        let all = Filter::all();
        let search = Search::new(Kind::Events, &all);

        // Each question is the first to touch the file; the last finds it out of use already.
        for (order, limit) in
            [(Order::NewestFirst, None), (Order::OldestFirst, None), (Order::NewestFirst, Some(10_000))]
        {
            let (found, n, left_out) =
                seqs(engine(&lake).search(Search { order, limit, ..search.clone() }).await.unwrap()).await;
            assert_eq!((found, n), (rest.clone(), 4 * ROWS as u64), "{how} {order:?} {limit:?}");
            named(&left_out);
        }
        let filter = Filter::parse("dport:0-65535", &Context::default()).unwrap();
        let count = engine(&lake).count(Kind::Events, &filter, Window::ALL).await.unwrap();
        assert_eq!((count.rows, count.sums[0].1), (4 * ROWS as u64, 6 * ROWS as i64));
        named(&count.left_out);
        let engine = engine(&lake);
        let (found, _, left_out) =
            seqs(engine.top(Kind::Events, &all, Window::ALL, &["seq"], 10).await.unwrap()).await;
        assert_eq!(found, rest, "{how}");
        named(&left_out);
        named(&engine.quarantined());
        let error = engine.search(search.clone()).await.unwrap().collect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete);
        assert!(error.to_string().contains(files[1].path.as_ref()), "{error}");

        // What the damage does not touch is whole.
        let window = Window { since: Some(Micros(2 * ROWS as i64)), until: None };
        let whole = engine.search(Search { window, ..search }).await.unwrap().collect().await.unwrap();
        assert_eq!(whole.iter().map(|b| Rows::new(b).len()).sum::<usize>(), 3 * ROWS);
    }
}

/// Two files at once, and one that nobody has a checksum of: it cannot be told from a fault of the engine.
#[tokio::test]
async fn all_damaged_files_are_left_out() {
    let (lake, files) = lake();
    harm(&lake, &files[0], 3);
    harm(&lake, &files[2], 0);
    harm(&lake, &files[3], 1);
    let engine = engine(&lake);
    let all = Filter::all();
    let (found, _, left_out) = seqs(engine.search(Search::new(Kind::Events, &all)).await.unwrap()).await;
    assert_eq!((found, left_out.len()), (BTreeSet::from([1, FILES]), 3));
}

#[tokio::test]
async fn a_store_that_fails_is_no_damage() {
    let (lake, _) = lake();
    lake.fail(true);
    let engine = engine(&lake);
    let all = Filter::all();
    let failed = match engine.search(Search { limit: Some(500), ..Search::new(Kind::Events, &all) }).await {
        Err(error) => error,
        Ok(rows) => rows.collect().await.unwrap_err(),
    };
    assert_eq!(failed.kind(), ErrorKind::Internal, "{failed:?}");
    assert!(engine.quarantined().is_empty());
    lake.fail(false);
    let (found, _, left_out) = seqs(engine.search(Search::new(Kind::Events, &all)).await.unwrap()).await;
    assert_eq!((found.len(), left_out.len()), (5, 0));
}
