//! rsyslog in a folder of its own: it reads a socket there, and does with what it reads as its rules say.

use crate::{
    netns::NetNs,
    process::{Running, wait_until},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running rsyslog; dropped, it is killed.
#[derive(Debug)]
pub struct Rsyslog {
    _running: Running,
    socket: UnixDatagram,
}

impl Rsyslog {
    /// Whether it is installed.
    #[must_use]
    pub fn is_there() -> bool {
        ["/usr/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join("rsyslogd").exists())
    }

    /// Starts it. The modules `imuxsock`, `imtcp` and `omrelp` are there for the rules.
    ///
    /// # Errors
    /// When it ends at once, with what it said.
    pub fn start(netns: Option<&NetNs>, dir: &Path, rules: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let (config, input) = (dir.join("rsyslog.conf"), dir.join("log.sock"));
        let text = format!(
            "global(workDirectory=\"{dir}\" net.enableDNS=\"off\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             module(load=\"imtcp\")\nmodule(load=\"omrelp\")\n\
             input(type=\"imuxsock\" Socket=\"{input}\" RateLimit.Interval=\"0\" UseSysTimeStamp=\"off\")\n{rules}",
            dir = dir.display(),
            input = input.display(),
        );
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let mut command = match netns {
            Some(netns) => netns.command("setpriv"),
            None => Command::new("setpriv"),
        };
        command.args(["--pdeathsig", "KILL", "--", "rsyslogd", "-n", "-f"]).arg(&config);
        command.arg("-i").arg(dir.join("pid"));
        let mut running = Running::start(command, &log_of(dir))?;
        let socket = UnixDatagram::unbound().context("make a socket")?;
        wait_until("rsyslog", PATIENCE, || {
            ensure!(running.ended()?.is_none(), "rsyslog ended: {}", running.log_tail());
            Ok(socket.connect(&input).ok())
        })?;
        Ok(Self { _running: running, socket })
    }

    /// Says a line to it; waits while it has no room.
    ///
    /// # Errors
    /// When it is gone.
    pub fn say(&self, line: &str) -> Result<()> {
        self.socket.send(line.as_bytes()).map(drop).context("say something to rsyslog")
    }
}

fn log_of(dir: &Path) -> PathBuf {
    dir.join("rsyslog.log")
}
