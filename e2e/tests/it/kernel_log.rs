//! Rules with `LOG`: what they counted is found, whatever is restarted, from `/dev/kmsg` and from a real journal.
//!
//! The kernel's log is one for the whole machine, and namespaces write to it only while
//! `net.netfilter.nf_log_all_netns` is 1. Each test has a prefix of its own.

use crate::netfilter::possible;
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Running, Server, program, signal, wait_until};
use bartizan_e2e::traffic;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const ALL_NETNS: &str = "/proc/sys/net/netfilter/nf_log_all_netns";
const PORT: u16 = 9;

/// Lets namespaces write to the kernel's log until it is dropped.
struct Logging(String);

impl Logging {
    fn on() -> Self {
        let before = std::fs::read_to_string(ALL_NETNS).unwrap();
        std::fs::write(ALL_NETNS, "1").unwrap();
        Self(before)
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        drop(std::fs::write(ALL_NETNS, &self.0));
    }
}

struct Host {
    agent: Agent,
    server: Server,
    netns: Arc<NetNs>,
    dir: TempDir,
    prefix: String,
    _logging: Logging,
}

impl Host {
    fn new(label: &str, from: &str) -> Self {
        let logging = Logging::on();
        let dir = tempfile::tempdir().unwrap();
        let netns = Arc::new(NetNs::new(label).unwrap());
        let prefix = format!("{label}-{}-drop: ", std::process::id());
        netns
            .nft(&format!(
                "table inet f {{ chain input {{ type filter hook input priority filter; policy accept;
                 udp dport {PORT} counter log prefix \"{prefix}\" drop\n }}\n }}"
            ))
            .unwrap();
        let mut server = Server::new(&dir.path().join("server"), "").unwrap().inside(&netns);
        let settings = format!("groups = [5]\nkernel_log.from = \"{from}\"\nspool.sync_ms = 50");
        let agent = Agent::new(&dir.path().join("agent"), &settings).unwrap();
        server.start().unwrap();
        let token = server.token(1).unwrap();
        agent.enrol(Some(&netns), server.front(), &token, "web-01").unwrap();
        Self { agent, server, netns, dir, prefix, _logging: logging }
    }

    fn start(&mut self) {
        self.agent.start(Some(&self.netns)).unwrap();
        self.agent.wait_for_capture(&self.netns, 5).unwrap();
    }

    fn send(&self, count: u64, rate: u64) {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        self.netns.run(|| traffic::udp_burst(to, count, rate, 60).unwrap()).unwrap();
    }

    /// What the rule counted.
    fn counted(&self) -> u64 {
        let output = self.netns.command("nft").args(["list", "ruleset"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut words = text.split_whitespace().skip_while(|w| *w != "packets");
        words.nth(1).unwrap().parse().unwrap()
    }

    fn filter(&self) -> String {
        format!("prefix:\"{}\"", self.prefix)
    }

    fn found(&self) -> u64 {
        self.server.search_count(&self.filter()).unwrap()
    }

    /// Waits until everything that was counted is found, each once.
    fn settle(&self) {
        let want = self.counted();
        let what = format!("{want} rows");
        wait_until(&what, Duration::from_secs(60), || Ok((self.found() >= want).then_some(()))).unwrap();
        assert_eq!((self.found(), self.server.duplicates(&self.filter()).unwrap()), (want, 0));
    }
}

#[test]
fn kernel_lines_are_found_once_whatever_is_restarted() {
    if !possible() {
        return;
    }
    let mut host = Host::new("kmsg", "kmsg");
    // nothing was read yet: what comes now is not asked for
    host.start();
    host.send(500, 5000);
    host.settle();
    let rows = host.server.rows_of(&host.filter(), "source,action,in_if,proto,dport,src").unwrap();
    let row = &rows[0];
    assert_eq!((&row["source"], &row["proto"], &row["dport"]), (&"kmsg".into(), &"udp".into(), &PORT.into()));
    // stopped: read on behind the position
    host.agent.stop().unwrap();
    host.send(300, 5000);
    host.start();
    host.settle();
    // killed in the middle; the kernel keeps no more than a few hundred lines meanwhile
    for _ in 0..3 {
        let netns = Arc::clone(&host.netns);
        let sending = std::thread::spawn(move || {
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
            netns.run(|| traffic::udp_burst(to, 400, 1000, 60).unwrap()).unwrap();
        });
        std::thread::sleep(Duration::from_millis(230));
        host.agent.kill().unwrap();
        sending.join().unwrap();
        host.start();
        host.settle();
    }
    assert_eq!(host.server.losses_sum().unwrap(), 0, "{:?}", host.server.losses());
}

/// The process that reads, below the opener.
fn worker(opener: u32) -> u32 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids: Vec<u32> = processes.filter_map(|p| p.file_name().to_str()?.parse().ok()).collect();
    let parent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    // the opener has other children for moments: nft
    let is_worker = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0worker\0"))
    };
    pids.into_iter().find(|pid| parent(*pid) == Some(opener) && is_worker(pid)).unwrap()
}

