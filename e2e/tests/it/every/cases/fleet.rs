//! Hosts with their rules, how they get in, and the authority that they trust.

use crate::every::Run;
use serde_json::Value;

pub(super) fn rules(run: &Run<'_>) {
    assert!(run.ok(&["web-01"]).contains("udp dport 9"));
    assert!(!run.rows(&["web-01", "--history"]).is_empty());
    let hits = run.ok(&["web-01", "--hits", "--since", "1h"]);
    assert!(hits.contains("udp-drop"), "{hits}");
    run.fails(5, &["nobody"]);
}

pub(super) fn hosts(run: &Run<'_>) {
    let hosts = run.rows(&[]);
    let web = hosts.iter().find(|host| host["name"] == "web-01").unwrap();
    assert_eq!((&web["state"], &web["lost"]), (&Value::from("online"), &Value::from(0)), "{web}");
    assert!(run.ok(&[]).contains("web-01"));
    let short = run.scene.server.ask(&["hosts", "-o", "json"]).unwrap();
    assert!(short.contains("web-01"), "{short}");
}

pub(super) fn senders(run: &Run<'_>) {
    assert_eq!(run.ok(&["-o", "json"]), "[]\n", "everybody here has an agent");
}

pub(super) fn token_create(run: &Run<'_>) {
    let token = run.ok(&["--uses", "2", "--ttl", "5m", "--comment", "a test"]);
    assert!(token.trim().len() > 20 && token.lines().count() == 1, "{token}");
    run.fails(2, &["--ttl", "soon"]);
    let err = run.fails(2, &["--from", "here"]);
    assert!(err.contains("no address"), "{err}");
    // Who comes from elsewhere is told so; who comes from there waits.
    let elsewhere = run.ok(&["--from", "192.0.2.0/24", "--comment", "elsewhere"]);
    let err = enrol(run, "spare", elsewhere.trim()).1;
    assert!(err.contains("is not for hosts at 127.0.0.1"), "{err}");
    let here = run.ok(&["--from", "127.0.0.1", "--approval", "--group", "spares"]);
    let (code, err) = enrol(run, "spare", here.trim());
    assert!(code == 0 && err.contains("waits for approval"), "{err}");
}

/// Enrols a host that never runs.
fn enrol(run: &Run<'_>, name: &str, token: &str) -> (i32, String) {
    let netns = Some(&*run.scene.netns);
    let mut command = bartizan_e2e::process::program(netns, "bartizan-agent").unwrap();
    command.args(["enroll", "--server", &run.scene.server.front().to_string(), "--name", name]);
    command.args(["--token", token, "--dir", &run.file(name)]);
    let output = command.output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

pub(super) fn token_list(run: &Run<'_>) {
    let tokens = run.rows(&[]);
    let elsewhere = tokens.iter().find(|token| token["comment"] == "elsewhere").unwrap();
    assert_eq!((&elsewhere["refused"], &elsewhere["state"]), (&Value::from(1), &Value::from("good")));
    let here = tokens.iter().find(|token| token["group"] == "spares").unwrap();
    assert_eq!((&here["used"], &here["state"]), (&Value::from(1), &Value::from("used")), "{here}");
    assert!(!run.ok(&["-o", "json"]).contains("bz1."));
}

pub(super) fn token_revoke(run: &Run<'_>) {
    let made = run.scene.server.ask(&["token", "make", "-o", "json"]).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    run.ok(&[made["id"].as_str().unwrap()]);
    let (code, err) = enrol(run, "late", made["token"].as_str().unwrap());
    assert!(code != 0 && err.contains("was revoked"), "{err}");
    run.fails(5, &["0123456789"]);
}

/// How the list shows a host.
fn state_of(run: &Run<'_>, name: &str) -> String {
    let hosts = run.scene.server.hosts().unwrap();
    let host = hosts.iter().find(|host| host["name"] == name).unwrap();
    host["state"].as_str().unwrap().to_owned()
}

pub(super) fn hosts_approve(run: &Run<'_>) {
    assert_eq!(state_of(run, "spare"), "waiting");
    run.ok(&["spare"]);
    assert_eq!(state_of(run, "spare"), "offline");
    let err = run.fails(6, &["spare"]);
    assert!(err.contains("does not wait"), "{err}");
    let groups = run.scene.server.ask(&["groups", "-o", "json"]).unwrap();
    assert!(groups.contains("spares") && groups.contains("spare\""), "{groups}");
}

pub(super) fn hosts_rename(run: &Run<'_>) {
    run.ok(&["spare", "old"]);
    assert_eq!(state_of(run, "old"), "offline");
    let err = run.fails(6, &["old", "web-01"]);
    assert!(err.contains("belongs to another host"), "{err}");
    run.fails(2, &["old", "a b"]);
}

pub(super) fn authority_status(run: &Run<'_>) {
    let status = &run.rows(&[])[0];
    assert!(status["next"].is_null() && status["pin"].is_string() && status["left"] == 0, "{status}");
    run.fails(2, &["-o", "nothing"]);
}

pub(super) fn authority_rotate(run: &Run<'_>) {
    let old = run.rows(&[])[0].clone();
    assert!(old["next"].is_string() && old["names"] == "web-01" || old["names"][0] == "web-01", "{old}");
    assert_eq!(run.rows(&[])[0], old, "there is one successor");
}

pub(super) fn authority_finish(run: &Run<'_>) {
    let err = run.fails(6, &[]);
    assert!(err.contains("1 hosts have not renewed") && err.contains("web-01"), "{err}");
    let status = run.rows(&["--force"])[0].clone();
    assert!(status["next"].is_null(), "{status}");
    run.fails(6, &["--force"]);
    // Who has the authority of before is not shut out.
    assert_eq!(state_of(run, "web-01"), "online");
}

pub(super) fn hosts_retire(run: &Run<'_>) {
    run.ok(&["OLD"]);
    assert_eq!(state_of(run, "old"), "retired");
    run.fails(5, &["nobody"]);
}

pub(super) fn hosts_revoke(run: &Run<'_>) {
    run.ok(&["old"]);
    assert_eq!(state_of(run, "old"), "revoked");
    run.fails(5, &["nobody"]);
}
