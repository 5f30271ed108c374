//! The agent from the kernel to the disk, beside ulogd2 and a reader that only counts.
//!
//! One namespace floods another over a veth, from one core, and the kernel's work for the packets stays on it; who
//! reads them has the other core. Packets are read from the rule's counter and events from what was written, so that
//! losses are exact; CPU is that of all processes of the reader, system time included, drained to the end. All in
//! turn, three rounds, medians.

mod flows;
mod forward;
mod reader;
mod stage;

use crate::figure::{Figure, Goal};
use crate::machine::median;
use anyhow::{Context as _, Result, ensure};
use reader::{Enrolled, Run, Who};
use stage::Flood;
use std::time::Duration;

pub(crate) use reader::count;

const ROUNDS: usize = 3;
/// Seconds of a flood.
const SECONDS: f64 = 4.0;
const FULL_SPEED: Flood = Flood { mix: "scan", rate: 0, count: u64::MAX, seconds: SECONDS };
/// What each kind of ulogd2 can nearly do without loss, in packets a second.
const PEERS: [(&str, u64); 3] = [("JSON", 30_000), ("LOGEMU", 150_000), ("PCAP", 500_000)];

pub(crate) fn run(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    ensure!(std::thread::available_parallelism()?.get() > 1, "two cores are needed: one sends, one reads");
    let enrolled = Enrolled::new()?;
    full_speed(&enrolled, figure)?;
    for (output, rate) in PEERS {
        beside(&enrolled, output, rate, figure)?;
    }
    burst(&enrolled, figure)?;
    let idle = reader::idle(&enrolled, Duration::from_secs(20))?;
    figure(Figure::new("idle CPU", idle, "%", Goal::Under(0.2)));
    forward::run(&enrolled, figure)?;
    flows::run(&enrolled, figure)
}

/// Only what forwarded traffic feels.
pub(crate) fn forward(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    forward::run(&Enrolled::new()?, figure)
}

/// Only the flows.
pub(crate) fn flows(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    flows::run(&Enrolled::new()?, figure)
}

/// As much as the flood can send, or as much as is not lost.
fn full_speed(enrolled: &Enrolled, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (mut agent, mut counter) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        counter.push(lossless(Who::Counter, enrolled)?);
        agent.push(lossless(Who::Agent, enrolled)?);
    }
    let of = |runs: &[Run], get: fn(&Run) -> f64| median(runs.iter().map(get));
    let rates = (of(&agent, Run::rate), of(&counter, Run::rate));
    let beside = |name: &str, get: fn(&Run) -> f64, unit: &str, goal: Goal| {
        Figure::new(name, of(&agent, get), unit, goal).beside("counting reader", of(&counter, get))
    };
    figure(beside("loss-free into the spool", Run::rate, "events/s", Goal::AtLeast(1e6)));
    figure(Figure::new("of the counting reader's", rates.0 / rates.1 * 100.0, "%", Goal::AtLeast(80.0)));
    figure(beside("CPU to fsynced spool, full speed", Run::cpu_per_million, "s/million", Goal::Under(0.35)));
    figure(Figure::new(
        "spool, full speed",
        of(&agent, Run::bytes_per_event),
        "bytes/event",
        Goal::Under(20.0),
    ));
    figure(beside("memory, peak, full speed", |r| r.memory, "MB", Goal::Under(48.0)));
    Ok(())
}

/// The fastest flood of which nothing is lost: full speed, or less by tenths.
fn lossless(who: Who, enrolled: &Enrolled) -> Result<Run> {
    let mut run = reader::run(who, enrolled, FULL_SPEED)?;
    let offered = run.rate().max(run.counted as f64 / run.seconds);
    for tenths in (3..10).rev() {
        if run.lost() == 0.0 {
            break;
        }
        run = reader::run(
            who,
            enrolled,
            Flood { rate: (offered * f64::from(tenths) / 10.0) as u64, ..FULL_SPEED },
        )?;
    }
    ensure!(run.lost() == 0.0, "{who:?} loses at any rate: {run:?}");
    Ok(run)
}

/// At a rate that a peer can take.
fn beside(
    enrolled: &Enrolled,
    output: &'static str,
    rate: u64,
    figure: &mut dyn FnMut(Figure),
) -> Result<()> {
    let flood = Flood { rate, ..FULL_SPEED };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(reader::run(Who::Agent, enrolled, flood)?);
        theirs.push(reader::run(Who::Ulogd(output), enrolled, flood)?);
    }
    let of = |runs: &[Run], get: fn(&Run) -> f64| median(runs.iter().map(get));
    let mut put = |name: &str, get: fn(&Run) -> f64, unit: &str, goal: Goal| {
        let name = format!("{name}, {rate}/s");
        figure(
            Figure::new(&name, of(&ours, get), unit, goal)
                .beside(&format!("ulogd2 {output}"), of(&theirs, get)),
        );
    };
    put("lost", Run::lost, "events", Goal::Equal(0.0));
    put("CPU", Run::cpu_per_million, "s/million", Goal::Under(0.35));
    put("bytes", Run::bytes_per_event, "bytes/event", Goal::Under(20.0));
    put("memory, peak", |r| r.memory, "MB", Goal::Under(48.0));
    Ok(())
}

/// A million packets at full speed.
fn burst(enrolled: &Enrolled, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let flood = Flood { count: 1_000_000, seconds: 60.0, ..FULL_SPEED };
    let mut runs =
        (0..ROUNDS).map(|_| reader::run(Who::Agent, enrolled, flood)).collect::<Result<Vec<_>>>()?;
    let off = |r: &Run| (r.counted as f64 - (r.events + r.ledger) as f64).abs();
    runs.sort_by(|a, b| off(a).total_cmp(&off(b)).then(a.ledger.cmp(&b.ledger)));
    let worst = runs.last().context("no run")?;
    figure(Figure::new("burst of 1 million, lost, worst of 3", worst.lost(), "events", Goal::None));
    figure(Figure::new("burst: counter less rows and ledger", off(worst), "events", Goal::Equal(0.0)));
    Ok(())
}