#[test]
fn what_the_kernel_overwrote_is_on_the_ledger() {
    if !possible() {
        return;
    }
    let mut host = Host::new("overrun", "kmsg");
    host.start();
    host.send(10, 1000);
    host.settle();
    let pid = worker(host.agent.running().unwrap().id());
    signal(pid, "STOP").unwrap();
    // more than the kernel's buffer holds
    host.send(60_000, 0);
    signal(pid, "CONT").unwrap();
    host.send(10, 1000);
    let counted = host.counted();
    let sum = || anyhow::Ok(host.found() + host.server.losses_sum()?);
    wait_until("rows and losses", Duration::from_secs(60), || Ok((sum()? >= counted).then_some(()))).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let (found, lost) = (host.found(), host.server.losses_sum().unwrap());
    eprintln!("{counted} counted, {found} found, {lost} lost");
    assert!(lost > 0 && found < counted);
    // messages of others between them are lost as well, and nobody can tell them apart
    assert!((counted..counted + 200).contains(&(found + lost)), "{found} + {lost} for {counted}");
    let losses = host.server.losses().unwrap();
    assert!(losses.iter().all(|l| l["stage"] == "kernel" && l["reason"] == "overrun"), "{losses:?}");
}

/// A journald of its own, with its files in a mount namespace that ends with it.
struct Journald {
    process: Running,
}

impl Journald {
    fn start(host: &Host) -> Option<Self> {
        let daemon = "/lib/systemd/systemd-journald";
        if !std::path::Path::new(daemon).exists() {
            eprintln!("NOT RUN: {daemon} is missing: install systemd");
            return None;
        }
        let script = format!(
            "set -e; mkdir -p /run/systemd /run/log /var/log; mount --make-rprivate /
             for d in /run/systemd /run/log /var/log; do mount -t tmpfs tmpfs $d; done
             mkdir -p /run/systemd/journal /var/log/journal; exec {daemon}"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        let process = Running::start(command, &host.dir.path().join("journald.log")).unwrap();
        let journald = Self { process };
        let started =
            || Ok(journald.ctl(&["--lines=1", "--quiet"]).is_some_and(|o| !o.is_empty()).then_some(()));
        wait_until("journald", Duration::from_secs(20), started).unwrap();
        Some(journald)
    }

    /// A program beside it.
    fn inside(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.args(["--mount", "--target", &self.process.id().to_string(), "--"]);
        entered.arg(command.get_program()).args(command.get_args());
        entered
    }

    fn ctl(&self, args: &[&str]) -> Option<Vec<u8>> {
        let mut command = Command::new("journalctl");
        command.args(args);
        let output = self.inside(&command).stderr(Stdio::null()).output().ok()?;
        output.status.success().then_some(output.stdout)
    }
}

#[test]
fn a_journal_is_followed_over_rotation_and_vacuum() {
    if !possible() {
        return;
    }
    let host = Host::new("journal", "journald");
    let Some(journald) = Journald::start(&host) else { return };
    let agent = |n: u32| {
        let mut command = program(Some(&host.netns), "bartizan-agent").unwrap();
        command.arg("run").arg("--config").arg(host.agent.config());
        let log = host.dir.path().join(format!("agent-{n}.log"));
        let running = Running::start(journald.inside(&command), &log).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        running
    };
    let running = agent(1);
    host.send(400, 2000);
    host.settle();
    // rotated while it is followed
    journald.ctl(&["--rotate"]).unwrap();
    host.send(400, 2000);
    host.settle();
    // away, rotated: the cursor is in an old file
    running.stop().unwrap();
    host.send(200, 2000);
    std::thread::sleep(Duration::from_millis(500));
    journald.ctl(&["--rotate"]).unwrap();
    host.send(200, 2000);
    let running = agent(2);
    host.settle();
    assert_eq!(host.server.losses_sum().unwrap(), 0, "{:?}", host.server.losses());
    // away, rotated and vacuumed: the cursor is gone, and so is what was there at first
    running.stop().unwrap();
    let before = host.found();
    host.send(300, 2000);
    std::thread::sleep(Duration::from_millis(500));
    journald.ctl(&["--rotate"]).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    journald.ctl(&["--vacuum-files=1"]).unwrap();
    host.send(200, 2000);
    let running = agent(3);
    let retained = before + 200;
    wait_until("what is left", Duration::from_secs(30), || Ok((host.found() >= retained).then_some(())))
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let (found, lost) = (host.found(), host.server.losses_sum().unwrap());
    eprintln!("{} counted, {found} found, {lost} lost", host.counted());
    assert_eq!(host.server.duplicates(&host.filter()).unwrap(), 0);
    assert!(found + lost >= host.counted() && lost <= 2000, "{found} + {lost} for {}", host.counted());
    running.stop().unwrap();
}
