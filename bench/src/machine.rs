//! What the kernel says of a process.

use anyhow::{Context as _, Result};
use std::fs;

/// Ticks in a second of `/proc/PID/stat`; Linux has had 100 for user space on every architecture since 2.6.
const TICKS: f64 = 100.0;

/// Seconds of CPU that a process and all of its threads have used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the process's times")?;
    // the name in parentheses may hold anything; times are the 14th and 15th fields, the 12th and 13th after it
    let after = stat.rsplit_once(')').context("a line of /proc without a name")?.1;
    let field = |n: usize| after.split_whitespace().nth(n).and_then(|v| v.parse::<f64>().ok());
    Ok((field(11).context("no user time")? + field(12).context("no system time")?) / TICKS)
}

/// The most memory that a process had in use, in megabytes (`VmHWM`).
pub(crate) fn peak_megabytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the process's memory")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().context("VmHWM")?;
    Ok(kilobytes / 1000.0)
}
