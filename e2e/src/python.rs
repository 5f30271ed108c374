//! Programs in Python that tests run beside ours: `target/python` has what they need of PyPI.

use crate::process::binaries;
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A script of `e2e/python` that runs until its stdin ends, and says something in lines. Dropped, it is killed.
#[derive(Debug)]
pub struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts it.
    ///
    /// # Errors
    /// When `cargo xtask python` was not run, or it cannot be started.
    pub fn start(name: &str, args: &[&str]) -> Result<Self> {
        let binaries = binaries()?;
        let python = binaries.parent().context("the folder of the build")?.join("python/bin/python");
        ensure!(python.exists(), "{} is missing: `cargo xtask python` makes it", python.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name);
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(python)
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the script's output")?;
        Ok(Self { child, stdin, lines: BufReader::new(stdout).lines() })
    }

    /// The next line that it says.
    ///
    /// # Errors
    /// When it has ended.
    pub fn line(&mut self) -> Result<String> {
        self.lines.next().context("the script has ended")?.context("read what the script says")
    }

    /// Lets it come to its end, and returns what else it says.
    ///
    /// # Errors
    /// When it fails.
    pub fn finish(mut self) -> Result<Vec<String>> {
        drop(self.stdin.take());
        let rest =
            self.lines.by_ref().collect::<std::io::Result<Vec<_>>>().context("read what the script says")?;
        let status = self.child.wait().context("wait for the script")?;
        ensure!(status.success(), "the script ended with {status}");
        Ok(rest)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
