//! What goes wrong. Each fault begins, lasts, and ends with everything as it should be; two of them at one time never
//! hold the same thing.
//!
//! An agent is left alone while its spool has no disk, and until nothing waits in its memory: what it sends from there is in
//! no account on the disk yet, so one that dies then counts as lost what has arrived (`agent/src/memory.rs`).

use super::{stage::Stage, weather::Weather};
use crate::process::{signal, wait_until};
use anyhow::{Context as _, Result};
use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// What is held by a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Server,
    Agent,
    Link,
    Spool,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ServerKilled,
    ServerRestarted,
    ServerPaused,
    LakeFull,
    AgentKilled,
    WorkerKilled,
    AgentRestarted,
    AgentPaused,
    SpoolFull,
    LinkDown,
    LinkSilent,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::ServerKilled,
        Self::ServerRestarted,
        Self::ServerPaused,
        Self::LakeFull,
        Self::AgentKilled,
        Self::WorkerKilled,
        Self::AgentRestarted,
        Self::AgentPaused,
        Self::SpoolFull,
        Self::LinkDown,
        Self::LinkSilent,
    ];

    const fn held(self) -> Held {
        match self {
            Self::ServerKilled | Self::ServerRestarted | Self::ServerPaused | Self::LakeFull => Held::Server,
            Self::AgentKilled | Self::WorkerKilled | Self::AgentRestarted | Self::AgentPaused => Held::Agent,
            Self::SpoolFull => Held::Spool,
            Self::LinkDown | Self::LinkSilent => Held::Link,
        }
    }

    /// Whether the program at the server is another one afterwards.
    const fn ends_server(self) -> bool {
        matches!(self, Self::ServerKilled | Self::ServerRestarted)
    }

    /// Whether whoever asks the server may be refused.
    const fn disturbs(self) -> bool {
        self.ends_server() || matches!(self, Self::ServerPaused)
    }
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
struct Fault {
    kind: Kind,
    host: usize,
    until: Instant,
    phase: Phase,
}

/// How far a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Lasts,
    /// It is over, and its host is left alone until nothing waits in its agent's memory.
    Heals,
    /// And for a moment more, so that this is on the disk.
    Rests,
}

impl Fault {
    /// Whether one of another kind may not begin beside it, on a host if it is of one.
    fn excludes(&self, kind: Kind, host: usize) -> bool {
        match (self.kind.held(), kind.held()) {
            (Held::Server, Held::Server) => true,
            (Held::Agent | Held::Spool, Held::Agent | Held::Spool) | (Held::Link, Held::Link) => {
                self.host == host
            }
            _ => false,
        }
    }
}

/// Between two looks at an agent that heals, and how long it is left alone after that.
const HEALING: Duration = Duration::from_secs(2);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.held() {
            Held::Server => write!(f, "{:?}", self.kind),
            _ => write!(f, "{:?} {}", self.kind, self.host + 1),
        }
    }
}

/// Faults drawn from a pack: every kind comes before one comes again.
#[derive(Debug)]
pub(super) struct Faults {
    random: StdRng,
    pack: Vec<Kind>,
    next: Instant,
    now: Vec<Fault>,
    /// How many of each kind there were.
    pub(super) counts: BTreeMap<Kind, u64>,
    /// A run of seconds, in which all goes faster.
    short: bool,
}

impl Faults {
    pub(super) fn new(random: StdRng, short: bool) -> Self {
        Self {
            random,
            pack: Vec::new(),
            next: Instant::now(),
            now: Vec::new(),
            counts: BTreeMap::new(),
            short,
        }
    }

    /// Lets a storm begin with a moment of quiet, in which every agent has its account on its disk.
    pub(super) fn rest(&mut self) {
        self.next = Instant::now() + Duration::from_secs(1);
    }

    /// Ends what is over, and begins another one when it is time. `server_stays` is whether the server may not be ended.
    pub(super) fn go_on(&mut self, stage: &mut Stage, weather: &Weather, server_stays: bool) -> Result<()> {
        let now = Instant::now();
        while let Some(over) = self.now.iter().position(|fault| fault.until <= now) {
            let fault = self.now.swap_remove(over);
            let phase = match fault.phase {
                Phase::Rests => continue,
                Phase::Heals if stage.hosts[fault.host].holds_in_memory()? => Phase::Heals,
                Phase::Heals => Phase::Rests,
                Phase::Lasts => {
                    end(fault, stage, weather).with_context(|| format!("the end of {fault}"))?;
                    Phase::Heals
                }
            };
            if fault.kind == Kind::SpoolFull {
                self.now.push(Fault { phase, until: Instant::now() + HEALING, ..fault });
            }
        }
        if self.next <= now {
            if let Some(fault) = self.draw(stage.hosts.len(), server_stays) {
                begin(fault, stage, weather).with_context(|| format!("the beginning of {fault}"))?;
                *self.counts.entry(fault.kind).or_default() += 1;
                self.now.push(fault);
            }
            let longest = if self.short { 600 } else { 5000 };
            self.next = Instant::now() + Duration::from_millis(self.random.random_range(50..longest));
        }
        Ok(())
    }

