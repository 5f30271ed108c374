//! What the kernel says of a program: a process and everything that it started.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::process::Command;

/// Ticks in a second of `/proc/PID/stat`; Linux has had 100 for user space on every architecture since 2.6.
const TICKS: f64 = 100.0;

/// The process and its descendants.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(tree));
    }
    all
}

/// Seconds of CPU that a program has used, the kernel's work for it included.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    tree(pid).into_iter().map(cpu_of_process).sum()
}

fn cpu_of_process(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the process's times")?;
    // the name in parentheses may hold anything; times are the 14th and 15th fields, the 12th and 13th after it
    let after = stat.rsplit_once(')').context("a line of /proc without a name")?.1;
    let field = |n: usize| after.split_whitespace().nth(n).and_then(|v| v.parse::<f64>().ok());
    Ok((field(11).context("no user time")? + field(12).context("no system time")?) / TICKS)
}

/// The same in nanoseconds, for programs that do next to nothing; what ended threads have used is not in it.
pub(crate) fn cpu_nanos(pid: u32) -> u64 {
    let tasks =
        tree(pid).into_iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten());
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// The most memory that a program had in use, in megabytes (`VmHWM`).
pub(crate) fn peak_megabytes(pid: u32) -> Result<f64> {
    tree(pid).into_iter().map(peak_of_process).sum()
}

fn peak_of_process(pid: u32) -> Result<f64> {
    Ok(kilobytes(pid, "VmHWM:")? / 1000.0)
}

/// Kilobytes of memory that a process has in use (`VmRSS`).
pub(crate) fn resident_kilobytes(pid: u32) -> Result<f64> {
    kilobytes(pid, "VmRSS:")
}

fn kilobytes(pid: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the process's memory")?;
    let line = status.lines().find_map(|l| l.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| name.to_owned())
}

/// Keeps a program, with all that it has started, on one core.
pub(crate) fn pin(pid: u32, cpu: usize) -> Result<()> {
    for pid in tree(pid) {
        let output = Command::new("taskset").args(["-acp", &cpu.to_string(), &pid.to_string()]).output();
        ensure!(output.context("run taskset")?.status.success(), "cannot pin process {pid}");
    }
    Ok(())
}

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
