//! A system with its own systemd, network and processes, in a root of this machine.

use crate::packages::text;
use crate::shell::Step;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take to come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// A system that runs, until this is dropped.
pub(super) struct Machine {
    child: Child,
    first: u32,
    group: PathBuf,
}

impl Machine {
    /// Boots a root.
    pub(super) fn boot(root: &Path) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts").context("cannot read the mounts")?;
        let groups =
            mounts.lines().find_map(|line| line.split(' ').nth(1).filter(|_| line.contains(" cgroup2 ")));
        let groups = groups.context("there is no cgroup2 on this machine, which a systemd needs")?;
        let group = Path::new(groups).join(format!("bartizan-check-{}", std::process::id()));
        let log = fs::File::create(root.with_extension("log"))?;
        let child = Command::new("bash")
            .args(["-c", include_str!("boot.sh"), "boot", text(root)?, text(&group)?])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start a system")?;
        let mut machine = Self { child, first: 0, group };
        let of = machine.child.id();
        machine.first = machine.wait_for("a first process", || {
            let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children"))?;
            // until then there are programs that prepare it
            let is_systemd =
                |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c == "systemd\n");
            Ok(children.split(' ').find(is_systemd).and_then(|pid| pid.parse().ok()))
        })?;
        machine.wait_for("a system that runs", || {
            let state = machine.sh("systemctl is-system-running || true").unwrap_or_default();
            Ok(["running", "degraded"].contains(&state.trim()).then_some(()))
        })?;
        Ok(machine)
    }

    /// Runs a script inside; returns what it prints.
    pub(super) fn sh(&self, script: &str) -> Result<String> {
        let first = self.first.to_string();
        let output = Command::new("nsenter")
            .args(["--target", &first, "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--"])
            .args(["env", "-i", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bash", "-euo", "pipefail", "-c", script])
            .stdin(Stdio::null())
            .output()
            .context("cannot enter the system")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "failed in the system ({}): {script}\n{said}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(said)
    }

    /// Waits until a script succeeds.
    pub(super) fn until(&self, what: &str, script: &str) -> Result<()> {
        let mut last = None;
        let waited = self.wait_for(what, || match self.sh(script) {
            Ok(_) => Ok(Some(())),
            Err(error) => {
                last = Some(error);
                Ok(None)
            }
        });
        match (waited, last) {
            (Err(error), Some(last)) => Err(last.context(error)),
            (waited, _) => waited,
        }
    }

    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if start.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} there is not: {what}");
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // its children go with it
        drop(self.child.kill());
        drop(self.child.wait());
        // a group can go when its last process has gone, the innermost first
        let find = format!(
            "for i in $(seq 50); do find {0} -depth -type d -exec rmdir {{}} + 2>/dev/null && break; sleep 0.1; done",
            self.group.display()
        );
        let _ = Step::new("sh").args(&["-c", &find]).succeeds();
    }
}
