//! syslog-ng. It cannot be installed beside rsyslog: its package is fetched and unpacked under `target/`.

use super::stage::{PATIENCE, Stage, free_port, line};
use bartizan_e2e::process::{Running, binaries, wait_until};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where it is unpacked, if it can be had.
fn unpacked() -> Option<PathBuf> {
    let root = binaries().unwrap().parent()?.join("syslog-ng");
    if !root.join("usr/sbin/syslog-ng").exists() {
        std::fs::create_dir_all(&root).unwrap();
        let script = "apt-get download syslog-ng-core && dpkg -x syslog-ng-core_*.deb .";
        let done = Command::new("sh").args(["-c", script]).current_dir(&root).output().ok()?;
        if !done.status.success() {
            eprintln!("NOT RUN: syslog-ng cannot be fetched: {}", String::from_utf8_lossy(&done.stderr));
            return None;
        }
    }
    Some(root)
}

fn start(root: &Path, dir: &Path, destination: &str) -> (Running, UnixStream) {
    std::fs::create_dir_all(dir).unwrap();
    let libraries = root.join("usr/lib/syslog-ng");
    let modules =
        std::fs::read_dir(&libraries).unwrap().flatten().map(|e| e.path()).find(|p| p.is_dir()).unwrap();
    let version = modules.file_name().unwrap().to_str().unwrap().to_owned();
    let input = dir.join("in.sock");
    let text = format!(
        "@version: {version}\noptions {{ keep-hostname(yes); time-reopen(1); }};\n\
         source s {{ unix-stream(\"{}\" flags(expect-hostname)); }};\ndestination d {{ {destination} }};\n\
         log {{ source(s); destination(d); flags(flow-control); }};\n",
        input.display()
    );
    let config = dir.join("syslog-ng.conf");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
    command.env("LD_LIBRARY_PATH", &libraries).arg("-F").arg("-f").arg(&config);
    command.arg(format!("--module-path={}", modules.display())).arg("--no-caps");
    command.arg("-R").arg(dir.join("persist")).arg("-c").arg(dir.join("ctl")).arg("-p").arg(dir.join("pid"));
    let mut running = Running::start(command, &dir.join("syslog-ng.log")).unwrap();
    let stream = wait_until("syslog-ng", Duration::from_secs(20), || {
        assert!(running.ended()?.is_none(), "syslog-ng ended: {}", running.log_tail());
        Ok(UnixStream::connect(&input).ok())
    });
    (running, stream.unwrap())
}

#[test]
fn syslog_ng_over_tcp_and_a_restart_of_the_server() {
    let Some(root) = unpacked() else { return };
    let (bsd, ietf) = (free_port(), free_port());
    let listeners = [bsd, ietf]
        .map(|port| format!("[[collect]]\nkind = \"syslog-tcp\"\naddress = \"127.0.0.1:{port}\"\n"))
        .concat();
    let mut stage = Stage::new(&listeners);
    let destination = format!(
        "network(\"127.0.0.1\" port({bsd}) transport(\"tcp\") template(\"<$PRI>$DATE bsd $MSGHDR$MSG\\n\")); \
         syslog(\"127.0.0.1\" port({ietf}) transport(\"tcp\"));"
    );
    let (_running, mut input) = start(&root, &stage.path("syslog-ng"), &destination);
    const HALF: u16 = 2000;
    let send = |input: &mut UnixStream, lines: std::ops::Range<u16>| {
        for n in lines {
            writeln!(input, "{}", line("ietf", n)).unwrap();
        }
    };
    send(&mut input, 0..HALF);
    stage.hosts(2 * u64::from(HALF));
    // it is told by the end of the connection, and makes its own senders wait
    stage.server.stop().unwrap();
    let rest = std::thread::spawn(move || send(&mut input, HALF..2 * HALF));
    std::thread::sleep(Duration::from_millis(500));
    stage.server.start().unwrap();
    rest.join().unwrap();
    stage.hosts(4 * u64::from(HALF));
    for host in ["bsd", "ietf"] {
        stage.each_once(host, 2 * HALF);
    }
    wait_until("the counts", PATIENCE, || Ok((stage.sum("rows") == 4 * u64::from(HALF)).then_some(())))
        .unwrap();
}
