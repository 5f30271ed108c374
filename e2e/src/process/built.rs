//! The programs as they are built, and what they are started with.

use crate::netns::NetNs;
use anyhow::{Context as _, Result, ensure};
use std::{os::unix::process::CommandExt as _, path::PathBuf, process::Command};

/// The folder of the binaries: `target/release`.
///
/// # Errors
/// When they are not built.
pub fn binaries() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("where is this program")?;
    // Tests are one folder further down.
    let found = exe.ancestors().skip(1).take(3).find(|dir| dir.join("bartizan").is_file());
    let dir =
        found.with_context(|| format!("no `bartizan` beside {}; run `make build` first", exe.display()))?;
    ensure!(dir.join("bartizan-agent").is_file(), "no `bartizan-agent` in {}", dir.display());
    Ok(dir.to_owned())
}

/// A program, with a clean environment, that dies with this one.
///
/// # Errors
/// When the binaries are not built.
pub fn program(netns: Option<&NetNs>, binary: &str) -> Result<Command> {
    let path = binaries()?.join(binary);
    let mut command = match netns {
        Some(netns) => netns.command("setpriv"),
        None => Command::new("setpriv"),
    };
    command.args(["--pdeathsig", "KILL", "--"]).arg(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"BARTIZAN_"))
    {
        if name != "BARTIZAN_LOG" {
            command.env_remove(name);
        }
    }
    // Ctrl-C is for the one who holds the handle; it stops its programs in order.
    command.process_group(0);
    Ok(command)
}
