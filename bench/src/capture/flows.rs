//! Conntrack's events: the agent beside ulogd2's JSON, each at rising rates until one is lost.

use super::reader::{Enrolled, drained, spooled};
use super::stage::{Flood, READER_CPU, Stage};
use crate::figure::{Figure, Goal};
use crate::machine::{cpu_seconds, median, pin};
use crate::ulogd::Ulogd;
use anyhow::{Context as _, Result};
use bartizan_e2e::process::wait_until;
use bartizan_model::Kind;
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

const ROUNDS: usize = 3;
const SECONDS: f64 = 3.0;
/// Flows a second.
const RATES: [u64; 5] = [20_000, 40_000, 60_000, 120_000, 180_000];
const LOWEST: f64 = RATES[0] as f64;
const PATIENCE: Duration = Duration::from_secs(60);

/// One run at one rate.
struct Run {
    flows: u64,
    rows: u64,
    cpu: f64,
    seconds: f64,
}

pub(super) fn run(enrolled: &Enrolled, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(lossless(|rate| agent(enrolled, rate))?);
        theirs.push(lossless(ulogd)?);
    }
    let of = |runs: &[(f64, f64)], get: fn(&(f64, f64)) -> f64| median(runs.iter().map(get));
    let (rate, peer) = (of(&ours, |r| r.0), of(&theirs, |r| r.0));
    figure(
        // a peer that loses at the lowest rate already has less than that
        Figure::new(
            "flows, loss-free into the spool",
            rate,
            "flows/s",
            Goal::AtLeast(3.0 * peer.max(LOWEST)),
        )
        .beside("ulogd2 JSON", peer),
    );
    figure(
        Figure::new("CPU for flows, at that rate", of(&ours, |r| r.1), "s/million", Goal::None)
            .beside("ulogd2 JSON", of(&theirs, |r| r.1)),
    );
    Ok(())
}

/// The highest of the rates at which no flow is lost, as it came out, and CPU for a million flows there.
fn lossless(mut at: impl FnMut(u64) -> Result<Run>) -> Result<(f64, f64)> {
    let mut best = (0.0, f64::NAN);
    for rate in RATES {
        let run = at(rate)?;
        if run.rows < run.flows {
            break;
        }
        best = (run.flows as f64 / run.seconds, run.cpu / (run.flows as f64 / 1e6));
    }
    Ok(best)
}

fn agent(enrolled: &Enrolled, rate: u64) -> Result<Run> {
    let (stage, dir) = (Stage::tracking()?, tempfile::tempdir()?);
    let settings = "groups = [7]\n[flows]\nenabled = true\n";
    let mut agent = enrolled.agent(dir.path(), settings)?;
    agent.start(Some(&stage.netns))?;
    agent.wait_for_capture(&stage.netns, 7)?;
    std::thread::sleep(Duration::from_secs(1));
    let (flows, cpu, seconds) = measure(&stage, rate, agent.running().context("it does not run")?.id())?;
    agent.stop()?;
    let (rows, _, _) = spooled(dir.path(), Kind::Flows)?;
    Ok(Run { flows, rows, cpu, seconds })
}

/// One line for the end of each flow.
fn ulogd(rate: u64) -> Result<Run> {
    let (stage, dir) = (Stage::tracking()?, tempfile::tempdir()?);
    let mut ulogd = Ulogd::flows(&stage.netns, dir.path())?;
    let (flows, cpu, seconds) = measure(&stage, rate, ulogd.id())?;
    Ok(Run { flows, rows: ulogd.stop()?.events, cpu, seconds })
}

/// Makes flows and waits until the kernel has forgotten them all.
fn measure(stage: &Stage, rate: u64, pid: u32) -> Result<(u64, f64, f64)> {
    // nobody answers, and nobody says that the port is closed
    let open = stage.netns.run(|| UdpSocket::bind("10.99.0.2:9"))??;
    pin(pid, READER_CPU)?;
    let before = cpu_seconds(pid)?;
    let (_, seconds) = stage.flood(Flood { mix: "flows", rate, count: u64::MAX, seconds: SECONDS })?;
    wait_until("the flows to end", PATIENCE, || {
        // the kernel looks for flows that have ended up to once a minute, and whenever somebody lists them
        stage.netns.command("conntrack").arg("-L").stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok((stage.flows()?.1 == 0).then_some(()))
    })?;
    drained(pid);
    drop(open);
    Ok((stage.flows()?.0, cpu_seconds(pid)? - before, seconds))
}
