//! `doctor`: what the agent needs, tried on this system; and what its worker must not be able to do, tried by a
//! worker.
//!
//! Nothing is believed that can be tried: a group is bound and set free, a tool is run, a server is connected to,
//! and a process that is shut in exactly as the worker tries to get out.

mod probe;

use crate::identity::Identity;
use crate::opener::pid_of;
use crate::sandbox;
use crate::settings::Settings;
use crate::user::User;
use bartizan_netfilter::{
    ConntrackConfig, ConntrackSocket, NetfilterError, NflogConfig, NflogSocket, Nftables,
};
use bartizan_wire::{Client, ClientSettings, Endpoint};
use rustix::thread::CapabilitySet;
use serde_json::{Value, json};
use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub use probe::probe;

/// Where tools are looked for; never where the environment says.
const TOOL_DIRS: &[&str] = &["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that was tried.
#[derive(Debug, Default)]
pub struct Report(Vec<Line>);

#[derive(Debug)]
struct Line {
    state: State,
    what: String,
    found: String,
    /// What to do about it.
    remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Not there, and not needed for everything.
    Optional,
    Missing,
}

impl Report {
    /// Whether nothing that is needed is missing.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.0.iter().all(|line| line.state != State::Missing)
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lines: Vec<_> = self
            .0
            .iter()
            .map(|line| json!({ "state": line.state.as_str(), "what": line.what, "found": line.found, "remedy": line.remedy }))
            .collect();
        json!({ "well": self.is_well(), "lines": lines })
    }

    fn ok(&mut self, what: &str, found: impl Into<String>) {
        self.add(State::Ok, what, found.into(), "");
    }

    fn add(&mut self, state: State, what: &str, found: impl Into<String>, remedy: &str) {
        self.0.push(Line { state, what: what.into(), found: found.into(), remedy: remedy.into() });
    }

    /// What is needed for something only.
    fn optional(&mut self, there: bool, what: &str, found: impl Into<String>, remedy: &str) {
        if there { self.ok(what, found) } else { self.add(State::Optional, what, found, remedy) }
    }

    fn needed(&mut self, there: bool, what: &str, found: impl Into<String>, remedy: &str) {
        if there { self.ok(what, found) } else { self.add(State::Missing, what, found, remedy) }
    }
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Optional => "optional",
            Self::Missing => "missing",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { state, what, found, remedy } in &self.0 {
            write!(f, "{:<9} {what}: {found}", state.as_str())?;
            if !remedy.is_empty() && *state != State::Ok {
                write!(f, "\n          {remedy}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Tries everything.
///
/// # Errors
/// When a process cannot even be started.
pub fn doctor(settings: &Settings) -> anyhow::Result<Report> {
    let mut report = Report::default();
    rights(&mut report);
    kernel(&mut report);
    tools(&mut report);
    groups(settings, &mut report);
    directory(settings, &mut report);
    server(settings, &mut report)?;
    probe::walls(settings, &mut report)?;
    Ok(report)
}

fn rights(report: &mut Report) {
    let may = sandbox::effective().contains(CapabilitySet::NET_ADMIN);
    let found = if may { "there" } else { "not there" };
    report.needed(
        may,
        "CAP_NET_ADMIN",
        found,
        "run this, and the agent, as root or with AmbientCapabilities=CAP_NET_ADMIN",
    );
}

fn kernel(report: &mut Report) {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    report.ok("kernel", read("/proc/sys/kernel/osrelease").unwrap_or_default());
    let nflog = Path::new("/proc/net/netfilter/nfnetlink_log").exists();
    let found = if nflog { "there" } else { "not there" };
    report.needed(nflog, "nfnetlink_log", found, "`modprobe nfnetlink_log`");
    match Nftables::open().and_then(|mut nftables| nftables.generation()) {
        Ok(Some(generation)) => report.ok("nf_tables", format!("generation {generation}")),
        Ok(None) => report.add(
            State::Optional,
            "nf_tables",
            "not there",
            "`modprobe nf_tables`, or go on with iptables-legacy",
        ),
        Err(error) => report.add(State::Missing, "nf_tables", error.to_string(), "see CAP_NET_ADMIN"),
    }
    match ConntrackSocket::open(&ConntrackConfig { receive_buffer: 1 << 16, ..ConntrackConfig::new() }) {
        Ok(_) => report.ok("conntrack events", "there"),
        Err(error) => report.add(
            State::Optional,
            "conntrack events",
            error.to_string(),
            "`modprobe nf_conntrack_netlink`; without it there are no flows",
        ),
    }
    for (name, what) in [("acct", "bytes and packets of flows"), ("timestamp", "start and end of flows")] {
        let value = read(&format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        let on = value.as_ref().is_ok_and(|v| v == "1");
        let found = value.map_or_else(|_| "not there".to_owned(), |v| format!("nf_conntrack_{name} = {v}"));
        report.optional(on, what, found, &format!("`sysctl net.netfilter.nf_conntrack_{name}=1`"));
    }
}

/// The path of a tool, in the places where a system keeps them.
pub(crate) fn tool(name: &str) -> Option<String> {
    TOOL_DIRS.iter().map(|dir| format!("{dir}/{name}")).find(|path| Path::new(path).is_file())
}

fn tools(report: &mut Report) {
    match tool("nft") {
        Some(path) => {
            let json = Command::new(&path)
                .args(["-j", "list", "tables"])
                .env_clear()
                .stdin(Stdio::null())
                .output()
                .is_ok_and(|out| {
                    out.status.success() && serde_json::from_slice::<Value>(&out.stdout).is_ok()
                });
            let found = format!("{path}{}", if json { " with JSON" } else { ", which gives no JSON" });
            report.optional(
                json,
                "nft",
                found,
                "install nftables with JSON; rules are read as text without it",
            );
        }
        None => report.add(
            State::Optional,
            "nft",
            "not there",
            "install the package nftables; events have no rule without it",
        ),
    }
    for name in ["iptables-save", "ip6tables-save", "iptables-legacy-save", "ip6tables-legacy-save"] {
        let path = tool(name);
        let found = path.clone().unwrap_or_else(|| "not there".into());
        report.optional(path.is_some(), name, found, "only needed where iptables makes the rules");
    }
}

fn groups(settings: &Settings, report: &mut Report) {
    let mine = [pid_of(&settings.dir), running_worker(settings)];
    for group in &settings.groups {
        let what = format!("nflog group {group}");
        let wanted = settings.capture.receive_buffer;
        match NflogSocket::open(&NflogConfig { receive_buffer: wanted, ..NflogConfig::new(*group) }) {
            Ok(socket) => {
                report.ok(&what, "free");
                let got = socket.receive_buffer();
                report.optional(
                    got >= wanted,
                    &format!("receive buffer of group {group}"),
                    format!("{got} of {wanted} bytes"),
                    &format!(
                        "`sysctl net.core.rmem_max={wanted}`, or start as root of the first user namespace"
                    ),
                );
            }
            Err(NetfilterError::GroupTaken { holder: Some(holder), .. })
                if holder.pid.is_some() && mine.contains(&holder.pid) =>
            {
                report.ok(&what, format!("read by the running agent, {holder}"));
            }
            Err(error) => report.add(
                State::Missing,
                &what,
                error.to_string(),
                "stop the other reader, or use another group",
            ),
        }
    }
}

fn running_worker(settings: &Settings) -> Option<u32> {
    crate::status::ask(&settings.dir).ok()?["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

fn directory(settings: &Settings, report: &mut Report) {
    let user = User::named(&settings.user);
    report.optional(
        user.is_some(),
        "user of the worker",
        format!("{}{}", settings.user, user.map_or(", which does not exist".to_owned(), |u| format!(" ({})", u.uid))),
        &format!("`useradd --system --no-create-home --shell /usr/sbin/nologin {}`; without it the worker keeps root's number", settings.user),
    );
    let dir = &settings.dir;
    match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => {
            let mode = meta.permissions().mode() & 0o7777;
            let closed = mode & 0o077 == 0;
            let found = format!("{}, mode {mode:o}, owner {}", dir.display(), meta.uid());
            report.optional(closed, "directory", found, &format!("`chmod 700 {}`", dir.display()));
        }
        _ => report.add(
            State::Missing,
            "directory",
            format!("{} is no directory", dir.display()),
            "enrol this host first",
        ),
    }
}

fn server(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let enrolled = Path::new(&settings.dir).join("identity").is_dir().then(|| Identity::new(&settings.dir));
    let Some(Ok(identity)) = enrolled else {
        report.add(State::Missing, "certificate", "this host is not enrolled", "`bartizan-agent enrol`");
        return Ok(());
    };
    let (tls, info) = match identity.tls() {
        Ok(tls) => tls,
        Err(error) => {
            report.add(State::Missing, "certificate", format!("{error:#}"), "`bartizan-agent enrol`");
            return Ok(());
        }
    };
    let valid = bartizan_clock::now() < info.not_after;
    let until = crate::board::time(Some(info.not_after));
    let found = format!("{}, until {}", info.name, until.as_str().unwrap_or_default());
    report.needed(valid, "certificate", found, "`bartizan-agent enrol --replace`");
    let address = settings.server.clone().map_or_else(|| identity.server(), Ok);
    let (address, endpoint) = match address
        .and_then(|a| Ok((a.clone(), Endpoint::parse(&a, 8444).map_err(anyhow::Error::msg)?)))
    {
        Ok(found) => found,
        Err(error) => {
            report.add(State::Missing, "server", format!("{error:#}"), "set `server` in the configuration");
            return Ok(());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connected = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, Client::connect(&endpoint, &tls, ClientSettings::default())).await
    });
    match connected {
        Ok(Ok(_)) => report.ok("server", format!("{address} answers")),
        Ok(Err(error)) => report.add(
            State::Missing,
            "server",
            format!("{address}: {error}"),
            "is it running, and is the way to it open?",
        ),
        Err(_) => report.add(
            State::Missing,
            "server",
            format!("{address} does not answer"),
            "is the way to it open?",
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_makes_a_report_bad() {
        let mut report = Report::default();
        report.ok("kernel", "6.18");
        report.optional(false, "nft", "not there", "install it");
        assert!(report.is_well());
        report.needed(false, "certificate", "not enrolled", "enrol");
        assert!(!report.is_well());
        assert_eq!(
            report.to_string(),
            "ok        kernel: 6.18\noptional  nft: not there\n          install it\n\
             missing   certificate: not enrolled\n          enrol\n"
        );
        assert_eq!(report.to_json()["lines"][2]["state"], "missing");
    }
}
