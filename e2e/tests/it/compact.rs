//! The server's background work on the lake: killed again and again, it loses nothing and comes to its end (F38).

use crate::import::lines;
use bartizan_e2e::process::{Server, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// Many small commits, and units of the smallest size, so that there is always something to be merged.
const SETTINGS: &str = "commit.age_ms = 20\ncommit.megabytes = 1\n\
    compact.unit_rows = 65536\ncompact.newest_rows = 1000\ncompact.settle_minutes = 0\n";

/// Rows of a sorted unit in [`SETTINGS`].
const UNIT: u64 = 65_536;

/// What the log of `events` says of its files: rows that are sorted, and rows in all.
fn rows(server: &Server) -> (u64, u64) {
    let mut entries: Vec<_> = fs::read_dir(server.dir().join("lake/events/_delta_log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|x| x == "json"))
        .collect();
    entries.sort();
    let mut files: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    let text: String = entries.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    for line in text.lines() {
        let action: Value = serde_json::from_str(line).unwrap();
        if let Some(path) = action["remove"]["path"].as_str() {
            files.remove(path);
        }
        if let Some(path) = action["add"]["path"].as_str() {
            let stats: Value = serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
            let sorted = action["add"]["tags"]["bartizan.sorted"].is_string();
            files.insert(path.to_owned(), (stats["numRecords"].as_u64().unwrap(), sorted));
        }
    }
    let all = files.values().map(|(rows, _)| rows).sum();
    (files.values().filter(|(_, sorted)| *sorted).map(|(rows, _)| rows).sum(), all)
}

#[test]
fn a_server_that_is_killed_while_it_merges_files_keeps_every_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), SETTINGS).unwrap();
    server.start().unwrap();
    let (all, file) = (500_000_u32, dir.path().join("kern.log"));
    fs::write(&file, lines(0, all)).unwrap();
    let mut client = server.cli().unwrap();
    let err = fs::File::create(dir.path().join("client.log")).unwrap();
    let mut client = client.arg("import").arg(&file).stdout(Stdio::null()).stderr(err).spawn().unwrap();
    for round in 0..5 {
        std::thread::sleep(Duration::from_millis(400 + round * 170));
        server.kill().unwrap();
        server.start().unwrap();
    }
    // and each time that a unit was made, as long as there is another one to be made
    let mut sorted = 0;
    while sorted + UNIT < u64::from(all) / 2 {
        sorted =
            wait_until("a unit", PATIENCE, || Ok(Some(rows(&server).0).filter(|now| *now > sorted))).unwrap();
        server.kill().unwrap();
        server.start().unwrap();
    }
    let status = wait_until("the client", PATIENCE, || Ok(client.try_wait()?)).unwrap();
    assert!(status.success(), "{}", fs::read_to_string(dir.path().join("client.log")).unwrap());
    // The day is long over: all but less than a unit is sorted in the end.
    let ordered = || {
        let (sorted, all_rows) = rows(&server);
        Ok((all_rows == u64::from(all) && all_rows - sorted < UNIT).then_some(()))
    };
    wait_until("units to be sorted", PATIENCE, ordered).unwrap();
    assert_eq!((server.search_count("").unwrap(), server.duplicates("").unwrap()), (u64::from(all), 0));
    server.stop().unwrap();
    server.start().unwrap();
    assert_eq!(server.search_count("").unwrap(), u64::from(all));
}
