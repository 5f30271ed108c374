//! What the server may not do, however it is asked. That it may do all else shows in every other test, because every server
//! of the tests is shut in.

use bartizan_e2e::process::{Server, program};
use std::fs;

#[test]
fn the_server_is_shut_in_and_writes_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "").unwrap();
    server.start().unwrap();
    let running = server.running().unwrap();
    for thread in fs::read_dir(format!("/proc/{}/task", running.id())).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap_or_default();
        assert!(
            status.is_empty() || (status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1")),
            "{status}"
        );
    }
    let log = running.log_tail();
    assert!(log.contains("shut in landlock="), "{log}");
    if log.contains("landlock=0") {
        eprintln!("this kernel has no landlock");
        return;
    }
    // The directory of the tests is one that its settings name; this one is not.
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("backup").display().to_string();
    let refused = server.ask(&["backup", &to]).unwrap_err().to_string();
    assert!(refused.contains("`sandbox.write`") && !fs::exists(&to).unwrap(), "{refused}");
    let doctor = server.ask(&["doctor"]).unwrap();
    assert!(doctor.contains("ok   the server is shut in"), "{doctor}");
    server.ask(&["backup", &dir.path().join("backup").display().to_string()]).unwrap();
    server.stop().unwrap();
    server.configure("sandbox.enabled = false");
    server.start().unwrap();
    server.ask(&["backup", &to]).unwrap();
    let id = server.running().unwrap().id();
    assert!(fs::read_to_string(format!("/proc/{id}/status")).unwrap().contains("Seccomp:\t0"));
    let doctor = server.ask(&["doctor"]).unwrap();
    assert!(doctor.contains("not shut in by no_new_privileges, landlock, seccomp"), "{doctor}");
}

#[test]
fn a_switch_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("server.toml");
    fs::write(&config, "[sandbox]\nenabeld = false").unwrap();
    let mut command = program(None, "bartizan").unwrap();
    let output = command.args(["server", "--config"]).arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
