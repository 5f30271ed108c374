//! Who takes part: a server in a namespace of its own, hosts with rules and agents, a link from each to the server.
//!
//! ```text
//! core 10.77.0.1 (server, rsyslog, whoever asks)
//!   |- 10.77.1.0/30 - steady   its agent is never killed: what its memory does is what a year would do
//!   |- 10.77.2.0/30 - host-2
//!   '- ...
//! ```
//! The packets that rules log are on each host's loopback: they come whatever becomes of its link.

use super::disk::Disk;
use crate::{
    firewall::{self, GROUP, MARKER, PORT},
    netns::{End, NetNs},
    process::{Agent, Server, family, program},
    traffic,
};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

/// Packets that end a piece of traffic.
const MARKERS: u64 = 10;
/// Where the server takes RELP.
pub(super) const RELP: u16 = 2514;
/// The host of what comes there.
pub(super) const SENDER: &str = "relp-gw";

/// Small files and plenty of them, so that merging, sorting and counting go on all the time.
const SERVER: &str = "commit.age_ms = 250\ncommit.reserve_megabytes = 16\ncompact.unit_rows = 65536\n\
    compact.newest_rows = 20000\ncompact.settle_minutes = 0\nkeep.removed_hours = 1\n\
    [[collect]]\nkind = \"relp\"\naddress = \"127.0.0.1:2514\"\n";
const LAKE_MEGABYTES: u64 = 4096;
const SPOOL_MEGABYTES: u64 = 128;

/// A host. Fields are dropped in this order: programs before what they stand on.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) agent: Agent,
    pub(super) spool: Disk,
    pub(super) netns: Arc<NetNs>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) hosts: Vec<Host>,
    pub(super) server: Server,
    pub(super) lake: Disk,
    pub(super) core: Arc<NetNs>,
}

impl Stage {
    /// Everything is up, and every agent captures.
    pub(super) fn new(dir: &Path, hosts: u8) -> Result<Self> {
        let core = Arc::new(NetNs::new("core")?);
        core.ip("address add 10.77.0.1/32 dev lo")?;
        let listen = [8443, 8444].map(|port| SocketAddr::from(([10, 77, 0, 1], port)));
        let lake = Disk::mount(&dir.join("server/lake"), LAKE_MEGABYTES)?;
        let mut server = Server::listening(&dir.join("server"), SERVER, listen)?.inside(&core);
        server.start()?;
        let token = server.token(hosts.into())?;
        let hosts = (1..=hosts).map(|n| {
            let name = if n == 1 { "steady".to_owned() } else { format!("host-{n}") };
            Host::new(&dir.join(&name), name, n, &core, server.front(), &token)
        });
        Ok(Self { hosts: hosts.collect::<Result<_>>()?, server, lake, core })
    }

    /// What all rules counted.
    pub(super) fn counted(&self) -> Result<u64> {
        self.hosts.iter().map(|host| host.netns.counted(GROUP)).sum()
    }
}

impl Host {
    fn new(dir: &Path, name: String, n: u8, core: &NetNs, server: SocketAddr, token: &str) -> Result<Self> {
        let netns = Arc::new(NetNs::new(&name)?);
        let near = End { netns: core, name: &name, addresses: &[&format!("10.77.{n}.1/30")] };
        let far = End { netns: &netns, name: "eth0", addresses: &[&format!("10.77.{n}.2/30")] };
        NetNs::link(near, far)?;
        netns.ip(&format!("route add {} via 10.77.{n}.1", server.ip()))?;
        firewall::drop_and_count(&netns)?;
        let spool = Disk::mount(&dir.join("spool"), SPOOL_MEGABYTES)?;
        let mut agent = Agent::new(dir, &format!("groups = [{GROUP}]\nspool.megabytes = 64"))?;
        agent.enrol(Some(&netns), server, token, &name)?;
        agent.start(Some(&netns))?;
        agent.wait_for_capture(&netns, GROUP)?;
        Ok(Self { name, agent, spool, netns })
    }

    /// The packets that end a piece of traffic: behind a burst whose end was lost, they show how long it was.
    pub(super) fn mark(&self) -> Result<()> {
        let to = (Ipv4Addr::LOCALHOST, MARKER).into();
        self.netns.run(|| traffic::udp_burst(to, MARKERS, 0, 20))?.map(drop)
    }

    /// Whether rows wait in the agent's memory; also when it does not say.
    pub(super) fn holds_in_memory(&self) -> Result<bool> {
        let mut command = program(Some(&self.netns), "bartizan-agent")?;
        command.args(["status", "-o", "json", "--config"]).arg(self.agent.config());
        let said = command.output().context("ask the agent")?.stdout;
        let status: Value = serde_json::from_slice(&said).unwrap_or_default();
        Ok(status["spool"]["memory"]["records"] != 0)
    }

    /// The agent's processes: who has rights first, then who has none.
    pub(super) fn processes(&mut self) -> Result<Vec<u32>> {
        Ok(family(self.agent.running().context("the agent does not run")?.id()))
    }
}

/// Where traffic goes, by both families.
pub(super) fn targets() -> [SocketAddr; 2] {
    [(Ipv4Addr::LOCALHOST, PORT).into(), (Ipv6Addr::LOCALHOST, PORT).into()]
}
