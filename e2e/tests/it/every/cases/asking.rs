//! What helps to ask: views, groups, sets, addresses, prefixes and filters; and the questions that run.

use super::PATIENCE;
use crate::every::Run;
use bartizan_e2e::process::wait_until;
use serde_json::Value;
use std::process::Stdio;

pub(super) fn views_save(run: &Run<'_>) {
    run.ok(&["ssh", "DPORT:ssh host:gw", "--columns", "src,dport"]);
    run.fails(2, &["wrong", "dprot:22"]);
}

pub(super) fn views_list(run: &Run<'_>) {
    let views = run.rows(&[]);
    assert_eq!((views.len(), &views[0]["filter"]), (1, &Value::from("dport:22 host:gw")), "{views:?}");
}

pub(super) fn views_run(run: &Run<'_>) {
    assert_eq!(run.ok(&["ssh", "-o", "csv"]), "src,dport\r\n203.0.113.9,22\r\n");
    run.fails(5, &["nobody's"]);
}

pub(super) fn views_rm(run: &Run<'_>) {
    run.ok(&["ssh"]);
    run.fails(5, &["ssh"]);
}

pub(super) fn groups(run: &Run<'_>) {
    assert_eq!(run.rows(&[])[0]["name"], "web");
    assert!(run.ok(&[]).contains("web-*"));
}

pub(super) fn sets(run: &Run<'_>) {
    let sets = run.rows(&[]);
    assert!(sets.iter().any(|set| set["name"] == "home" && set["ranges"] == 1), "{sets:?}");
}

/// A tail is a question that lasts.
fn asked(run: &Run<'_>) -> (std::process::Child, String) {
    let child =
        run.scene.server.cli().unwrap().args(["tail", "dport:1"]).stderr(Stdio::piped()).spawn().unwrap();
    let id = wait_until("the question to be in the list", PATIENCE, || {
        let list = run.scene.server.ask(&["queries", "list", "-o", "json"])?;
        let list: Vec<Value> = serde_json::from_str(&list)?;
        Ok(list.into_iter().find(|q| q["path"] == "tail").map(|q| q["id"].as_str().unwrap().to_owned()))
    });
    (child, id.unwrap())
}

pub(super) fn queries_list(run: &Run<'_>) {
    let (mut child, id) = asked(run);
    let listed = run.ok(&[]);
    assert!(listed.contains(&id) && listed.contains("dport:1"), "{listed}");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the list to be empty", PATIENCE, || Ok((!run.ok(&[]).contains(&id)).then_some(()))).unwrap();
}

pub(super) fn queries_cancel(run: &Run<'_>) {
    let (mut child, id) = asked(run);
    run.ok(&[&id]);
    wait_until("the question to be over", PATIENCE, || {
        Ok((!run.scene.server.ask(&["queries", "list"])?.contains(&id)).then_some(()))
    })
    .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    run.fails(5, &[&id]);
}

pub(super) fn prefix_test(run: &Run<'_>) {
    let told = run.ok(&["[WAN_LOCAL-default-D]"]);
    assert!(told.contains("drop"), "{told}");
}

pub(super) fn prefix_list(run: &Run<'_>) {
    assert!(run.rows(&[]).len() > 5);
}

pub(super) fn enrich_status(run: &Run<'_>) {
    run.ok(&[]);
}

pub(super) fn enrich_sets(run: &Run<'_>) {
    assert!(run.ok(&[]).contains("home"));
}

pub(super) fn enrich_lookup(run: &Run<'_>) {
    let found = run.rows(&["127.0.0.9", "2001:db8::1"]);
    assert_eq!((found.len(), &found[0]["sets"][0]), (2, &Value::from("home")), "{found:?}");
    run.fails(2, &["nobody"]);
}

pub(super) fn filter_check(run: &Run<'_>) {
    assert_eq!(run.elsewhere(&["DPORT:ssh"]), (0, "dport:22\n".into(), String::new()));
    let (code, out, err) = run.elsewhere(&["dport:22 80"]);
    assert!(code == 2 && out.is_empty() && err.contains("dport:22,80"), "{err}");
}

pub(super) fn filter_explain(run: &Run<'_>) {
    let (code, out, _) = run.elsewhere(&["-src:private dport:22"]);
    assert!(code == 0 && out.contains("22"), "{out}");
    assert_eq!(run.elsewhere(&["("]).0, 2);
}
