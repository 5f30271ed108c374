//! A program that runs, with its log.

use super::{PATIENCE, signal, wait_until};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

/// Lines of a log that are shown when something failed.
const LOG_TAIL: usize = 60;

/// A running program with its log.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program whose output is added to a log file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share the log")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// The same, with a file of its own for what it prints; the log has the rest.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn apart(mut command: Command, out: &Path, log: &Path) -> Result<Self> {
        let file = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("open {}", path.display()))
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(file(out)?)
            .stderr(file(log)?)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look after a program")
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("kill a program")?;
        self.child.wait().context("wait for a killed program").map(drop)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop, or says that it failed.
    pub fn stop(mut self) -> Result<()> {
        signal(self.id(), "TERM")?;
        let status = wait_until("a program to stop", PATIENCE, || self.ended())?;
        ensure!(status.success(), "stopped with {status}:\n{}", self.log_tail());
        Ok(())
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended_before = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended_before {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- {}\n{}\n---", self.log.display(), self.log_tail());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_logged_stopped_and_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let polite = Running::start(
            shell("trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.01; done"),
            &log,
        );
        let polite = polite.unwrap();
        wait_until("hello", PATIENCE, || Ok(polite.log_tail().contains("hello").then_some(()))).unwrap();
        polite.stop().unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "hello\nbye\n");

        let stubborn = Running::start(shell("trap '' TERM; exec sleep 100"), &log).unwrap();
        let id = stubborn.id();
        stubborn.kill().unwrap();
        assert!(!Path::new("/proc").join(id.to_string()).exists());

        let failing =
            Running::start(shell("trap 'exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done"), &log)
                .unwrap();
        wait_until("ready", PATIENCE, || Ok(failing.log_tail().contains("ready").then_some(()))).unwrap();
        assert!(failing.stop().unwrap_err().to_string().contains("ready"), "the log is in the error");
    }
}
