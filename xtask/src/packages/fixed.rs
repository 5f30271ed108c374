//! The agent as one file that needs no library, and what installs it: a tar of it.
//!
//! Linked with glibc, because the toolchain here has no musl. What that means for names is in `docs/install.md`.

use super::{AGENT, Job, licences, text};
use crate::shell::Step;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Apart from everything else, which is compiled otherwise.
const TARGET: &str = "target/static";

fn platform() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// The program, where [`build`] leaves it.
fn program() -> PathBuf {
    Path::new(TARGET).join(platform()).join("release").join(AGENT.name)
}

/// Compiles it.
pub(crate) fn build() -> Result<()> {
    // With a target, so that macros and build scripts, which are libraries, are compiled as always.
    Step::cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        AGENT.name,
        "--target",
        &platform(),
        "--target-dir",
        TARGET,
    ])
    .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
    .run()?;
    let needed = Step::new("readelf").args(&["--dynamic", text(&program())?]).output()?;
    if needed.contains("(NEEDED)") {
        bail!("{} needs libraries:\n{needed}", program().display());
    }
    Ok(())
}

/// Packs it, if it was built; returns the name of the file.
pub(super) fn pack(job: &Job) -> Result<Option<String>> {
    if !program().exists() {
        return Ok(None);
    }
    let folder = format!("{}-{}-{}-static", AGENT.name, job.version, std::env::consts::ARCH);
    let root = job.work.join(&folder);
    fs::create_dir_all(&root)?;
    for (from, mode) in [
        ("packaging/static/install.sh", 0o755),
        ("packaging/config/agent.toml", 0o644),
        ("packaging/systemd/bartizan-agent.service", 0o644),
        ("packaging/systemd/examples/kernel-log.conf", 0o644),
        ("packaging/systemd/examples/namespaces.conf", 0o644),
        ("packaging/systemd/examples/other-places.conf", 0o644),
        ("packaging/man/bartizan-agent.8", 0o644),
        ("packaging/completions/bartizan-agent.bash", 0o644),
        ("docs/configuration.md", 0o644),
        ("LICENSE", 0o644),
    ] {
        let to = root.join(Path::new(from).file_name().context("a path without a name")?);
        fs::copy(from, &to).with_context(|| format!("cannot copy {from}"))?;
        fs::set_permissions(&to, Permissions::from_mode(mode))?;
    }
    let own = root.join(AGENT.name);
    fs::copy(program(), &own)?;
    Step::new("strip").arg(text(&own)?).run()?;
    fs::set_permissions(&own, Permissions::from_mode(0o755))?;
    fs::write(root.join("third-party"), licences::of(&AGENT)?.texts)?;
    let name = format!("{folder}.tar.gz");
    let time = format!("--mtime=@{}", job.epoch);
    Step::new("tar")
        .args(&["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &time, "--format=gnu"])
        .args(&[
            "--use-compress-program=gzip -9n",
            "-C",
            text(&job.work)?,
            "-cf",
            text(&job.to.join(&name))?,
            &folder,
        ])
        .run()?;
    Ok(Some(name))
}
