//! The person's side of the demo.

use super::{inside::Orders, say};
use crate::{
    process::{Server, binaries, wait_until},
    relay::{Listener, Relay, Target},
    signals::asked_to_stop,
};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the fleet may take to answer.
const ANSWER: Duration = Duration::from_secs(60);
/// How long rows may take to be where they belong after the traffic has ended.
const SETTLE: Duration = Duration::from_secs(60);
/// The names of Unix sockets are short.
const SOCKET_NAME: usize = 100;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Demo {
    /// End after so many seconds of traffic, and print the figures.
    pub seconds: Option<u64>,
}

/// The figures of a demo that ended by itself.
#[derive(Debug)]
struct Figures {
    hosts: usize,
    counted: u64,
    rows: u64,
    ledger: u64,
    duplicates: u64,
}

/// Runs the demo to its end; whether all that was counted was found.
///
/// # Errors
/// Whatever keeps it from coming up.
pub fn demo(what: &Demo) -> Result<bool> {
    let stop = asked_to_stop()?;
    let dir = binaries()?.with_file_name("demo");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let lock = File::create(dir.join("lock")).context("make a lock")?;
    if lock.try_lock().is_err() {
        bail!("a demo is running already: {}", dir.display());
    }
    for old in ["server", "hosts"] {
        let old = dir.join(old);
        if old.exists() {
            fs::remove_dir_all(&old).with_context(|| format!("remove {}", old.display()))?;
        }
    }

    say("== starting the server on loopback");
    let mut server = Server::listening(&dir.join("server"), "[commit]\nage_ms = 1000", free_ports())?;
    server.start()?;
    let sockets = Sockets::new(&dir)?;
    let ports = [(server.front(), sockets.path("front")), (server.agents(), sockets.path("agents"))];
    let mut relays = Vec::new();
    for (address, path) in &ports {
        let listener = UnixListener::bind(path).with_context(|| format!("bind {}", path.display()))?;
        relays.push(Relay::start(Listener::Unix(listener), Target::Tcp(*address))?);
    }

    say("== making three hosts with rules, agents and traffic, in namespaces of their own");
    let orders = Orders { dir: dir.join("hosts"), ports, token: server.token(3)? };
    let mut fleet = Inside::start(&orders, &dir)?;
    let hosts = fleet.hosts()?;
    write_helpers(&dir, &server, &fleet, &hosts)?;
    wait_until("the first rows", ANSWER, || Ok((server.search_count("")? > 0).then_some(())))?;
    invite(&dir, &server, &hosts, what.seconds);

    let Some(seconds) = what.seconds else {
        wait_for(&stop, None, &mut fleet)?;
        say("\n== stopping");
        fleet.end()?;
        server.stop()?;
        return Ok(true);
    };
    wait_for(&stop, Some(Duration::from_secs(seconds)), &mut fleet)?;
    fleet.ask("quiet")?;
    let figures = settle(&server, &mut fleet)?;
    fleet.end()?;
    server.stop()?;
    let Figures { hosts, counted, rows, ledger, duplicates } = figures;
    let line = format!(
        r#"{{"hosts":{hosts},"counted":{counted},"rows":{rows},"ledger":{ledger},"duplicates":{duplicates}}}"#
    );
    writeln!(std::io::stdout(), "{line}").context("print the figures")?;
    Ok(rows + ledger == counted && duplicates == 0 && counted > 0)
}

/// The usual ports, unless somebody has them.
fn free_ports() -> [SocketAddr; 2] {
    [8443, 8444].map(|port| {
        let usual = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(usual).is_ok() { usual } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
    })
}

/// Waits until everything that was counted is a row or on the ledger, or it takes too long.
fn settle(server: &Server, fleet: &mut Inside) -> Result<Figures> {
    let start = Instant::now();
    let mut last = None;
    loop {
        let counted = fleet.ask("count")?["counted"].as_u64().context("the fleet does not count")?;
        let (rows, ledger) = (server.search_count("")?, server.losses_sum()?);
        // Twice the same: nothing is on its way any more.
        let done = rows + ledger == counted && last == Some((counted, rows, ledger));
        if done || start.elapsed() > SETTLE {
            let duplicates = server.duplicates("")?;
            return Ok(Figures { hosts: server.hosts()?.len(), counted, rows, ledger, duplicates });
        }
        last = Some((counted, rows, ledger));
        thread::sleep(Duration::from_millis(500));
    }
}

