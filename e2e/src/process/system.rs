//! What the system has to do with processes: their families, signals, how many files they may open.

use anyhow::{Context as _, Result, ensure};
use std::{fs, process::Command};

/// A process and its children, whichever of its threads made them.
#[must_use]
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    all
}

/// Sends a signal: `TERM`, `STOP`, `CONT`.
///
/// # Errors
/// When there is no such process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    ensure!(status.context("run kill")?.success(), "cannot send {name} to {pid}");
    Ok(())
}

/// Lets this process have so many open files: some tests are ten thousand senders.
///
/// # Errors
/// When it may not have them.
pub fn allow_files(count: u32) -> Result<()> {
    let id = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={count}:")]).status();
    ensure!(
        status.context("run prlimit")?.success(),
        "this needs {count} open files: `ulimit -Hn` says how many there may be"
    );
    Ok(())
}
