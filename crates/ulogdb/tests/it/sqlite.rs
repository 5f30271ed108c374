//! Imports of SQLite files: what is found, what becomes of the rows, and going on in the middle.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use bartizan_intake::{Read, Rows, Source as _, SourceError, Tally};
use bartizan_model::Kind;
use bartizan_ulogdb::{Database, Form, Place, TableSource, Told};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::Path;

fn make(path: &Path, sql: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut link = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut link).await.unwrap();
        sqlx::Connection::close(link).await.unwrap();
    });
}

fn place(path: &Path) -> Place {
    Place::new(&format!("sqlite:{}", path.display()), None).unwrap()
}

fn told() -> Told {
    Told { host: Some("gw".into()), ..Told::default() }
}

/// All rows from a position on, taken whenever there is no room for more than `limit`.
fn read(source: &mut TableSource, from: u64, limit: usize) -> (Vec<(Kind, RecordBatch)>, Tally, Vec<u64>) {
    source.seek(from).unwrap();
    let (mut rows, mut tally, mut batches, mut positions) =
        (Rows::new(limit), Tally::default(), vec![], vec![]);
    loop {
        let read = source.read(u64::MAX, &mut rows, &mut tally).unwrap();
        batches.extend(rows.finish());
        positions.push(read.position());
        if let Read::End(_) = read {
            return (batches, tally, positions);
        }
    }
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_dictionary::<Int32Type>();
    let values = column.values().as_string::<i32>();
    (0..column.len())
        .map(|row| column.key(row).map_or("-".into(), |key| values.value(key).to_owned()))
        .collect()
}

