//! Network namespaces for tests, demo and benches: hosts of one machine, with links, rules and programs.
//!
//! Everything is done with `ip` and `nft`, so that what happens here is what a person would type. A namespace is
//! named `bz-PID-N-LABEL`; PID is the process that made it and removes it. What a killed process left behind is
//! removed by the next one ([`NetNs::remove_leftovers`], called by [`NetNs::new`] once per process).
//!
//! Works as root, and as anybody inside `unshare --user --map-root-user --net --mount`: there `/run` is covered
//! with a private file system when it cannot be written.
//!
//! What it does not do: touch the namespace that it was started in, or anything outside `/run/netns`.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

const DIR: &str = "/run/netns";
const PREFIX: &str = "bz-";

/// A network namespace with its loopback up; removed when it is dropped, with the interfaces in it.
#[derive(Debug)]
pub struct NetNs {
    name: String,
}

/// One end of a veth link.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace it lies in.
    pub netns: &'a NetNs,
    /// The interface's name there.
    pub name: &'a str,
    /// Addresses with prefix length: `192.0.2.1/24`, `2001:db8::1/64`.
    pub addresses: &'a [&'a str],
}

/// Why namespaces cannot be made here, in words for the person who started this.
///
/// # Errors
/// With these words.
pub fn available() -> Result<(), String> {
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        if !on_path(program) {
            return Err(format!("`{program}` is missing: install the package {package}"));
        }
    }
    if effective_uid() != Some(0) {
        return Err("network namespaces need root; as another user run this inside \
                    `unshare --user --map-root-user --net --mount`"
            .into());
    }
    prepare().map_err(|e| format!("cannot make network namespaces here: {e:#}"))?;
    let probe = NetNs::new("probe").map_err(|e| format!("cannot make network namespaces here: {e:#}"))?;
    probe.nft("add table inet probe").map_err(|e| format!("nft does not work in a new namespace: {e:#}"))
}

impl NetNs {
    /// Makes a namespace. `label` is for people and need not be unique.
    ///
    /// # Errors
    /// With what `ip` said.
    pub fn new(label: &str) -> Result<Self> {
        static LEFTOVERS: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        prepare()?;
        LEFTOVERS.call_once(Self::remove_leftovers);
        let n = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{n}-{label}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name };
        netns.ip("link set lo up")?;
        // No duplicate address detection: an address can be used at once.
        for scope in ["all", "default"] {
            let _ = netns.sysctl(&format!("net.ipv6.conf.{scope}.accept_dad"), "0");
        }
        Ok(netns)
    }

    /// Its name, as in `ip netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(DIR).join(&self.name)
    }

    /// A program inside the namespace. The process that is spawned is the program itself, so that killing it
    /// kills the program.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `work` on a thread inside the namespace. Sockets opened there stay there.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = File::open(self.path()).with_context(|| format!("open {}", self.path().display()))?;
        bartizan_netfilter::in_netns(file.as_fd(), work).with_context(|| format!("enter {}", self.name))
    }

    /// `ip -n NAME` with arguments separated by blanks.
    ///
    /// # Errors
    /// With what `ip` said.
    pub fn ip(&self, arguments: &str) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split_whitespace())).map(drop)
    }

    /// Sets a kernel setting of the namespace.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        self.run(|| fs::write(&path, value))?.with_context(|| format!("write {value} to {path}"))
    }

    /// Loads a ruleset: `nft -f -`.
    ///
    /// # Errors
    /// With what `nft` said.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        let mut child = self
            .command("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start nft")?;
        let mut stdin = child.stdin.take().context("nft has no input")?;
        stdin.write_all(ruleset.as_bytes()).and_then(|()| stdin.write_all(b"\n")).context("write to nft")?;
        drop(stdin);
        let output = child.wait_with_output().context("wait for nft")?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Every rule as `nft -j list ruleset` shows it.
    ///
    /// # Errors
    /// When nft fails or prints no JSON.
    pub fn nft_rules(&self) -> Result<Vec<Value>> {
        let text = run(self.command("nft").args(["-j", "list", "ruleset"]))?;
        let json: Value = serde_json::from_str(&text).context("the output of nft")?;
        let all = json["nftables"].as_array().context("nft prints no list")?;
        Ok(all.iter().filter_map(|item| item.get("rule")).cloned().collect())
    }

    /// The packets counted by all rules that log to `group`, as nft shows them: the sum of each rule's own
    /// counter.
    ///
    /// # Errors
    /// When nft fails.
    pub fn counted(&self, group: u16) -> Result<u64> {
        let mut sum = 0;
        for rule in self.nft_rules()? {
            let Some(statements) = rule["expr"].as_array() else { continue };
            if statements.iter().any(|s| s["log"]["group"] == group) {
                sum += statements.iter().filter_map(|s| s["counter"]["packets"].as_u64()).sum::<u64>();
            }
        }
        Ok(sum)
    }

    /// Links two namespaces with a pair of interfaces that are up and have their addresses at once.
    ///
    /// # Errors
    /// With what `ip` said.
    pub fn link(a: End<'_>, b: End<'_>) -> Result<()> {
        run(Command::new("ip")
            .args(["link", "add", a.name, "netns", &a.netns.name, "type", "veth"])
            .args(["peer", "name", b.name, "netns", &b.netns.name]))?;
        for end in [a, b] {
            end.netns.ip(&format!("link set {} up", end.name))?;
            for address in end.addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                end.netns.ip(&format!("address add {address} dev {} {nodad}", end.name))?;
            }
        }
        Ok(())
    }

    /// Removes the namespaces of processes that are gone.
    pub fn remove_leftovers() {
        let Ok(entries) = fs::read_dir(DIR) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                let _ = run(Command::new("ip").args(["netns", "delete", name]));
            }
        }
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "delete", &self.name])) {
            let _ =
                writeln!(std::io::stderr(), "cannot remove the network namespace {}: {error:#}", self.name);
        }
    }
}

/// Runs a program to its end and returns what it printed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes sure that `ip netns` has a place for its files.
fn prepare() -> Result<()> {
    if fs::create_dir_all(DIR).is_ok() && writable(DIR) {
        return Ok(());
    }
    ensure!(in_user_namespace(), "{DIR} cannot be written");
    // Only root of a user namespace comes here, and may mount only in a mount namespace of its own: nobody
    // else sees this file system.
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "bartizan", "/run"]))
        .context("cover /run; was `unshare` called with --mount?")?;
    fs::create_dir_all(DIR).with_context(|| format!("make {DIR}"))
}

fn writable(dir: &str) -> bool {
    let probe = Path::new(dir).join(format!(".{PREFIX}{}", std::process::id()));
    let made = File::create(&probe).is_ok();
    let _ = fs::remove_file(&probe);
    made
}

/// Whether this is not the machine's first user namespace, in which every number is mapped to itself.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

fn effective_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
