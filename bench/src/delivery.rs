//! The agent beside ulogd2 on the same packets, and the server's cost of the same rows.
//!
//! One namespace, one thread that sends, rules that count and log: half of the runs to the agent, half to ulogd2,
//! in turn. What each one lost is exact: the rule's counter less what it wrote.

use crate::figure::{Figure, Goal};
use crate::machine::{cpu_seconds, median, peak_megabytes};
use crate::ulogd::Ulogd;
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Running, Server, wait_until};
use bartizan_e2e::traffic::udp_burst;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RATE: u64 = 50_000;
const PACKETS: u64 = RATE * 10;
const ROUNDS: usize = 3;
const GROUP: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(120);
/// Packets that wait on the host's disk when the server comes back.
const BACKLOG: u64 = 1_000_000;

pub(crate) fn run(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(product()?);
        theirs.push(ulogd()?);
    }
    let of = |all: &[Run], get: fn(&Run) -> f64| median(all.iter().map(get));
    let rate = format!("at {RATE} packets/s");
    let beside = |name: &str, get: fn(&Run) -> f64, unit: &str, goal: Goal| {
        Figure::new(&format!("{name}, {rate}"), of(&ours, get), unit, goal)
            .beside("ulogd2 JSON", of(&theirs, get))
    };
    figure(beside("packets lost", |r| r.lost, "packets", Goal::Equal(0.0)));
    figure(beside("agent CPU", |r| r.cpu, "s/million", Goal::None));
    figure(beside("agent memory, peak", |r| r.memory, "MB", Goal::Under(32.0)));
    figure(Figure::new(&format!("server CPU, {rate}"), of(&ours, |r| r.server), "s/million", Goal::None));
    backlog(figure)
}

/// One run of one consumer.
struct Run {
    lost: f64,
    /// Seconds of CPU of the consumer for a million packets.
    cpu: f64,
    /// Peak megabytes.
    memory: f64,
    /// Seconds of CPU of the server for a million rows.
    server: f64,
}

/// A namespace whose rule counts and logs every packet to port 9.
fn namespace() -> Result<Arc<NetNs>> {
    let netns = NetNs::new("bench")?;
    netns.nft(&format!(
        "table inet bench {{ chain input {{ type filter hook input priority 0; policy accept;\n           udp dport 9 counter log prefix \"bench drop: \" group {GROUP} drop\n}}\n}}\n"
    ))?;
    Ok(Arc::new(netns))
}

fn send(netns: &NetNs, packets: u64, rate: u64) -> Result<u64> {
    let target = "127.0.0.1:9".parse().context("an address")?;
    netns.run(|| udp_burst(target, packets, rate, 64))?
}

fn enrolled(netns: &Arc<NetNs>, dir: &Path) -> Result<(Server, Agent)> {
    let mut server = Server::new(&dir.join("server"), "")?.inside(netns);
    server.start()?;
    let settings = format!("groups = [{GROUP}]\nserver = \"{}\"", server.agents());
    let agent = Agent::new(&dir.join("agent"), &settings)?;
    agent.enrol(Some(netns), server.front(), &server.token(1)?, "bench")?;
    Ok((server, agent))
}

fn pid(running: Option<&mut Running>) -> Result<u32> {
    Ok(running.context("it does not run")?.id())
}

/// Waits until every packet is a committed row or a loss; the rows.
fn settled(server: &Server, netns: &NetNs) -> Result<(u64, u64)> {
    wait_until("all packets to be accounted for", PATIENCE, || {
        let (rows, losses, counted) = (server.search_count("")?, server.losses_sum()?, netns.counted(GROUP)?);
        ensure!(rows + losses <= counted, "{rows} rows and {losses} losses of {counted} packets");
        Ok((rows + losses == counted).then_some((rows, losses)))
    })
}

fn product() -> Result<Run> {
    let (netns, dir) = (namespace()?, tempfile::tempdir()?);
    let (mut server, mut agent) = enrolled(&netns, dir.path())?;
    agent.start(Some(&netns))?;
    agent.wait_for_capture(&netns, GROUP)?;
    let (agent_pid, server_pid) = (pid(agent.running())?, pid(server.running())?);
    let before = (cpu_seconds(agent_pid)?, cpu_seconds(server_pid)?);
    send(&netns, PACKETS, RATE)?;
    // all committed, before questions add to the server's CPU
    std::thread::sleep(Duration::from_secs(8));
    let after = (cpu_seconds(agent_pid)?, cpu_seconds(server_pid)?);
    let (rows, losses) = settled(&server, &netns)?;
    let million = PACKETS as f64 / 1e6;
    let run = Run {
        lost: losses as f64,
        cpu: (after.0 - before.0) / million,
        memory: peak_megabytes(agent_pid)?,
        server: (after.1 - before.1) / (rows as f64 / 1e6),
    };
    agent.stop()?;
    server.stop()?;
    Ok(run)
}

fn ulogd() -> Result<Run> {
    let (netns, dir) = (namespace()?, tempfile::tempdir()?);
    let mut ulogd = Ulogd::start(&netns, dir.path(), "JSON", GROUP)?;
    let pid = ulogd.id();
    let before = cpu_seconds(pid)?;
    send(&netns, PACKETS, RATE)?;
    std::thread::sleep(Duration::from_secs(8));
    let cpu = cpu_seconds(pid)? - before;
    let memory = peak_megabytes(pid)?;
    let written = ulogd.stop()?.events;
    let lost = netns.counted(GROUP)? as f64 - written as f64;
    Ok(Run { lost, cpu: cpu / (PACKETS as f64 / 1e6), memory, server: 0.0 })
}

/// A backlog of a million rows: how fast the server takes it in, and at what cost, from the wire to committed
/// Parquet.
fn backlog(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (netns, dir) = (namespace()?, tempfile::tempdir()?);
    let (mut server, mut agent) = enrolled(&netns, dir.path())?;
    server.stop()?;
    agent.start(Some(&netns))?;
    agent.wait_for_capture(&netns, GROUP)?;
    send(&netns, BACKLOG, RATE)?;
    std::thread::sleep(Duration::from_secs(1));
    // the agent starts anew, so that it connects at once and not after a pause
    agent.stop()?;
    server.start()?;
    agent.configure(&format!("groups = [{GROUP}]\nserver = \"{}\"", server.agents()))?;
    let server_pid = pid(server.running())?;
    let (before, start) = (cpu_seconds(server_pid)?, Instant::now());
    agent.start(Some(&netns))?;
    wait_until(
        "the backlog to arrive",
        PATIENCE,
        || Ok((server.search_count("")? >= BACKLOG).then_some(())),
    )?;
    let seconds = start.elapsed().as_secs_f64();
    // what was received last is committed by its age
    std::thread::sleep(Duration::from_secs(7));
    let cpu = cpu_seconds(server_pid)? - before;
    let (rows, _) = settled(&server, &netns)?;
    agent.stop()?;
    server.stop()?;
    let rows = rows as f64;
    figure(Figure::new("server, rows in from a backlog", rows / seconds, "rows/s", Goal::None));
    figure(Figure::new(
        "server CPU, wire to committed Parquet",
        cpu / (rows / 1e6),
        "s/million",
        Goal::Under(2.5),
    ));
    Ok(())
}
