//! Rows, and sums of them.

use super::PATIENCE;
use crate::every::Run;
use bartizan_e2e::process::wait_until;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

pub(super) fn search(run: &Run<'_>) {
    assert_eq!(run.rows(&["host:web-01 dport:9 proto:udp"]).len(), 20);
    assert_eq!(run.rows(&["group:web", "-n", "7"]).len(), 7);
    assert_eq!(run.rows(&["host:gw dport:ssh"])[0]["src"], "203.0.113.9");
    assert!(run.ok(&["host:gw", "--columns", "src,dport"]).starts_with("SRC"));
    assert_eq!(run.ok(&["host:nobody", "-o", "json"]), "[]\n");
    assert_eq!(run.rows(&["host:web-01", "--by", "dport"])[0]["packets"], 20);
    // the place of the fault, and what was perhaps meant
    let err = run.fails(2, &["host:gw dprot:22"]);
    assert!(err.contains("        ^^^^^") && err.contains("dport:22"), "{err}");
    run.fails(2, &["--since", "when it rains"]);
    run.fails(2, &["--columns", "nope"]);
    let err = run.fails(2, &["--since", "2026-01-02", "--until", "2026-01-01"]);
    assert!(err.contains("after"), "{err}");
    let err = run.fails(2, &["--after", "nowhere"]);
    assert!(err.contains("cursor"), "{err}");
    // who reads no more is no fault
    let mut child = run.command(&["-n", "0", "-o", "ndjson"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // 8: a file of the lake is gone
    let file = parquet(run);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    let err = run.fails(8, &["host:gw", "-o", "csv"]);
    assert!(err.contains("cannot be read"), "{err}");
    fs::rename(&aside, &file).unwrap();
    wait_until("the file to be trusted again", Duration::from_secs(90), || {
        Ok((run.ends(&["host:gw", "-o", "csv"]).0 == 0).then_some(()))
    })
    .unwrap();
}

/// The file of the imported events.
fn parquet(run: &Run<'_>) -> std::path::PathBuf {
    let mut folders = vec![Path::new(&run.of_server("lake/events")).join("date=2026-11-20")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                return path;
            }
        }
    }
    panic!("no file of the imported events");
}

pub(super) fn hist(run: &Run<'_>) {
    let bars = run.rows(&["host:gw", "--since", "2026-11-20T10:00:00Z", "--until", "2026-11-20T10:01:00Z"]);
    let sum: u64 = bars.iter().filter_map(|bar| bar["packets"].as_u64()).sum();
    assert_eq!(sum, 3, "{bars:?}");
    assert!(run.ok(&["host:web-01", "--since", "1h", "--by", "action"]).contains("drop"));
    run.fails(2, &["--bucket", "soon"]);
}

pub(super) fn tail(run: &Run<'_>) {
    let mut child =
        run.command(&["host:web-01", "-n", "4", "-o", "ndjson"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    wait_until("the tail to be there", PATIENCE, || {
        let asked = run.scene.server.ask(&["queries", "list", "-o", "ndjson"])?;
        Ok(asked.lines().any(|line| line.contains("\"tail\"")).then_some(()))
    })
    .unwrap();
    run.scene.send(crate::scene::MARKER, 4, 0);
    for _ in 0..4 {
        let row: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((&row["dport"], &row["host"]), (&Value::from(10), &Value::from("web-01")));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    run.fails(2, &["dport:x"]);
}

pub(super) fn watch(run: &Run<'_>) {
    let err = run.fails(2, &[]);
    assert!(err.contains("terminal"), "{err}");
}

pub(super) fn top(run: &Run<'_>) {
    let rows = run.rows(&["dport", "host:web-01"]);
    assert_eq!((&rows[0]["dport"], &rows[0]["packets"]), (&Value::from(9), &Value::from(20)));
    let rows = run.rows(&["dport", "host:web-01", "--compare", "--since", "1h"]);
    assert_eq!(rows[0]["before_packets"], 0, "{rows:?}");
    run.fails(2, &["nope"]);
}

pub(super) fn show(run: &Run<'_>) {
    let id = run.scene.server.ask(&["search", "host:web-01 dport:9", "-n", "1", "-o", "ndjson"]).unwrap();
    let id = serde_json::from_str::<Value>(&id).unwrap()["id"].as_str().unwrap().to_owned();
    let shown = run.ok(&[&id]);
    assert!(shown.contains("udp dport 9") && shown.contains("unchanged"), "{shown}");
    let json: Value = serde_json::from_str(&run.ok(&[&id, "-o", "json"])).unwrap();
    assert_eq!((&json["event"]["id"], &json["now"]["state"]), (&Value::from(id), &Value::from("same")));
    let err = run.fails(5, &["07070707070707070707070707070707/0/000000000000feed/42/7"]);
    assert!(err.contains("no event"), "{err}");
}

pub(super) fn flows(run: &Run<'_>) {
    let rows = run.rows(&["dport:4000 event:destroy"]);
    assert_eq!((rows.len(), &rows[0]["packets"]), (3, &Value::from(3)));
    assert!(run.ok(&["--count", "-o", "json"]).contains("\"rows\""));
}

pub(super) fn counters(run: &Run<'_>) {
    let sum: u64 = run.rows(&["rule:*udp-drop*"]).iter().filter_map(|row| row["packets"].as_u64()).sum();
    assert!(sum >= 1, "{sum}");
    run.fails(2, &["dport:22"]);
}

pub(super) fn export(run: &Run<'_>) {
    assert_eq!(run.ok(&["host:web-01 dport:9"]).lines().count(), 20);
    assert_eq!(run.ok(&["host:gw", "-o", "csv", "--columns", "src,dport"]).lines().count(), 4);
    assert!(run.ok(&["host:gw dport:22", "-o", "logemu"]).contains("SRC=203.0.113.9 DST=10.0.0.2"));
    for (form, magic) in [("parquet", &b"PAR1"[..]), ("arrow", &[0xff; 4])] {
        let to = run.file(form);
        run.ok(&["host:web-01", "-o", form, "--to", &to]);
        assert!(fs::read(&to).unwrap().starts_with(magic), "{form}");
    }
    let flows = run.ok(&["dport:4000", "--table", "flows", "-o", "csv"]);
    assert!(flows.lines().count() > 3, "{flows}");
    run.fails(2, &["--table", "nope"]);
}

pub(super) fn sql(run: &Run<'_>) {
    let rows = run.rows(&["SELECT host, count(*) AS n FROM events WHERE dport = ? GROUP BY host", "-p", "9"]);
    assert_eq!((rows.len(), &rows[0]["n"]), (1, &Value::from(20)));
    assert!(run.ok(&["SHOW TABLES"]).contains("counters"));
    let err = run.fails(2, &["DROP TABLE events"]);
    assert!(err.contains("only questions"), "{err}");
}

pub(super) fn unparsed(run: &Run<'_>) {
    let shapes = run.rows(&["host:gw"]);
    assert_eq!((shapes.len(), &shapes[0]["events"]), (1, &Value::from(1)), "{shapes:?}");
}

pub(super) fn lines(run: &Run<'_>) {
    let lines = run.rows(&["program:sshd"]);
    assert_eq!((lines.len(), &lines[0]["text"]), (1, &Value::from("hello")), "{lines:?}");
}

pub(super) fn losses(run: &Run<'_>) {
    assert!(run.rows(&[]).is_empty());
    assert_eq!(run.ok(&["--sum", "-o", "csv"]).lines().count(), 1);
    run.fails(2, &["dport:22"]);
}
