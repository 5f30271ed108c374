//! Logs of before.

use crate::every::Run;
use std::fs;

pub(super) fn parse(run: &Run<'_>) {
    let out = run.ok(&[&run.file("kern.log")]);
    assert_eq!(out.lines().count(), 3, "{out}");
    run.fails(5, &[&run.file("no such file")]);
}

pub(super) fn import(run: &Run<'_>) {
    let file = run.file("more.log");
    fs::write(&file, "2026-11-21T10:00:00Z gw2 kernel: x IN=eth0 OUT= SRC=192.0.2.66 DST=10.0.0.2 PROTO=UDP SPT=1 DPT=53 LEN=9\n")
        .unwrap();
    for _ in 0..2 {
        run.ok(&["-q", &file]);
    }
    assert_eq!(run.scene.server.rows("host:gw2").unwrap().len(), 1, "once");
    run.fails(5, &[&run.file("no such file")]);
    let (ca, token) = (run.of_server("ca.pem"), run.file("wrong.token"));
    for (url, want) in
        [(format!("https://{}", run.scene.server.front()), 4), ("https://127.0.0.1:1".into(), 7)]
    {
        let (code, _, err) = run.elsewhere(&[&file, "--server", &url, "--ca", &ca, "--token-file", &token]);
        assert_eq!(code, want, "{err}");
    }
}

pub(super) fn imports(run: &Run<'_>) {
    let imports = run.rows(&[]);
    assert_eq!(imports.len(), 2, "{imports:?}");
    assert!(imports.iter().all(|import| import["state"] == "done"), "{imports:?}");
}
