//! Who may ask, and what was done.

use crate::every::Run;
use serde_json::Value;

pub(super) fn users_add(run: &Run<'_>) {
    let link = run.ok(&["anna", "--role", "analyst", "--scope", "group:web"]);
    assert!(
        link.starts_with("https://") && link.contains("/#/invitation?code=") && link.lines().count() == 1,
        "{link}"
    );
    run.fails(6, &["anna"]);
    run.fails(2, &["no good"]);
    run.fails(2, &["berta", "--role", "emperor"]);
    let err = run.fails(2, &["berta", "--scope", "dport:22"]);
    assert!(err.contains("dport"), "a scope is of fields that every table has: {err}");
}

pub(super) fn users_list(run: &Run<'_>) {
    let users = run.rows(&[]);
    let anna = users.iter().find(|user| user["name"] == "anna").unwrap();
    assert_eq!(
        (&anna["role"], &anna["scope"]),
        (&Value::from("analyst"), &Value::from("group:web")),
        "{users:?}"
    );
}

pub(super) fn users_change(run: &Run<'_>) {
    run.ok(&["anna", "--role", "viewer", "--payload", "--disabled=false"]);
    run.fails(5, &["nobody"]);
}

pub(super) fn users_invite(run: &Run<'_>) {
    assert!(run.ok(&["anna"]).contains("/#/invitation?code="));
    run.fails(5, &["nobody"]);
}

pub(super) fn users_rm(run: &Run<'_>) {
    run.ok(&["anna"]);
    run.fails(5, &["anna"]);
}

pub(super) fn access_make(run: &Run<'_>) {
    let token = run.ok(&["backup", "--role", "viewer", "--days", "30", "--comment", "for backups"]);
    assert!(token.starts_with("bartizan_") && token.lines().count() == 1, "{token}");
    run.fails(6, &["backup"]);
    run.fails(2, &["no good"]);
}

pub(super) fn access_list(run: &Run<'_>) {
    let tokens = run.rows(&[]);
    assert_eq!(
        (&tokens[0]["name"], &tokens[0]["comment"]),
        (&Value::from("backup"), &Value::from("for backups"))
    );
}

pub(super) fn access_revoke(run: &Run<'_>) {
    run.ok(&["backup"]);
    run.fails(5, &["backup"]);
}

pub(super) fn audit_list(run: &Run<'_>) {
    let added = run.rows(&["--what", "add_user"]);
    assert_eq!((&added[0]["who"], &added[0]["about"]["name"]), (&Value::from("local"), &Value::from("anna")));
    let changed = run.rows(&["--what", "users_change", "-n", "1"]);
    assert_eq!(
        (&changed[0]["old"]["role"], &changed[0]["new"]["role"]),
        (&Value::from("analyst"), &Value::from("viewer"))
    );
    assert!(run.ok(&[]).starts_with("ID"));
    let enrolled = run.rows(&["--what", "enrol"]);
    let web = enrolled.iter().find(|entry| entry["about"]["host"] == "web-01").unwrap();
    assert!(web["who"].as_str().unwrap().starts_with("join token ") && web["address"].is_string(), "{web}");
}

pub(super) fn audit_verify(run: &Run<'_>) {
    assert!(run.ok(&[]).contains("all whole"));
}
