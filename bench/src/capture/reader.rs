//! Who reads the packets: the agent, ulogd2, or a reader that only counts.

use super::stage::{Flood, GROUP, READER_CPU, Stage};
use crate::machine::{cpu_nanos, cpu_seconds, peak_megabytes, pin};
use crate::ulogd::Ulogd;
use anyhow::{Context as _, Result, ensure};
use bartizan_decode::netlink::Messages;
use bartizan_decode::nflog::NFULNL_MSG_PACKET;
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Server, wait_until};
use bartizan_model::{Epoch, Kind, Lane, Seq};
use bartizan_netfilter::{NflogConfig, NflogSocket, Received, RecvBuffer};
use bartizan_spool::{Config, Item, RealFs, Spool};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Agent,
    Counter,
    Ulogd(&'static str),
}

/// What one run showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Packets that the rule counted.
    pub(crate) counted: u64,
    /// How long they came.
    pub(crate) seconds: f64,
    /// Events written.
    pub(crate) events: u64,
    /// Events that are lost by the reader's own account.
    pub(crate) ledger: u64,
    /// Seconds of CPU, drained to the end.
    pub(crate) cpu: f64,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Peak megabytes.
    pub(crate) memory: f64,
}

impl Run {
    pub(crate) fn lost(&self) -> f64 {
        self.counted as f64 - self.events as f64
    }

    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu / (self.events as f64 / 1e6)
    }

    pub(crate) fn bytes_per_event(&self) -> f64 {
        self.bytes as f64 / self.events as f64
    }

    /// Events a second, if none was lost.
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// An agent's folder that is enrolled, to be copied for each run; its server is away.
pub(crate) struct Enrolled {
    dir: tempfile::TempDir,
    server: String,
}

impl Enrolled {
    pub(crate) fn new() -> Result<Self> {
        let (dir, netns) = (tempfile::tempdir()?, Arc::new(NetNs::new("enrol")?));
        let mut server = Server::new(&dir.path().join("server"), "")?.inside(&netns);
        server.start()?;
        let agent = Agent::new(&dir.path().join("agent"), "")?;
        agent.enrol(Some(&netns), server.front(), &server.token(1)?, "bench")?;
        let address = server.agents().to_string();
        server.stop()?;
        Ok(Self { dir, server: address })
    }

    /// An agent with an empty spool.
    pub(crate) fn agent(&self, dir: &Path, settings: &str) -> Result<Agent> {
        let agent = Agent::new(dir, &format!("server = {:?}\n{settings}", self.server))?;
        let from = self.dir.path().join("agent");
        copy(&from, dir, &agent.config())?;
        Ok(agent)
    }
}

