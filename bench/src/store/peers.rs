//! The scripts of `bench/peers/`: other stores, loaded and asked the same in the same run.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Python with the libraries of `bench/peers/requirements.txt`, in a folder of its own below `target/`.
#[derive(Debug)]
pub(super) struct Python {
    program: PathBuf,
    scripts: PathBuf,
}

impl Python {
    /// Makes it if it is not there.
    pub(super) fn ready(root: &Path) -> Result<Self> {
        let (venv, scripts) = (root.join("target/peers/venv"), root.join("bench/peers"));
        let (program, wanted) = (venv.join("bin/python"), scripts.join("requirements.txt"));
        let (mark, wish) = (venv.join("complete"), std::fs::read_to_string(&wanted)?);
        if std::fs::read_to_string(&mark).ok().as_deref() != Some(&wish) {
            let run = |command: &mut Command| -> Result<()> {
                ensure!(
                    command.status().context("make a place for the peers")?.success(),
                    "{command:?} failed"
                );
                Ok(())
            };
            run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
            run(Command::new(&program).args(["-m", "pip", "install", "-q", "-r"]).arg(&wanted))?;
            std::fs::write(mark, wish)?;
        }
        Ok(Self { program, scripts })
    }

    /// The JSON lines that a script prints. What it says else is told with its failure.
    pub(super) fn run(&self, script: &str, args: &[&str]) -> Result<Vec<Value>> {
        let output = Command::new("timeout")
            .arg("600")
            .arg(&self.program)
            .arg(self.scripts.join(script))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run {script}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if !output.status.success() || lines.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            let end: Vec<&str> = said.lines().rev().take(8).collect();
            bail!(
                "{script} {args:?}: {}: {}",
                output.status,
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        Ok(lines)
    }
}

/// The program of VictoriaLogs, if there is one.
pub(super) fn victoria_logs() -> Option<PathBuf> {
    let named = std::env::var_os("VICTORIA_LOGS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("victoria-logs"));
    named.into_iter().chain(found).find(|program| program.is_file())
}