fn wait_for(stop: &AtomicBool, time: Option<Duration>, fleet: &mut Inside) -> Result<()> {
    let start = Instant::now();
    while !stop.load(Ordering::SeqCst) && time.is_none_or(|time| start.elapsed() < time) {
        if let Some(status) = fleet.child.try_wait().context("look after the fleet")? {
            bail!("the fleet ended ({status}); see {}", fleet.log.display());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Places for the sockets: in the demo's folder, or where names are short.
struct Sockets {
    dir: PathBuf,
    short: Option<tempfile::TempDir>,
}

impl Sockets {
    fn new(dir: &Path) -> Result<Self> {
        if dir.as_os_str().len() + "/agents.sock".len() < SOCKET_NAME {
            for name in ["front", "agents"] {
                let _ = fs::remove_file(dir.join(format!("{name}.sock")));
            }
            return Ok(Self { dir: dir.to_owned(), short: None });
        }
        let short = tempfile::Builder::new()
            .prefix("bartizan-demo-")
            .tempdir_in("/tmp")
            .context("make a folder in /tmp")?;
        Ok(Self { dir: short.path().to_owned(), short: Some(short) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.sock"))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if self.short.is_none() {
            for name in ["front", "agents"] {
                let _ = fs::remove_file(self.path(name));
            }
        }
    }
}

/// The fleet, in namespaces of its own.
struct Inside {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<Value>,
    log: PathBuf,
    user_namespace: bool,
}

impl Inside {
    fn start(orders: &Orders, dir: &Path) -> Result<Self> {
        let root = is_root();
        let mut unshare =
            vec!["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        if !root {
            unshare.extend(["--user", "--map-root-user"]);
            let mut probe = Command::new("unshare");
            probe
                .args(&unshare[1..])
                .arg("true")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            ensure!(probe.status().is_ok_and(|s| s.success()), "{}", not_allowed());
        }
        let log = dir.join("fleet.log");
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&unshare)
            .arg("--")
            .arg(std::env::current_exe()?)
            .arg("inside");
        // Not everybody has the system's programs in the path.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin"));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&log).with_context(|| format!("make {}", log.display()))?);
        let mut child = command.spawn().context("start the fleet")?;
        let mut input = child.stdin.take().context("the fleet has no input")?;
        let output = child.stdout.take().context("the fleet has no output")?;
        writeln!(input, "{}", orders.to_json()).context("tell the fleet")?;
        let (send, answers) = sync_channel(16);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(serde_json::from_str(&line).unwrap_or(Value::Null)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, orders: Some(input), answers, log, user_namespace: !root })
    }

    fn answer(&mut self) -> Result<Value> {
        self.answers.recv_timeout(ANSWER).map_err(|_| {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            anyhow::anyhow!("the fleet does not answer; it said:\n{}", text.trim())
        })
    }

    /// The hosts, once all are up.
    fn hosts(&mut self) -> Result<Vec<Value>> {
        let mut hosts = Vec::new();
        loop {
            let answer = self.answer()?;
            if answer["ready"] == true {
                return Ok(hosts);
            }
            let text = |key: &str| answer[key].as_str().unwrap_or_default();
            say(&format!("   {:<8} {:<14} {}", text("host"), text("v4"), text("v6")));
            hosts.push(answer);
        }
    }

    fn ask(&mut self, order: &str) -> Result<Value> {
        let input = self.orders.as_mut().context("the fleet has been ended")?;
        writeln!(input, "{order}").and_then(|()| input.flush()).context("tell the fleet")?;
        self.answer()
    }

    /// Lets the agents send what they have, and ends.
    fn end(mut self) -> Result<()> {
        drop(self.orders.take());
        let status =
            wait_until("the fleet to end", ANSWER, || self.child.try_wait().context("wait for the fleet"))?;
        ensure!(status.success(), "the fleet ended badly ({status}); see {}", self.log.display());
        Ok(())
    }

    /// The first process of the fleet's process namespace, as seen from here.
    fn first_process(&self) -> Option<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // With `unshare` its child dies, which is the first process of its namespace: with it everything there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|l| l.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().nth(1) == Some("0")
}

fn not_allowed() -> String {
    let exe = std::env::current_exe().map(|p| p.display().to_string()).unwrap_or_default();
    let mut text =
        "this machine does not let you make user namespaces. Become root for the demo:\n".to_owned();
    text.push_str(&format!("  sudo {exe} demo\n"));
    let exists = |key: &str| Path::new("/proc/sys/kernel").join(key).exists();
    if exists("unprivileged_userns_clone") {
        text.push_str("or allow them until the next boot: sudo sysctl kernel.unprivileged_userns_clone=1\n");
    }
    if exists("apparmor_restrict_unprivileged_userns") {
        text.push_str(
            "or allow them until the next boot: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0\n",
        );
    }
    text
}

/// `env` points a shell at the demo; `on HOST COMMAND…` runs a command on a host.
fn write_helpers(dir: &Path, server: &Server, fleet: &Inside, hosts: &[Value]) -> Result<()> {
    let quote = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
    let env = format!(
        "export BARTIZAN_DIR={}\nexport PATH={}:\"$PATH\"\n",
        quote(server.dir()),
        quote(&binaries()?)
    );
    fs::write(dir.join("env"), env).context("write the environment")?;
    let first = fleet.first_process().context("the fleet has no process")?;
    let user = if fleet.user_namespace { "-U --preserve-credentials " } else { "" };
    let mut script = String::from(
        "#!/bin/sh\n# on HOST COMMAND...: runs a command on a host of the running demo\ncase \"$1\" in\n",
    );
    for host in hosts {
        let text = |key: &str| host[key].as_str().unwrap_or_default();
        script.push_str(&format!("{}) netns={} ;;\n", text("host"), text("netns")));
    }
    script.push_str("*) echo 'on web|db|bastion COMMAND...' >&2; exit 2 ;;\nesac\nshift\nPATH=\"$PATH:/usr/sbin:/sbin\"\n");
    script.push_str(&format!("exec nsenter {user}-t {first} -m -n ip netns exec \"$netns\" \"$@\"\n"));
    let path = dir.join("on");
    fs::write(&path, script).context("write a script")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("make a script executable")
}

fn invite(dir: &Path, server: &Server, hosts: &[Value], seconds: Option<u64>) {
    let dir = std::env::current_dir().ok().and_then(|here| dir.strip_prefix(here).ok()).unwrap_or(dir);
    let (env, on) = (dir.join("env").display().to_string(), dir.join("on").display().to_string());
    let env = if env.starts_with('/') { env } else { format!("./{env}") };
    say(&format!(
        "\n{} hosts report what their firewalls refuse, to https://{}.\n",
        hosts.len(),
        server.front()
    ));
    super::say_link(server);
    say("In another terminal, here:");
    say(&format!("  . {env}"));
    say("then any of");
    for line in [
        "bartizan tail 'action:drop'",
        "bartizan search 'src:203.0.113.66 host:web' -n 20",
        "bartizan search 'dport:22 -host:bastion' --since 5m",
        "bartizan search '2001:db8:bad::/64 proto:udp' -o csv",
        "bartizan search 'action:drop' --by src,host --top 10",
        "bartizan search 'prefix:db-*' --count",
        "bartizan hosts",
        "bartizan losses",
    ] {
        say(&format!("  {line}"));
    }
    say("and, to see the rules or to make a packet of your own:");
    say(&format!("  {on} web nft list ruleset"));
    say(&format!("  {on} db ping -c 1 198.51.100.2; bartizan search 'host:db prefix:db-out*' -n 3"));
    match seconds {
        Some(seconds) => say(&format!("\nThis ends by itself in {seconds} s.")),
        None => say("\nCtrl-C ends it and leaves nothing behind."),
    }
}
