//! The agent for old systems: linked against the C library of 2012, which is in RHEL 7 and everything newer, and what
//! installs it where there are no packages: a tar of it.
//!
//! Zig has the symbols of old libraries and links against them; its package is in PyPI. Not a program without libraries:
//! with glibc that would end in the middle of a look-up where `/etc/nsswitch.conf` names a library of another glibc, and
//! the toolchain here has no musl.

use super::{AGENT, Job, Package, licences, text};
use crate::shell::{Step, step};
use anyhow::{Context as _, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Apart from everything else, which is linked otherwise.
const TARGET: &str = "target/portable";
/// The newest symbols that it may use, which are also the oldest that Rust's library needs.
const GLIBC: [u32; 2] = [2, 17];
/// Where Zig is.
const ZIG: &str = "target/zig";
const REQUIRED: &[&str] = &["cargo-zigbuild==0.24.1", "ziglang==0.17.1"];

fn platform() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// The program, where [`build`] leaves it.
pub(super) fn program() -> PathBuf {
    Path::new(TARGET).join(platform()).join("release").join(AGENT.name)
}

/// What its package depends on; `None` for the other programs.
pub(super) fn library(job: &Job, package: &Package) -> Option<String> {
    let [major, minor] = GLIBC;
    (job.portable && package.name == AGENT.name).then(|| format!("libc6 (>= {major}.{minor})"))
}

/// Compiles it, and sees that it needs nothing newer.
pub(super) fn build() -> Result<()> {
    let tool = Path::new(ZIG).join("bin/cargo-zigbuild");
    if !tool.exists() {
        Step::new("python3").args(&["-m", "venv", ZIG]).run()?;
        let pip = Path::new(ZIG).join("bin/pip");
        Step::new(text(&pip)?)
            .args(&["install", "--quiet", "--disable-pip-version-check"])
            .args(REQUIRED)
            .run()?;
    }
    step("the agent for old systems (ten minutes the first time)");
    let [major, minor] = GLIBC;
    let target = format!("{}.{major}.{minor}", platform());
    let path = format!(
        "{}:{}",
        text(&fs::canonicalize(ZIG)?.join("bin"))?,
        std::env::var("PATH").unwrap_or_default()
    );
    Step::cargo(&[
        "zigbuild",
        "--release",
        "--locked",
        "-p",
        AGENT.name,
        "--target",
        &target,
        "--target-dir",
        TARGET,
    ])
    .env("PATH", &path)
    .run()?;
    let symbols = Step::new("objdump").args(&["--dynamic-syms", text(&program())?]).output()?;
    match newest(&symbols) {
        Some(found) if found <= GLIBC => Ok(()),
        found => bail!("{} needs glibc {found:?}", program().display()),
    }
}

/// The newest version of glibc whose symbols are used.
fn newest(symbols: &str) -> Option<[u32; 2]> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
    });
    versions.max()
}

/// Packs it with what installs it; returns the name of the file.
pub(super) fn pack(job: &Job) -> Result<String> {
    let folder = format!("{}-{}-{}-portable", AGENT.name, job.version, std::env::consts::ARCH);
    let root = job.work.join(&folder);
    fs::create_dir_all(&root)?;
    for (from, mode) in [
        ("packaging/portable/install.sh", 0o755),
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
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let symbols = "DF *UND* (GLIBC_2.2.5) malloc\nDF *UND* (GLIBC_2.17) clock_gettime\nDF *UND* (GLIBC_2.9) pipe2\n";
        assert_eq!(newest(symbols), Some([2, 17]));
        assert_eq!(newest("DF *UND* (GCC_3.0) x"), None);
    }
}
