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

/// Rows of the newest files that stay in the order of time in [`SETTINGS`], at least.
const NEWEST: u64 = 1000;

/// A file of `events`, as the log names it.
struct File {
    rows: u64,
    latest: String,
    sorted: bool,
}

/// The files of `events` that are not replaced, the newest first.
fn files(server: &Server) -> Vec<File> {
    let mut entries: Vec<_> = fs::read_dir(server.dir().join("lake/events/_delta_log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|x| x == "json"))
        .collect();
    entries.sort();
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let text: String = entries.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    for line in text.lines() {
        let action: Value = serde_json::from_str(line).unwrap();
        if let Some(path) = action["remove"]["path"].as_str() {
            files.remove(path);
        }
        if let Some(path) = action["add"]["path"].as_str() {
            let stats: Value = serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
            let file = File {
                rows: stats["numRecords"].as_u64().unwrap(),
                latest: stats["maxValues"]["time"].as_str().unwrap().to_owned(),
                sorted: action["add"]["tags"]["bartizan.sorted"].is_string(),
            };
            files.insert(path.to_owned(), file);
        }
    }
    let mut files: Vec<File> = files.into_values().collect();
    files.sort_by(|a, b| b.latest.cmp(&a.latest));
    files
}

fn sorted_rows(server: &Server) -> u64 {
    files(server).iter().filter(|file| file.sorted).map(|file| file.rows).sum()
}

/// All but the newest files, which hold the newest rows.
fn behind_the_newest(files: &[File]) -> impl Iterator<Item = &File> {
    let mut newer = 0;
    files.iter().skip_while(move |file| {
        let stays = newer < NEWEST && !file.sorted;
        newer += file.rows;
        stays
    })
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
            wait_until("a unit", PATIENCE, || Ok(Some(sorted_rows(&server)).filter(|now| *now > sorted)))
                .unwrap();
        server.kill().unwrap();
        server.start().unwrap();
    }
    let status = wait_until("the client", PATIENCE, || Ok(client.try_wait()?)).unwrap();
    assert!(status.success(), "{}", fs::read_to_string(dir.path().join("client.log")).unwrap());
    // The day is long over: what is behind the newest rows is sorted in the end, and it is most of all.
    let ordered = || {
        let files = files(&server);
        let behind: Vec<&File> = behind_the_newest(&files).collect();
        let rows: u64 = behind.iter().map(|file| file.rows).sum();
        Ok((behind.iter().all(|file| file.sorted) && rows > u64::from(all) / 2).then_some(()))
    };
    wait_until("units to be sorted", PATIENCE, ordered).unwrap();
    assert_eq!((server.search_count("").unwrap(), server.duplicates("").unwrap()), (u64::from(all), 0));
    server.stop().unwrap();
    server.start().unwrap();
    assert_eq!(server.search_count("").unwrap(), u64::from(all));
}
