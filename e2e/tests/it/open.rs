//! The lake is read by others while the server writes and compacts: deltalake, DuckDB and Polars, each with a reader of
//! its own, find each row once.

use anyhow::Result;
use bartizan_e2e::process::{Server, wait_until};
use bartizan_e2e::python::Script;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const FILES: u64 = 90;
const LINES: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// Small commits, and units as small as can be, so that files are merged and sorted again and again.
const SETTINGS: &str =
    "commit.age_ms = 100\n[compact]\nunit_rows = 65536\nnewest_rows = 1000\nsettle_minutes = 0\n";

#[test]
fn other_programs_find_each_row_once_while_the_server_writes_and_compacts() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), SETTINGS).unwrap();
    server.start().unwrap();
    let table = server.dir().join("lake/events");
    let mut readers = Script::start("readers.py", &[table.to_str().unwrap()]).unwrap();
    readers.line().unwrap();
    let hour = this_hour();
    for file in 0..FILES {
        let path = dir.path().join("log");
        fs::write(&path, lines(&hour, file)).unwrap();
        server.ask(&["import", path.to_str().unwrap(), "-q", "--zone", "UTC"]).unwrap();
    }
    // Whatever is left to compact, readers look on.
    wait_until("files to be compacted", PATIENCE, || Ok((compacted(&table)? >= 3).then_some(()))).unwrap();
    let answers: Vec<Value> =
        readers.finish().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (log, answers) = answers.split_last().unwrap();

    let all = FILES * LINES;
    let mut before: BTreeMap<&str, u64> = BTreeMap::new();
    for answer in answers {
        let rows = answer["rows"].as_u64().unwrap();
        assert_eq!(answer["names"], answer["rows"], "a row is there twice: {answer}");
        assert_eq!(answer["packets"], answer["rows"], "{answer}");
        let before = before.entry(answer["who"].as_str().unwrap()).or_default();
        assert!(rows >= *before && rows <= all, "{before} rows before, now {answer}");
        *before = rows;
    }
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), ["deltalake", "duckdb", "polars"]);
    for last in answers.iter().filter(|answer| answer["last"] == true) {
        assert_eq!((last["rows"].as_u64(), last["port"].as_u64()), (Some(all), Some(all / 2)), "{last}");
    }
    assert_eq!(server.search_count("*").unwrap(), all);
    assert_eq!(server.search_count("dport:22").unwrap(), all / 2);
    let between =
        answers.iter().filter(|a| a["last"] == false && (1..all).contains(&a["rows"].as_u64().unwrap()));
    assert!(between.count() > 0, "nobody looked while rows came: {answers:?}");
    let operations = log["operations"].as_array().unwrap();
    assert!(operations.iter().any(|operation| operation == "OPTIMIZE"), "{operations:?}");
}

/// How many entries of a table's log are compactions.
fn compacted(table: &Path) -> Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(table.join("_delta_log"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            found += usize::from(fs::read_to_string(path)?.contains("\"OPTIMIZE\""));
        }
    }
    Ok(found)
}

/// As `date` writes it: rows of another day than that of their receipt are not sorted.
fn this_hour() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Packets of one hour, every second one to port 22.
fn lines(hour: &str, file: u64) -> String {
    let mut text = String::new();
    for i in 0..LINES {
        let (minute, second, port) = (i * 59 / LINES, i % 60, if i % 2 == 0 { 22 } else { 443 });
        writeln!(
            text,
            "{hour}:{minute:02}:{second:02}Z gw kernel: open: IN=eth0 OUT= SRC=192.0.2.{} DST=10.0.{}.{} LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID={i} DF PROTO=TCP SPT={} DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0",
            i % 250,
            file,
            i % 200,
            1024 + i,
        )
        .unwrap();
    }
    text
}
