//! `packages`: .deb and .rpm of server and agent, with what comes beside them, in `target/packages`.
//!
//! - A tree is staged for each package and distribution ([`tree`]), and packed by the distributions' own tools
//!   ([`deb`], [`rpm`]).
//! - The same sources give the same bytes: every time is that of the last commit, or `SOURCE_DATE_EPOCH`.
//! - Beside them: bills of material ([`sbom`]), the licences of what is linked in ([`licences`]), sums, and with a key
//!   signatures.
//!
//! What it does not do: compile for another machine than this one. What is built runs where the C library is as new.

mod check;
mod deb;
mod licences;
mod portable;
mod repository;
mod rpm;
mod sbom;
mod tree;

use crate::needs::{self, Need};
use crate::shell::{Step, step};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Where packages go.
const PLACE: &str = "target/packages";
/// Where repositories go.
const REPOSITORY: &str = "target/repository";
/// Who packed it.
const MAINTAINER: &str = "Bartizan maintainers <bartizan@users.noreply.github.com>";

/// What is packed.
struct Package {
    name: &'static str,
    /// Of its configuration, in `/etc/bartizan`.
    config: &'static str,
    summary: &'static str,
    gecos: &'static str,
    description: &'static str,
    /// What it works better with.
    recommends: &'static str,
    /// What a purge removes besides the configuration.
    state: &'static str,
    /// Section of its manual page.
    manual: &'static str,
    /// The user's files, given to whom, with which mode; owned by the package where the format can say so.
    folders: &'static [(&'static str, &'static str, &'static str)],
}

const SERVER: Package = Package {
    name: "bartizan",
    config: "server",
    summary: "watches the firewalls of a fleet from one place",
    gecos: "Bartizan server",
    description: "Collects what the firewalls of a fleet log, keeps it exactly, and answers\n\
                  questions about it: in a browser, on the command line, by HTTP and in SQL.\n\
                  This is the server, and the command line that asks it.",
    recommends: "",
    state: "/var/lib/bartizan",
    manual: "1",
    folders: &[("/var/lib/bartizan", "0700", "bartizan,bartizan")],
};

const AGENT: Package = Package {
    name: "bartizan-agent",
    config: "agent",
    summary: "sends what the firewall of this host logs to Bartizan",
    gecos: "Bartizan agent",
    description: "Reads what the kernel logs of packets, rulesets and their counters, and sends\n\
                  it over TLS to the server of the fleet. What parses has no right on the host.\n\
                  What cannot be sent waits on the disk.",
    recommends: "nftables",
    state: "/var/lib/bartizan-agent /var/log/bartizan-agent",
    manual: "8",
    folders: &[
        ("/var/lib/bartizan-agent", "0700", "bartizan-agent,bartizan-agent"),
        ("/var/log/bartizan-agent", "0750", "bartizan-agent,adm"),
    ],
};

/// A key of GPG.
struct Signer {
    key: String,
    /// Its keyring, if it is not the user's.
    home: Option<PathBuf>,
}

impl Signer {
    /// A program that signs.
    fn tool(&self, program: &str) -> Result<Step> {
        let step = Step::new(program);
        Ok(match &self.home {
            Some(home) => step.env("GNUPGHOME", text(home)?),
            None => step,
        })
    }

    /// Signs a file.
    fn sign(&self, how: &[&str], file: &Path, to: &Path) -> Result<()> {
        let gpg = self.tool("gpg")?.args(&["--batch", "--yes", "--armor", "--local-user", &self.key]);
        gpg.args(how).args(&["--output", text(to)?, text(file)?]).run()
    }
}

/// What was asked for.
#[derive(Default)]
struct Options {
    /// Binaries that are there, in place of those that are built now.
    bins: Option<PathBuf>,
    /// In place of the workspace's version.
    version: Option<String>,
    /// Who signs.
    key: Option<Signer>,
    /// Where to.
    to: Option<PathBuf>,
    /// Packed less well, for tests.
    fast: bool,
    /// The agent for old systems, in the packages and as a tar.
    portable: bool,
    /// What the last check packed, and only the systems anew.
    again: bool,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value =
                || args.next().map(|v| (*v).to_owned()).with_context(|| format!("{arg}: of what?"));
            match *arg {
                "--bins" => options.bins = Some(value()?.into()),
                "--version" => options.version = Some(value()?),
                "--key" => options.key = Some(Signer { key: value()?, home: None }),
                "--to" => options.to = Some(value()?.into()),
                "--portable" => options.portable = true,
                "--again" => options.again = true,
                "--fast" => options.fast = true,
                _ => bail!("there is no option {arg:?}"),
            }
        }
        Ok(options)
    }
}

