//! Running other programs, loudly.

use anyhow::{Context as _, Result, bail};
use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| ".".into(), Path::to_path_buf)
}

/// Whether this is root.
pub(crate) fn is_root() -> bool {
    Step::new("sh").args(&["-c", "test \"$(id -u)\" = 0"]).succeeds()
}

/// Says what comes now.
pub(crate) fn step(text: &str) {
    eprintln!("== {text}");
}

/// The program that puts a fleet on this machine.
pub(crate) fn stage() -> Step {
    Step::new("target/release/bartizan-demo")
}

/// One program to be run.
pub(crate) struct Step(Command);

impl Step {
    pub(crate) fn new(program: &str) -> Self {
        Self(Command::new(program))
    }

    /// The cargo that runs this, without what it says of this program: build scripts watch these variables, and half of
    /// the tree would be compiled again by a `cargo build` that is typed.
    pub(crate) fn cargo(args: &[&str]) -> Self {
        let mut cargo = Self::new(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())).args(args);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                cargo.0.env_remove(&name);
            }
        }
        cargo
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Where it runs.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.0.current_dir(dir);
        self
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.line();
        eprintln!("$ {line}");
        let status = self.0.status().with_context(|| format!("cannot run: {line}"))?;
        if !status.success() {
            bail!("failed ({status}): {line}");
        }
        Ok(())
    }

    /// Becomes it: signals and the exit code are then its own.
    pub(crate) fn replace(mut self) -> Result<()> {
        eprintln!("$ {}", self.line());
        Err(self.0.exec()).with_context(|| format!("cannot run: {}", self.line()))
    }

    /// Runs it to its end and gives what it printed.
    pub(crate) fn output(mut self) -> Result<String> {
        let line = self.line();
        self.0.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = self.0.output().with_context(|| format!("cannot run: {line}"))?;
        if !output.status.success() {
            bail!("failed ({}): {line}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("what this prints is no text: {line}"))
    }

    /// Whether it runs and ends well; silent.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.status().is_ok_and(|s| s.success())
    }
}
