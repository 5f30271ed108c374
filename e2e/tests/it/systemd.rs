//! What the server tells systemd, and when.

use bartizan_e2e::process::{Running, Server, program, signal};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn systemd_is_told_when_the_server_listens_lives_reloads_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    // for its configuration and its ports
    let mut server = Server::new(&dir.path().join("server"), "").unwrap();
    server.start().unwrap();
    server.stop().unwrap();

    let mut command = program(None, "bartizan").unwrap();
    command.args(["server", "--config"]).arg(server.dir().join("server.toml"));
    command.env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "400000");
    let mut running = Running::start(command, &dir.path().join("log")).unwrap();
    let mut heard = Vec::new();
    let mut wait_for = |word: &str| {
        let (mut buf, start) = ([0; 1000], Instant::now());
        while start.elapsed() < PATIENCE {
            let len = manager.recv(&mut buf).unwrap();
            let text = String::from_utf8_lossy(&buf[..len]).into_owned();
            heard.push(text.clone());
            if text.starts_with(word) {
                return text;
            }
        }
        panic!("nothing of {word} in {heard:?}");
    };
    let status = wait_for("STATUS=");
    wait_for("READY=1");
    // who is told that it is ready can connect at once
    for name in ["address", "agents_address"] {
        let address = std::fs::read_to_string(server.dir().join(name)).unwrap();
        let address = address.trim().trim_start_matches("https://").to_owned();
        assert!(status.contains(&address), "{status}");
        TcpStream::connect(address).unwrap();
    }
    for _ in 0..3 {
        wait_for("WATCHDOG=1");
    }
    signal(running.id(), "HUP").unwrap();
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    assert!(running.ended().unwrap().is_none());
    signal(running.id(), "TERM").unwrap();
    wait_for("STOPPING=1");
    let ended = bartizan_e2e::process::wait_until("the end", PATIENCE, || running.ended()).unwrap();
    assert!(ended.success(), "{ended}");
}