/// One run: everything that the parts need to know.
struct Job {
    bins: PathBuf,
    version: String,
    key: Option<Signer>,
    to: PathBuf,
    fast: bool,
    portable: bool,
    /// Seconds since 1970 that every file is said to be of.
    epoch: u64,
    /// Where trees are staged.
    work: PathBuf,
}

impl Job {
    fn new(options: Options) -> Result<Self> {
        let version = options.version.map_or_else(version, Ok)?;
        if version.is_empty() || !version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'~')
        {
            bail!("{version:?} is no version of a package");
        }
        let place = options.to.unwrap_or_else(|| PLACE.into());
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let to = fs::canonicalize(&place)?;
        let work = to.join("work");
        if work.exists() {
            fs::remove_dir_all(&work).with_context(|| format!("cannot clear {}", work.display()))?;
        }
        fs::create_dir_all(&work)?;
        let bins = options.bins.unwrap_or_else(|| "target/release".into());
        Ok(Self {
            bins,
            version,
            key: options.key,
            to,
            fast: options.fast,
            portable: options.portable,
            epoch: epoch()?,
            work,
        })
    }

    /// A package's program.
    fn program(&self, package: &Package) -> PathBuf {
        if self.portable && package.name == AGENT.name {
            return portable::program();
        }
        self.bins.join(package.name)
    }

    /// A time as `date` writes it.
    fn date(&self, form: &str) -> Result<String> {
        let of = format!("@{}", self.epoch);
        let text = Step::new("date").args(&["-u", "-d", &of, form]).env("LC_ALL", "C").output()?;
        Ok(text.trim().to_owned())
    }
}

/// Builds the packages. `build` makes the binaries.
pub(crate) fn packages(args: &[&str], build: impl FnOnce() -> Result<()>) -> Result<()> {
    needs::install(Need::PACKAGES)?;
    let options = Options::parse(args)?;
    if options.bins.is_none() {
        build()?;
    }
    if options.portable {
        portable::build()?;
    }
    make(&Job::new(options)?)
}

/// Lays out the repositories of all packages that are in `target/packages`.
pub(crate) fn repository(args: &[&str]) -> Result<()> {
    needs::install(Need::PACKAGES)?;
    let options = Options::parse(args)?;
    let to = options.to.unwrap_or_else(|| REPOSITORY.into());
    repository::lay_out(Path::new(PLACE), &to, options.key.as_ref(), epoch()?)
}

/// Installs, upgrades, removes and purges the packages in roots of their own.
pub(crate) fn check(args: &[&str], build: impl FnOnce() -> Result<()>) -> Result<()> {
    needs::install(Need::PACKAGES)?;
    needs::install(Need::PACKAGES_CHECK)?;
    let options = Options::parse(args)?;
    if options.bins.is_none() && !options.again {
        build()?;
    }
    check::run(options.bins.as_deref().unwrap_or(Path::new("target/release")), options.again)
}

fn make(job: &Job) -> Result<()> {
    step(&format!("packages of version {}, of {}", job.version, job.date("+%F %T UTC")?));
    let mut made = Vec::new();
    for package in [&SERVER, &AGENT] {
        made.push(deb::build(job, package)?);
        made.push(rpm::build(job, package)?);
        made.push(sbom::write(job, package)?);
    }
    if job.portable {
        made.push(portable::pack(job)?);
    }
    fs::remove_dir_all(&job.work)?;
    sums(job, &made)?;
    for name in &made {
        eprintln!("   {}/{name}", job.to.display());
    }
    Ok(())
}

/// `SHA256SUMS`, and its signature.
fn sums(job: &Job, made: &[String]) -> Result<()> {
    let mut names: Vec<&str> = made.iter().map(String::as_str).collect();
    names.sort_unstable();
    let text = Step::new("sha256sum").args(&names).dir(&job.to).output()?;
    let path = job.to.join("SHA256SUMS");
    fs::write(&path, text)?;
    let signature = job.to.join("SHA256SUMS.asc");
    match &job.key {
        Some(key) => key.sign(&["--detach-sign"], &path, &signature),
        // one of an earlier run says nothing of this one
        None if signature.exists() => Ok(fs::remove_file(&signature)?),
        None => Ok(()),
    }
}

/// A path, as programs get it.
fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// What stands in a file of the workspace.
fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// The workspace's version.
fn version() -> Result<String> {
    let manifest = read("Cargo.toml")?;
    let workspace = manifest.split("[workspace.package]").nth(1).unwrap_or_default();
    let line = workspace.lines().find_map(|line| line.strip_prefix("version = \""));
    Ok(line.and_then(|line| line.split('"').next()).context("Cargo.toml has no version")?.to_owned())
}

/// The time of everything.
fn epoch() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => Step::new("git").args(&["log", "-1", "--format=%ct"]).output()?,
    };
    text.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH: {text:?} is no number of seconds"))
}

#[cfg(test)]
mod tests;
