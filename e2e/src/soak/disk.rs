//! A file system in memory that can be made too small, and large again, in a moment and whatever is in it.

use crate::process::wait_until;
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// One that is mounted; dropped, it is not.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    bytes: u64,
}

impl Disk {
    /// Mounts one of so many megabytes over a folder.
    pub(super) fn mount(path: &Path, megabytes: u64) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        let disk = Self { path: path.to_owned(), bytes: megabytes << 20 };
        disk.mount_with(&format!("size={},mode=700", disk.bytes))?;
        Ok(disk)
    }

    /// No more room than `spare` bytes from now on.
    pub(super) fn squeeze(&self, spare: u64) -> Result<()> {
        // What is written meanwhile makes the size too small, which is refused.
        wait_until("the disk to be small", Duration::from_secs(10), || {
            let size = self.used()? + spare + (64 << 10);
            Ok(self.mount_with(&format!("remount,size={size}")).ok())
        })
    }

    /// All of its room again.
    pub(super) fn widen(&self) -> Result<()> {
        self.mount_with(&format!("remount,size={}", self.bytes))
    }

    /// Bytes in use.
    fn used(&self) -> Result<u64> {
        let output = Command::new("df").args(["--block-size=1", "--output=used"]).arg(&self.path).output();
        let text = String::from_utf8(output.context("run df")?.stdout).context("the output of df")?;
        let used = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
        used.with_context(|| format!("df says {text:?}"))
    }

    fn mount_with(&self, options: &str) -> Result<()> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "bartizan-soak"]).arg(&self.path);
        let output = command.output().context("run mount")?;
        ensure!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