const FIRST: &str = "CREATE TABLE ulog (raw_mac VARCHAR(80), oob_time_sec INT, oob_prefix VARCHAR(32), oob_in VARCHAR(32),
        ip_saddr INT UNSIGNED, ip_daddr, ip_protocol INT, tcp_sport INT, tcp_dport INT, tcp_syn INT, local_hostname TEXT,
        shop TEXT);
    INSERT INTO ulog VALUES ('', 1000000000, 'DROP ', 'eth0', 3232235777, '192.0.2.9', 6, 40000, 22, 1, 'web', 'x\"y');
    INSERT INTO ulog VALUES (NULL, 1000000001, 'ACCEPT', 'eth1', 167772161, 167772162, 17, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO ulog (oob_time_sec) VALUES (1000000002);
    INSERT INTO ulog (raw_mac) VALUES (NULL);";

#[test]
fn the_oldest_table_with_the_columns_that_it_happens_to_have() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ulogd.db");
    make(&path, FIRST);
    let database = Database::open(&place(&path), &told()).unwrap();
    let [found] = database.tables() else { panic!("{database:?}") };
    assert_eq!((found.table(), found.form(), found.kind()), ("ulog", Form::One, Kind::Events));
    let glance = database.glance(found).unwrap();
    assert_eq!((glance.rows, glance.range), (4, Some((1, 4))));

    let told = Told { host_from: Some("local_hostname".into()), ..told() };
    let mut source = database.source(found, &told).unwrap();
    let (batches, tally, positions) = read(&mut source, 0, 100);
    assert_eq!((tally.records, tally.events, tally.skips(), tally.adds_up()), (4, 3, 1, true));
    assert_eq!(positions.last(), Some(&5));
    let [(Kind::Events, batch)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!(texts(batch, "host"), ["web", "gw", "gw"]);
    assert_eq!(texts(batch, "source"), ["database"; 3]);
    assert_eq!(texts(batch, "prefix"), ["DROP ", "ACCEPT", "-"]);
    assert_eq!(texts(batch, "extra"), [r#"{"shop":"x\"y"}"#, "-", "-"]);
    let source_address =
        |row| batch.column_by_name("src").unwrap().as_fixed_size_binary().value(row)[12..].to_vec();
    let address = |row| batch.column_by_name("dst").unwrap().as_fixed_size_binary().value(row)[12..].to_vec();
    assert_eq!((source_address(0), address(0)), (vec![192, 168, 1, 1], vec![192, 0, 2, 9]));
    assert_eq!((source_address(1), address(1)), (vec![10, 0, 0, 1], vec![10, 0, 0, 2]));
}

#[test]
fn flows_and_packets_as_ulogd_2_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.db");
    make(
        &path,
        "CREATE TABLE ulog_ct (flow_start_sec INT UNSIGNED, flow_end_sec INT UNSIGNED, orig_ip_saddr INT UNSIGNED,
            orig_ip_daddr INT UNSIGNED, orig_l4_sport SMALLINT, orig_l4_dport SMALLINT, orig_ip_protocol TINYINT,
            orig_raw_pktlen INT, orig_raw_pktcount INT, ct_mark INT);
         INSERT INTO ulog_ct VALUES (1700000000, 1700000005, 16777226, 33554442, 40000, 53, 17, 80, 2, 0);
         CREATE TABLE ulog_pkt (raw_pktlen INT, oob_prefix VARCHAR(64), oob_time_sec INT, oob_uid INT);
         INSERT INTO ulog_pkt VALUES (60, 'out: ', 1700000001, 1000);
         CREATE TABLE songs (id INTEGER PRIMARY KEY, title TEXT);",
    );
    let database = Database::open(&place(&path), &told()).unwrap();
    let found: Vec<_> = database.tables().iter().map(|f| (f.table(), f.kind())).collect();
    assert_eq!(found, [("ulog_ct", Kind::Flows), ("ulog_pkt", Kind::Events)]);
    assert_eq!(database.others()[0].0, "songs");
    let mut flows = database.source(&database.tables()[0], &told()).unwrap();
    let (batches, tally, _) = read(&mut flows, 0, 100);
    assert_eq!((tally.flows, tally.adds_up()), (1, true));
    let address = batches[0].1.column_by_name("src").unwrap().as_fixed_size_binary().value(0)[12..].to_vec();
    assert_eq!(address, [10, 0, 0, 1], "the bytes of the packet, read as a number");
    let (_, tally, _) = read(&mut database.source(&database.tables()[1], &told()).unwrap(), 0, 100);
    assert_eq!((tally.events, tally.adds_up()), (1, true));
}

#[test]
fn it_goes_on_wherever_there_was_no_more_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.db");
    make(
        &path,
        "CREATE TABLE ulog (oob_time_sec INT, oob_prefix TEXT, ip_saddr INT, tcp_sport INT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
         INSERT INTO ulog SELECT 1700000000 + i, 'p' || (i % 7), 167772160 + i, i % 65536 FROM n;
         DELETE FROM ulog WHERE rowid % 5 = 0;",
    );
    let database = Database::open(&place(&path), &told()).unwrap();
    let mut source = database.source(&database.tables()[0], &told()).unwrap();
    let (whole, tally, positions) = read(&mut source, 0, 1000);
    assert_eq!((tally.records, tally.events), (32_000, 32_000));
    assert!(positions.is_sorted() && positions.last() == Some(&40_000), "{positions:?}");
    let times = |batches: &[(Kind, RecordBatch)]| -> Vec<i64> {
        let column = |batch: &RecordBatch| {
            let column = batch.column_by_name("time").unwrap();
            column.as_primitive::<arrow_array::types::TimestampMicrosecondType>().values().to_vec()
        };
        batches.iter().flat_map(|(_, batch)| column(batch)).collect()
    };
    let all = times(&whole);
    assert_eq!(all.len(), 32_000);
    for from in [positions[3], positions[17], 40_000] {
        let (part, _, _) = read(&mut source, from, 777);
        let wanted: Vec<_> =
            all.iter().copied().filter(|t| *t >= (1_700_000_000 + from as i64) * 1_000_000).collect();
        assert_eq!(times(&part), wanted, "from {from}");
    }
    // no further than it is told
    source.seek(0).unwrap();
    let (mut rows, mut tally) = (Rows::new(1000), Tally::default());
    let read = source.read(12, &mut rows, &mut tally).unwrap();
    assert_eq!((read.position(), rows.len()), (12, 9));
    let read = source.read(15, &mut rows, &mut tally).unwrap();
    assert_eq!((read.position(), rows.len()), (15, 12));
    // nothing is left between 15 and 16: that is a way forward all the same
    let read = source.read(16, &mut rows, &mut tally).unwrap();
    assert_eq!((read.position(), rows.len()), (16, 12));
    assert!(matches!(source.seek(40_001), Err(SourceError::Changed(_))));
}

#[test]
fn what_cannot_be_imported_is_said_with_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("songs.db");
    make(&path, "CREATE TABLE songs (id INTEGER PRIMARY KEY, title TEXT)");
    let error = Database::open(&place(&path), &told()).unwrap_err().to_string();
    assert!(error.contains("no table of ulogd") && error.ends_with("it has songs"), "{error}");
    let named = Told { tables: vec!["songs".into()], ..told() };
    let error = Database::open(&place(&path), &named).unwrap_err().to_string();
    assert!(error.contains("not named as ulogd's keys; it has id, title"), "{error}");
    let named = Told { tables: vec!["ulog".into()], ..told() };
    let error = Database::open(&place(&path), &named).unwrap_err().to_string();
    assert!(error.ends_with("has no table ulog; it has songs"), "{error}");

    let path = dir.path().join("first.db");
    make(&path, FIRST);
    let database = Database::open(&place(&path), &told()).unwrap();
    let error = database.source(&database.tables()[0], &Told::default()).unwrap_err().to_string();
    assert!(error.ends_with("say --host NAME, or --host-from local_hostname"), "{error}");
    let missing = Told { host_from: Some("machine".into()), ..Told::default() };
    let error = database.source(&database.tables()[0], &missing).unwrap_err().to_string();
    assert!(error.contains("ulog has no column machine; it has raw_mac, oob_time_sec"), "{error}");
    let gone = Database::open(&place(&dir.path().join("none.db")), &told()).unwrap_err();
    assert!(gone.to_string().contains("cannot open the database sqlite:"), "{gone}");
}
