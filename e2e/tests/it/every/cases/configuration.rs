//! What is said of the configuration of agents.

use super::PATIENCE;
use crate::every::Run;
use bartizan_e2e::process::wait_until;
use std::fs;

pub(super) fn config_set(run: &Run<'_>) {
    let file = run.file("caps.toml");
    fs::write(&file, "# more\n[caps]\nrule_rate = 30000\n").unwrap();
    run.ok(&["group:web", &file, "--comment", "a busy week"]);
    fs::write(&file, "[caps]\nrule_rate = 40000\n").unwrap();
    run.ok(&["group:web", &file]);
    fs::write(&file, "[caps]\nrule_rat = 1\n").unwrap();
    let err = run.fails(2, &["group:web", &file]);
    assert!(err.contains("group:web:2: unknown key \"caps.rule_rat\""), "{err}");
    run.fails(2, &["everybody", &file]);
    run.fails(5, &["*", &run.file("no such file")]);
}

pub(super) fn config_list(run: &Run<'_>) {
    let versions = run.rows(&["group:web"]);
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert_eq!((&versions[0]["counts"], &versions[1]["counts"]), (&true.into(), &false.into()));
    assert_eq!((&versions[1]["comment"], &versions[1]["hosts"]), (&"a busy week".into(), &1.into()));
    assert!(run.rows(&["host:nobody"]).is_empty());
}

pub(super) fn config_show(run: &Run<'_>) {
    assert_eq!(run.ok(&["group:web"]), "[caps]\nrule_rate = 40000\n");
    assert!(run.ok(&["1"]).starts_with("# more\n"));
    run.fails(5, &["99"]);
    run.fails(5, &["*"]);
}

pub(super) fn config_diff(run: &Run<'_>) {
    let diff = run.ok(&["group:web"]);
    assert!(diff.starts_with("--- group:web version 1\n+++ group:web version 2\n"), "{diff}");
    assert!(diff.contains("-rule_rate = 30000\n+rule_rate = 40000\n"), "{diff}");
    assert!(run.ok(&["1"]).starts_with("--- nothing\n"));
    assert!(run.ok(&["1", "--from", "2"]).contains("+rule_rate = 30000\n"));
    run.fails(5, &["99"]);
}

pub(super) fn config_rollback(run: &Run<'_>) {
    run.ok(&["1"]);
    assert!(run.scene.server.ask(&["config", "show", "group:web"]).unwrap().starts_with("# more\n"));
    run.fails(5, &["99"]);
}

pub(super) fn config_status(run: &Run<'_>) {
    let host = wait_until("the host to have it", PATIENCE, || {
        let host = run.rows(&[]).into_iter().find(|host| host["name"] == "web-01").unwrap();
        Ok((host["config"] == "as wanted").then_some(host))
    })
    .unwrap();
    assert_eq!(
        (&host["config_wanted"], &host["config_has"]),
        (&serde_json::json!([3]), &serde_json::json!([3]))
    );
    assert!(run.ok(&[]).contains("as wanted"));
}
