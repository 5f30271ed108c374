//! `bartizan-agent` as a handle.

use super::{PATIENCE, Running, program, wait_until};
use crate::netns::NetNs;
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

/// `bartizan-agent` on a folder, perhaps in a namespace.
#[derive(Debug)]
pub struct Agent {
    dir: PathBuf,
    settings: String,
    level: Option<String>,
    running: Option<Running>,
}

impl Agent {
    /// An agent that keeps everything in `dir`; not enrolled, not started. `settings` is TOML for its file
    /// besides `dir`: `groups = [5]`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(dir: &Path, settings: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let agent = Self { dir: dir.to_owned(), settings: settings.to_owned(), level: None, running: None };
        agent.configure(settings)?;
        Ok(agent)
    }

    /// Replaces its settings; they count from the next start on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, settings: &str) -> Result<()> {
        let path = self.config();
        let text = format!("dir = {:?}\n{settings}\n", self.dir.display().to_string());
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// How much its log tells from the next start on: `trace`.
    pub fn tell(&mut self, level: &str) {
        self.level = Some(level.to_owned());
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings that it was made with.
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Enrols it at the front port of a server.
    ///
    /// # Errors
    /// When it is refused, with what it said.
    pub fn enrol(&self, netns: Option<&NetNs>, server: SocketAddr, token: &str, name: &str) -> Result<()> {
        let mut command = program(netns, "bartizan-agent")?;
        command.args(["enrol", "--server", &server.to_string(), "--token", token, "--name", name, "--dir"]);
        let output = command.arg(&self.dir).stdin(Stdio::null()).output().context("run bartizan-agent")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "enrolment of {name} ({}): {}", output.status, said.trim());
        Ok(())
    }

    /// Starts it. It is capturing some moments later: see [`Agent::wait_for_capture`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, netns: Option<&NetNs>) -> Result<()> {
        ensure!(self.running.is_none(), "the agent runs already");
        let mut command = program(netns, "bartizan-agent")?;
        command.args(["run", "--config"]).arg(self.config());
        command.envs(self.level.iter().map(|level| ("BARTIZAN_LOG", level)));
        self.running = Some(Running::start(command, &self.dir.join("agent.log"))?);
        Ok(())
    }

    /// Waits until the kernel of the namespace knows a reader of the group.
    ///
    /// # Errors
    /// When the agent ends or nothing happens for long, with its log.
    pub fn wait_for_capture(&mut self, netns: &NetNs, group: u16) -> Result<()> {
        let running = self.running.as_mut().context("the agent does not run")?;
        let bound = wait_until("the agent to capture", PATIENCE, || {
            if let Some(status) = running.ended()? {
                bail!("the agent ended at once ({status})");
            }
            // One line for each group that is bound; the first number is the group.
            let table = netns.run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log"))?;
            let table = table.context("read /proc/net/netfilter/nfnetlink_log")?;
            let first = |line: &str| line.split_whitespace().next().and_then(|n| n.parse::<u16>().ok());
            Ok(table.lines().any(|line| first(line) == Some(group)).then_some(()))
        });
        bound.with_context(|| format!("its log:\n{}", running.log_tail()))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the agent does not run")?.kill()
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// When it does not run, does not stop or fails.
    pub fn stop(&mut self) -> Result<()> {
        self.running.take().context("the agent does not run")?.stop()
    }

    /// The running program.
    #[must_use]
    pub fn running(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }
}
