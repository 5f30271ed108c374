//! The server's background work on the lake: killed again and again, it loses nothing and comes to its end (F38).

use crate::import::lines;
use bartizan_e2e::process::{Server, wait_until};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// Many small commits, and units of the smallest size, so that there is always something to be merged.
const SETTINGS: &str = "commit.age_ms = 20\ncommit.megabytes = 1\n\
    compact.unit_rows = 65536\ncompact.newest_rows = 1000\ncompact.settle_minutes = 0\n";

/// How many entries of the log of `events` only put rows in order, and how many of these made a sorted file.
fn merges(server: &Server) -> (usize, usize) {
    let entries = fs::read_dir(server.dir().join("lake/events/_delta_log")).unwrap();
    let entries =
        entries.map(|e| e.unwrap().path()).filter(|path| path.extension().is_some_and(|x| x == "json"));
    let entries = entries.filter_map(|path| fs::read_to_string(path).ok());
    let merges: Vec<String> = entries.filter(|text| text.contains("\"OPTIMIZE\"")).collect();
    (merges.len(), merges.iter().filter(|text| text.contains("bartizan.sorted")).count())
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
    let status = wait_until("the client", PATIENCE, || Ok(client.try_wait()?)).unwrap();
    assert!(status.success(), "{}", fs::read_to_string(dir.path().join("client.log")).unwrap());
    // The day is long over: all but the newest rows is sorted in the end.
    wait_until("units to be sorted", PATIENCE, || Ok((merges(&server).1 > 0).then_some(()))).unwrap();
    assert_eq!((server.search_count("").unwrap(), server.duplicates("").unwrap()), (u64::from(all), 0));
    server.stop().unwrap();
    server.start().unwrap();
    assert_eq!(server.search_count("").unwrap(), u64::from(all));
}