fn copy(from: &Path, to: &Path, except: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, except)?;
        } else if target != except {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// One run: a flood, drained to the end.
pub(crate) fn run(who: Who, enrolled: &Enrolled, flood: Flood) -> Result<Run> {
    let (stage, dir) = (Stage::logging()?, tempfile::tempdir()?);
    let mut run = Run::default();
    let mut measure = |pid: u32| -> Result<()> {
        pin(pid, READER_CPU)?;
        let before = cpu_seconds(pid)?;
        run.seconds = stage.flood(flood)?.1;
        drained(pid);
        run.cpu = cpu_seconds(pid)? - before;
        run.memory = peak_megabytes(pid)?;
        run.counted = stage.counted()?;
        Ok(())
    };
    match who {
        Who::Agent => {
            let mut agent = enrolled.agent(dir.path(), &format!("groups = [{GROUP}]"))?;
            agent.start(Some(&stage.netns))?;
            agent.wait_for_capture(&stage.netns, GROUP)?;
            thread::sleep(Duration::from_millis(500));
            measure(agent.running().context("it does not run")?.id())?;
            agent.stop()?;
            (run.events, run.ledger, run.bytes) = spooled(dir.path(), Kind::Events)?;
        }
        Who::Counter => {
            let counter = counter(&stage.netns)?;
            measure(counter.id())?;
            // the end of its input ends it
            let said = counter.wait_with_output().context("wait for the counting reader")?;
            run.events = String::from_utf8_lossy(&said.stdout).trim().parse().context("what it counted")?;
        }
        Who::Ulogd(output) => {
            let mut ulogd = Ulogd::start(&stage.netns, dir.path(), output, GROUP)?;
            measure(ulogd.id())?;
            let written = ulogd.stop()?;
            (run.events, run.bytes) = (written.events, written.bytes);
        }
    }
    Ok(run)
}

/// Seconds of a core that the agent uses for nothing at all, in per cent of one.
pub(crate) fn idle(enrolled: &Enrolled, span: Duration) -> Result<f64> {
    let (stage, dir) = (Stage::logging()?, tempfile::tempdir()?);
    let mut agent = enrolled.agent(dir.path(), &format!("groups = [{GROUP}]"))?;
    agent.start(Some(&stage.netns))?;
    agent.wait_for_capture(&stage.netns, GROUP)?;
    thread::sleep(Duration::from_secs(5));
    let pid = agent.running().context("it does not run")?.id();
    let before = cpu_nanos(pid);
    thread::sleep(span);
    let used = cpu_nanos(pid).saturating_sub(before);
    agent.stop()?;
    Ok(used as f64 / span.as_nanos() as f64 * 100.0)
}

/// Waits until a program has used next to no CPU for a while.
pub(crate) fn drained(pid: u32) {
    let start = Instant::now();
    let mut quiet = 0;
    while quiet < 12 && start.elapsed() < PATIENCE {
        let before = cpu_nanos(pid);
        thread::sleep(Duration::from_millis(100));
        quiet = if cpu_nanos(pid).saturating_sub(before) < 5_000_000 { quiet + 1 } else { 0 };
    }
}

/// What lies in the spool of an agent that has ended: events or flows, losses, bytes. Rows of flows are counted above
/// the low 40 bits of a record's weight.
pub(crate) fn spooled(dir: &Path, kind: Kind) -> Result<(u64, u64, u64)> {
    let (mut events, mut losses, mut bytes) = (0, 0, 0);
    for lane in Lane::DISK {
        let config = Config::new(dir.join("spool").join(lane.number().to_string()), 1 << 40);
        let (mut spool, _) = Spool::open(config, RealFs, Epoch(u64::MAX), Instant::now())?;
        spool.sync(Instant::now())?;
        bytes += spool.backlog().bytes;
        let mut after = Seq::ZERO;
        while let Some(item) = spool.read(after)? {
            after = item.last();
            match item {
                Item::Record(record) if record.kind == kind && kind == Kind::Flows => {
                    events += record.weight >> 40
                }
                Item::Record(record) if record.kind == kind => events += record.weight,
                Item::Record(record) if record.kind == Kind::Losses => losses += record.weight,
                Item::Record(_) => {}
                Item::Hole(hole) => losses += hole.weight,
            }
        }
    }
    Ok((events, losses, bytes))
}

fn counter(netns: &NetNs) -> Result<Child> {
    let exe = std::env::current_exe().context("where is this program")?;
    let mut command = netns.command(exe);
    let child =
        command.args(["count", &GROUP.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let child = child.context("start the counting reader")?;
    wait_until("the counting reader to capture", PATIENCE, || {
        let table = netns.run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log"))??;
        Ok((!table.trim().is_empty()).then_some(()))
    })?;
    Ok(child)
}

/// The counting reader: messages of a group, until the end of its input.
pub(crate) fn count(group: u16) -> Result<u64> {
    let mut config = NflogConfig::new(group);
    config.copy_range = 128;
    config.queue_threshold = 1024;
    let socket = NflogSocket::open(&config)?;
    let waker = socket.waker();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        waker.stop();
    });
    let (mut buffer, mut messages) = (RecvBuffer::new(), 0);
    loop {
        match socket.recv(&mut buffer, Duration::from_secs(60))? {
            Received::Datagram(bytes) => {
                let packets =
                    Messages::new(bytes).flatten().filter(|message| message.kind == NFULNL_MSG_PACKET);
                messages += packets.count() as u64;
            }
            Received::Stopped => return Ok(messages),
            other => ensure!(!matches!(other, Received::Truncated(_)), "a datagram did not fit"),
        }
    }
}
