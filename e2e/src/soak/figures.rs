//! What came of it, as the benches print theirs: a JSON object a line.

use super::{Plan, check::Sums, faults::Kind, memory::Memory};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// MiB that the server may grow by in an hour, and that an agent may: what caches take until they are full is more than a
/// leak that matters would be in half an hour, so this finds only what is gross.
const SERVER_AN_HOUR: f64 = 400.0;
const AGENT_AN_HOUR: f64 = 24.0;
/// MiB that they may have at most.
const SERVER_PEAK: f64 = 1500.0;
const AGENT_PEAK: f64 = 256.0;
/// Descriptors that may be more in the end than in the beginning.
const SERVER_DESCRIPTORS: u64 = 64;
const AGENT_DESCRIPTORS: u64 = 8;

/// The figures of a soak.
#[derive(Debug)]
pub struct Report {
    lines: Vec<Value>,
}

impl Report {
    /// Each figure, a line.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.lines.iter().map(ToString::to_string)
    }

    /// What is not as it should be.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        self.lines.iter().filter(|line| line["ok"] == false).map(ToString::to_string).collect()
    }

    fn add(&mut self, name: &str, value: f64, unit: &str, under: Option<f64>) {
        let goal = under.map(|under| format!("< {under}")).unwrap_or_default();
        let ok = under.map(|under| value < under);
        let value = (value * 10.0).round() / 10.0;
        self.lines.push(json!({ "figure": name, "value": value, "unit": unit, "goal": goal, "ok": ok }));
    }
}

pub(super) fn report(
    plan: &Plan,
    sums: &Sums,
    asked: u64,
    faults: &BTreeMap<Kind, u64>,
    memory: &[Memory; 3],
) -> Report {
    let mut report = Report { lines: Vec::new() };
    let Sums { counted, rows, lost, lines, shown, skipped } = *sums;
    report.lines.push(json!({ "figure": "soak seed", "value": plan.seed, "unit": "" }));
    for (name, value, unit) in [
        ("soak time", plan.seconds, "s"),
        ("soak counted by rules", counted, "packets"),
        ("soak rows of agents", rows, "packets"),
        ("soak on the ledger", lost, "packets"),
        ("soak lines by RELP", lines, "lines"),
        ("soak shown by tails, each once", shown - skipped, "rows"),
        ("soak tails were told to be too slow for", skipped, "rows"),
        ("soak answers that agree", asked, "answers"),
        ("soak faults", faults.values().sum(), "faults"),
    ] {
        report.add(name, value as f64, unit, None);
    }
    for (kind, count) in faults {
        report.add(&format!("soak fault {kind:?}"), *count as f64, "times", None);
    }
    let programs = ["server", "opener", "worker"].into_iter().zip(memory);
    for (name, taken) in programs.filter_map(|(name, memory)| Some((name, memory.taken()?))) {
        let (peak, an_hour, more) = match name {
            "server" => (SERVER_PEAK, SERVER_AN_HOUR, SERVER_DESCRIPTORS),
            _ => (AGENT_PEAK, AGENT_AN_HOUR, AGENT_DESCRIPTORS),
        };
        report.add(&format!("soak {name} memory at most"), taken.peak, "MiB", Some(peak));
        report.add(&format!("soak {name} memory, second half"), taken.mean, "MiB", None);
        if let Some(slope) = taken.an_hour {
            report.add(&format!("soak {name} memory grows"), slope, "MiB/h", Some(an_hour));
        }
        let [first, last] = taken.descriptors;
        report.add(&format!("soak {name} descriptors"), last as f64, "fds", Some((first + more) as f64));
    }
    report
}
