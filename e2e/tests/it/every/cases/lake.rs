//! The lake, and copies of it.

use super::PATIENCE;
use crate::every::Run;
use bartizan_e2e::process::wait_until;
use serde_json::Value;
use std::path::Path;

pub(super) fn lake_status(run: &Run<'_>) {
    let status = run.ok(&[]);
    assert!(status.contains("events") && status.contains("counters"), "{status}");
}

/// Other work on the lake is waited for.
fn work(run: &Run<'_>, args: &[&str]) -> String {
    wait_until("the lake to be free", PATIENCE, || {
        let (code, out, err) = run.ends(args);
        assert!(code == 0 || code == 6, "{args:?} ends with {code}: {out}{err}");
        Ok((code == 0).then_some(out))
    })
    .unwrap()
}

pub(super) fn lake_verify(run: &Run<'_>) {
    work(run, &[]);
    work(run, &["--quick", "-o", "json"]);
}

pub(super) fn lake_compact(run: &Run<'_>) {
    work(run, &[]);
    assert_eq!(run.scene.server.rows("host:web-01 dport:9").unwrap().len(), 20);
}

pub(super) fn lake_hold(run: &Run<'_>) {
    run.ok(&["case-7", "host:gw", "--comment", "a test"]);
    let err = run.fails(2, &["case-8", "dprot:1"]);
    assert!(err.contains("^^^^^"), "{err}");
    run.fails(2, &["\u{1b}[2J"]);
}

pub(super) fn lake_holds(run: &Run<'_>) {
    let holds = run.rows(&[]);
    assert_eq!((holds.len(), &holds[0]["name"]), (1, &Value::from("case-7")), "{holds:?}");
}

pub(super) fn lake_release(run: &Run<'_>) {
    run.ok(&["case-7"]);
    run.fails(5, &["case-7"]);
}

pub(super) fn lake_vacuum(run: &Run<'_>) {
    work(run, &["-n"]);
    work(run, &[]);
}

pub(super) fn lake_retain(run: &Run<'_>) {
    work(run, &["-n"]);
    work(run, &[]);
    assert_eq!(run.scene.server.rows("host:gw").unwrap().len(), 3);
}

pub(super) fn lake_erase(run: &Run<'_>) {
    work(run, &["192.0.2.66", "-n"]);
    assert_eq!(run.scene.server.rows("host:gw2").unwrap().len(), 1);
    work(run, &["192.0.2.66", "--reason", "a test"]);
    assert_eq!(run.scene.server.rows("host:gw2").unwrap().len(), 0);
    run.fails(2, &["nobody"]);
}

pub(super) fn lake_erasures(run: &Run<'_>) {
    let receipts = run.ok(&["-o", "json"]);
    assert!(receipts.contains("a test") && !receipts.contains("192.0.2.66"), "{receipts}");
}

pub(super) fn backup(run: &Run<'_>) {
    work(run, &[&run.file("backup")]);
    run.fails(2, &[&run.of_server("backup")]);
}

pub(super) fn restore(run: &Run<'_>) {
    assert!(run.ok(&[&run.file("backup"), "--check"]).contains("events: "));
    let to = run.file("restored");
    run.ok(&[&run.file("backup"), "--to", &to]);
    assert!(Path::new(&to).join("lake/events/_delta_log").is_dir());
    let err = run.fails(1, &[&run.file("backup"), "--to", &to]);
    assert!(err.contains("empty"), "{err}");
}