    /// Ends all of them.
    pub(super) fn end(&mut self, stage: &mut Stage, weather: &Weather) -> Result<()> {
        for fault in self.now.drain(..).filter(|fault| fault.phase == Phase::Lasts) {
            end(fault, stage, weather).with_context(|| format!("the end of {fault}"))?;
        }
        Ok(())
    }

    /// Whether the agent of a host is in the hands of a fault.
    pub(super) fn holds_agent(&self, host: usize) -> bool {
        self.now.iter().any(|fault| fault.kind.held() == Held::Agent && fault.host == host)
    }

    /// Whether the server is.
    pub(super) fn holds_server(&self) -> bool {
        self.now.iter().any(|fault| fault.kind.held() == Held::Server)
    }

    /// In words for the line of progress.
    pub(super) fn words(&self) -> String {
        self.now
            .iter()
            .filter(|fault| fault.phase == Phase::Lasts)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The next one of the pack that holds nothing that is held.
    fn draw(&mut self, hosts: usize, server_stays: bool) -> Option<Fault> {
        let may = |kind: &Kind| !(server_stays && kind.ends_server());
        self.pack.retain(may);
        if self.pack.is_empty() {
            self.pack.extend(Kind::ALL.iter().filter(|kind| may(kind)));
            self.pack.shuffle(&mut self.random);
        }
        let lasts = if self.short { 100..2000 } else { 100..15_000 };
        let lasts = Duration::from_millis(self.random.random_range(lasts));
        for place in (0..self.pack.len()).rev() {
            let kind = self.pack[place];
            // The first host's agent is left alone, and its disk.
            let first = usize::from(matches!(kind.held(), Held::Agent | Held::Spool));
            let host = self.random.random_range(first..hosts);
            if !self.now.iter().any(|fault| fault.excludes(kind, host)) {
                self.pack.remove(place);
                return Some(Fault { kind, host, until: Instant::now() + lasts, phase: Phase::Lasts });
            }
        }
        None
    }
}

fn begin(fault: Fault, stage: &mut Stage, weather: &Weather) -> Result<()> {
    if fault.kind.disturbs() {
        weather.turn();
    }
    let host = &mut stage.hosts[fault.host];
    match fault.kind {
        Kind::ServerKilled => stage.server.kill(),
        Kind::ServerRestarted => stage.server.stop(),
        Kind::ServerPaused => signal(server(stage)?, "STOP"),
        // Now and then a commit still fits, and a merged file does not.
        Kind::LakeFull => stage.lake.squeeze(if fault.host.is_multiple_of(2) { 0 } else { 18 << 20 }),
        Kind::AgentKilled => host.agent.kill(),
        Kind::AgentRestarted => host.agent.stop(),
        Kind::WorkerKilled => {
            let worker = *host.processes()?.last().context("the agent has a process")?;
            signal(worker, "KILL")
        }
        Kind::AgentPaused => host.processes()?.into_iter().try_for_each(|id| signal(id, "STOP")),
        Kind::SpoolFull => host.spool.squeeze(0),
        Kind::LinkDown => stage.core.ip(&format!("link set {} down", host.name)),
        Kind::LinkSilent => {
            let (table, link) = (fault.host, &host.name);
            let chain = |name: &str, hook: &str, way: &str| {
                format!(
                    "chain {name} {{ type filter hook {hook} priority -300; policy accept; {way} \"{link}\" drop; }}"
                )
            };
            let chains = [chain("in", "prerouting", "iifname"), chain("out", "output", "oifname")].join("\n");
            stage.core.nft(&format!("table ip silent{table} {{\n{chains}\n}}"))
        }
    }
}

fn end(fault: Fault, stage: &mut Stage, weather: &Weather) -> Result<()> {
    let host = &mut stage.hosts[fault.host];
    match fault.kind {
        Kind::ServerKilled | Kind::ServerRestarted => stage.server.start(),
        Kind::ServerPaused => signal(server(stage)?, "CONT"),
        Kind::LakeFull => stage.lake.widen(),
        Kind::AgentKilled | Kind::AgentRestarted => host.agent.start(Some(&host.netns)),
        Kind::WorkerKilled => {
            // The one who has rights does not outlive the one who works; systemd starts both again.
            let running = host.agent.running().context("the agent was started")?;
            wait_until("the agent to end", Duration::from_secs(10), || running.ended())?;
            host.agent.kill()?;
            host.agent.start(Some(&host.netns))
        }
        Kind::AgentPaused => host.processes()?.into_iter().try_for_each(|id| signal(id, "CONT")),
        Kind::SpoolFull => host.spool.widen(),
        Kind::LinkDown => stage.core.ip(&format!("link set {} up", host.name)),
        Kind::LinkSilent => stage.core.nft(&format!("delete table ip silent{}", fault.host)),
    }?;
    if fault.kind.disturbs() {
        weather.turn();
    }
    Ok(())
}

fn server(stage: &mut Stage) -> Result<u32> {
    Ok(stage.server.running().context("the server does not run")?.id())
}
