//! The calm after a storm: everything adds up, or something is broken.

use super::{
    life::Sender,
    questions::four_ways,
    stage::{SENDER, Stage},
    tail::Tail,
};
use crate::firewall::GROUP;
use crate::process::{Server, wait_until};
use anyhow::{Context as _, Result, ensure};
use std::{collections::BTreeMap, fmt, time::Duration};

/// How long it may take until everything has arrived: a link that was silent for long is tried again within half a
/// minute, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// What there is, of all hosts together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Packets by the rules' counters.
    pub(super) counted: u64,
    /// Packets by the rows of these hosts.
    pub(super) rows: u64,
    /// Packets on the ledger.
    pub(super) lost: u64,
    /// Lines of the sender.
    pub(super) lines: u64,
    /// Rows that the tails have shown, or were told to be too slow for.
    pub(super) shown: u64,
    /// Of these, the second.
    pub(super) skipped: u64,
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counted, rows, lost, lines, shown, skipped } = self;
        write!(f, "{counted} counted = {rows} rows + {lost} lost; {lines} lines; tails: {shown} rows, ")?;
        write!(f, "{skipped} of them passed over")
    }
}

/// Waits until everything has arrived, and holds it against what was sent.
pub(super) fn check(
    stage: &Stage,
    sender: Option<&Sender>,
    tails: &mut [Tail],
    server: &Server,
) -> Result<Sums> {
    let mut sums = Sums::default();
    for host in &stage.hosts {
        let counted = host.netns.counted(GROUP)?;
        let filter = format!("host:{}", host.name);
        let mut last = (0, 0);
        let settled = wait_until("everything of a host", PATIENCE, || {
            // The ledger first: a row that comes meanwhile is counted at most once.
            let lost = lost(server)?.get(&host.name).copied().unwrap_or(0);
            let rows = server.search_count(&filter)?;
            last = (rows, lost);
            ensure!(rows + lost <= counted, "more of {} than there was", host.name);
            Ok((rows + lost == counted).then_some(()))
        });
        let (rows, lost) = last;
        settled.with_context(|| format!("{}: {counted} counted, {rows} rows, {lost} lost", host.name))?;
        sums.counted += counted;
        sums.rows += rows;
        sums.lost += lost;
    }
    if let Some(sender) = sender {
        let (said, filter) = (sender.said(), format!("host:{SENDER}"));
        let mut rows = 0;
        let settled = wait_until("every line", PATIENCE, || {
            rows = server.search_count(&filter)?;
            Ok((rows >= said).then_some(()))
        });
        settled.with_context(|| format!("{rows} rows of {said} lines"))?;
        ensure!(rows == said, "{rows} rows of {said} lines");
        sums.lines = said;
    }
    for tail in tails {
        sums.shown += tail.settle(server)?;
        sums.skipped += tail.skipped()?;
    }
    let answers = four_ways(server, "")?;
    let all = sums.rows + sums.lines;
    ensure!(
        answers.iter().all(|answer| *answer == all),
        "{all} packets by hosts, and {answers:?} by questions"
    );
    Ok(sums)
}

/// The ledger by hosts.
fn lost(server: &Server) -> Result<BTreeMap<String, u64>> {
    let mut lost = BTreeMap::new();
    for entry in server.losses()? {
        let host = entry["host"].as_str().context("an entry without host")?;
        *lost.entry(host.to_owned()).or_default() +=
            entry["count"].as_u64().context("an entry without count")?;
    }
    Ok(lost)
}
