//! A process that is shut in as the worker, and tries to get out.

use super::{Report, State};
use crate::opener::{Channel, start};
use crate::sandbox;
use crate::settings::Settings;
use crate::user::User;
use anyhow::{Context as _, bail};
use bartizan_netfilter::{Asker, NetfilterError, NflogConfig, NflogSocket};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

/// Groups that nobody uses, from the last one down.
const SPARE_GROUPS: std::ops::RangeInclusive<u16> = 65_500..=65_535;

/// Starts such a process and tells what it found, and what the kernel says of it.
pub(super) fn walls(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let user = User::named(&settings.user).filter(|_| rustix::process::geteuid().is_root());
    let (ours, theirs) = Channel::pair()?;
    let worker = start(vec!["probe".into()], theirs, user)?;
    let socket = SPARE_GROUPS.rev().find_map(|group| NflogSocket::open(&NflogConfig::new(group)).ok());
    let fds: Vec<_> = socket.iter().map(|socket| socket.as_fd()).collect();
    ours.send(settings.dir.as_os_str().as_bytes(), &fds)?;
    let answer = ours.recv()?.context("the process that tries the walls ended; see its log above")?;
    let found: Value = serde_json::from_slice(&answer.bytes).context("what it found is no JSON")?;
    process(worker.pid, report);
    let landlock = found["landlock"].as_u64().unwrap_or(0);
    report.needed(
        landlock > 0,
        "landlock",
        format!("version {landlock}"),
        "boot with `lsm=landlock,...`; the worker may read every file of its user without it",
    );
    for gap in worker
        .gaps
        .0
        .iter()
        .map(String::as_str)
        .chain(found["gaps"].as_array().into_iter().flatten().filter_map(Value::as_str))
    {
        report.add(
            State::Missing,
            "sandbox",
            gap,
            "this kernel, or the one who started this, does not permit it",
        );
    }
    for tried in found["tried"].as_array().into_iter().flatten() {
        let text = |key: &str| tried[key].as_str().unwrap_or_default();
        let what = format!("the worker {}", text("what"));
        report.needed(
            tried["ok"] == true,
            &what,
            text("found"),
            "the walls have a gap: see the lines about landlock and seccomp",
        );
    }
    // it waits for this
    drop(ours);
    let status = worker.wait()?;
    if !status.success() {
        bail!("the process that tries the walls ended with {status}");
    }
    Ok(())
}

/// What the kernel says of a worker.
fn process(pid: u32, report: &mut Report) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let fields: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let field = |key: &str| fields.get(key).copied().unwrap_or("?");
    let uid = field("Uid").split_whitespace().next().unwrap_or("?");
    report.ok("the worker's user", uid);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let bits = field(set);
        let none = u64::from_str_radix(bits, 16) == Ok(0);
        report.needed(
            none,
            &format!("the worker's {set}"),
            bits,
            "start the agent as root, or without what it need not have",
        );
    }
    report.needed(
        field("NoNewPrivs") == "1",
        "the worker's NoNewPrivs",
        field("NoNewPrivs"),
        "a kernel of 3.5 or newer",
    );
    report.needed(
        field("Seccomp") == "2",
        "the worker's Seccomp",
        field("Seccomp"),
        "a kernel with CONFIG_SECCOMP_FILTER",
    );
}

/// Runs as the process that tries the walls.
///
/// # Errors
/// When it was not started by `doctor`.
pub fn probe() -> anyhow::Result<()> {
    let channel = Channel::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let message = channel.recv().context("start `bartizan-agent doctor` instead")?.context("nobody asks")?;
    let dir = Path::new(OsStr::from_bytes(&message.bytes)).to_owned();
    let own_user = !rustix::process::getuid().is_root();
    let files = bartizan_sandbox::Needs {
        own: vec![dir.clone()],
        read: sandbox::common_reads(own_user),
        listen: Vec::new(),
    };
    let (landlock, gaps) = sandbox::shut_worker_in(&files);
    let tried = attempts(&dir, message.fds.into_iter().next());
    let found = json!({ "landlock": landlock, "gaps": gaps.0, "tried": tried });
    channel.send(found.to_string().as_bytes(), &[])?;
    // while the kernel is asked about this process
    channel.recv().map(drop).context("cannot wait")
}

/// Everything that must not work, and what must.
fn attempts(dir: &Path, socket: Option<OwnedFd>) -> Vec<Value> {
    let mut tried = Vec::new();
    let mut refused = |what: &str, result: io::Result<()>| {
        tried.push(match result {
            Err(error) => json!({ "what": format!("cannot {what}"), "ok": true, "found": error.to_string() }),
            Ok(()) => json!({ "what": format!("cannot {what}"), "ok": false, "found": "it can" }),
        });
    };
    refused("read /etc/shadow", File::open("/etc/shadow").map(drop));
    let stray = format!("/tmp/bartizan-probe-{}", std::process::id());
    refused("write a file elsewhere", File::create(&stray).map(drop));
    refused("start a program", Command::new("/bin/true").spawn().map(drop));
    let parent = rustix::process::getppid();
    let look = || {
        let parent = parent.ok_or(io::ErrorKind::NotFound)?;
        Ok(rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).map(drop)?)
    };
    refused("look into another process", look());
    let signal = || Ok(rustix::process::test_kill_process(parent.ok_or(io::ErrorKind::NotFound)?)?);
    refused("send a signal to another process", signal());
    refused("open a netlink socket", Asker::open().map(drop).map_err(io::Error::other));
    refused("listen on a TCP port", TcpListener::bind("127.0.0.1:0").map(drop));
    if let Some(socket) = socket {
        refused("change a group that it reads", reconfigure(socket));
    }
    let mut permitted = |what: &str, result: io::Result<()>| {
        tried.push(match result {
            Ok(()) => json!({ "what": format!("can {what}"), "ok": true, "found": "it can" }),
            Err(error) => json!({ "what": format!("can {what}"), "ok": false, "found": error.to_string() }),
        });
    };
    let own = dir.join(format!(".probe-{}", std::process::id()));
    permitted("write in its directory", fs::write(&own, "").and_then(|()| fs::remove_file(&own)));
    permitted("resolve a name", ("localhost", 1).to_socket_addrs().map(drop));
    permitted("start a thread", std::thread::Builder::new().spawn(|| {}).map(drop));
    tried
}

/// Asks for other settings of a group, and reads what the kernel says to it.
fn reconfigure(socket: OwnedFd) -> io::Result<()> {
    const BIND: u32 = 1;
    let config = NflogConfig::new(0);
    NflogSocket::ask_again(socket.as_fd(), &config, BIND).map_err(io::Error::other)?;
    let mut code = 0;
    let why = |refused| {
        code = refused;
        NetfilterError::NotPermitted { operation: "change a group" }
    };
    match NflogSocket::answered(socket, config.group, |_, _| Ok(()), why) {
        Err(NetfilterError::NotPermitted { .. }) => Err(io::Error::from_raw_os_error(code)),
        Ok(_) => Ok(()),
        // no answer is no refusal
        Err(_) => Ok(()),
    }
}
