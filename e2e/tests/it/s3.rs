//! The real server with its lake in S3.

use bartizan_e2e::process::{Server, wait_until};
use bartizan_e2e::python::Script;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server in its own folder, on the bucket of a service.
fn server(dir: &Path, name: &str, port: &str) -> Server {
    let credentials = dir.join("credentials");
    fs::write(&credentials, "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n").unwrap();
    let settings = format!(
        "commit.age_ms = 200\n[lake]\nurl = \"s3://lake/the/fleet\"\nendpoint = \"http://127.0.0.1:{port}\"\ncredentials = {credentials:?}\n"
    );
    Server::new(&dir.join(name), &settings).unwrap()
}

fn import(server: &Server, dir: &Path, name: &str, lines: u32) {
    let line = |i: u32| {
        format!(
            "2026-11-20T10:{:02}:{:02}Z gw kernel: {name}: IN=eth0 OUT= SRC=192.0.2.{} DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID={i} DF PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0\n",
            i / 60 % 60,
            i % 60,
            i % 250
        )
    };
    let path = dir.join(name);
    fs::write(&path, (0..lines).map(line).collect::<String>()).unwrap();
    server.ask(&["import", path.to_str().unwrap(), "-q", "--zone", "UTC"]).unwrap();
}

#[test]
fn a_lake_in_s3_survives_its_server_and_has_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Script::start("s3.py", &[]).unwrap();
    let port = service.line().unwrap();
    let mut first = server(dir.path(), "first", &port);
    first.start().unwrap();
    import(&first, dir.path(), "one", 1000);
    assert_eq!(first.search_count("prefix:\"one: \"").unwrap(), 1000);
    assert!(!first.dir().join("lake").exists(), "nothing of the lake is on the disk");

    // Killed, it takes its own lease again at once, and all is there.
    first.kill().unwrap();
    first.start().unwrap();
    assert_eq!(first.search_count("src:192.0.2.7").unwrap(), 4);

    // Another server is refused while this one lives.
    let mut second = server(dir.path(), "second", &port);
    let refused = format!("{:#}", second.start().unwrap_err());
    assert!(refused.contains("the lake is in use by another server"), "{refused}");
    import(&first, dir.path(), "two", 500);

    // When the first has stopped, the second has all of it.
    first.stop().unwrap();
    let mut second = server(dir.path(), "third", &port);
    second.start().unwrap();
    assert_eq!(second.search_count("*").unwrap(), 1500);
    import(&second, dir.path(), "three", 500);
    second.stop().unwrap();
}

#[test]
fn a_server_whose_lake_was_taken_over_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Script::start("s3.py", &[]).unwrap();
    let port = service.line().unwrap();
    let mut first = server(dir.path(), "first", &port);
    first.start().unwrap();
    import(&first, dir.path(), "one", 100);
    // Away for longer than a lease lasts.
    let pid = first.running().unwrap().id();
    bartizan_e2e::process::signal(pid, "STOP").unwrap();
    let mut second = server(dir.path(), "second", &port);
    second.start().unwrap();
    assert_eq!(second.search_count("*").unwrap(), 100);
    bartizan_e2e::process::signal(pid, "CONT").unwrap();
    let running = first.running().unwrap();
    let status = wait_until("the first server to end", PATIENCE, || running.ended()).unwrap();
    assert_eq!(status.code(), Some(1));
    let log = fs::read_to_string(first.dir().join("server.log")).unwrap();
    assert!(log.contains("the lake was taken over by another server"), "{log}");
    second.stop().unwrap();
}
