//! Opening: everything that needs rights, behind one trait.
//!
//! The agent's parts know only [`Open`]. [`Direct`] does it in this process, which is the opener; its client in
//! the worker asks that process, and gets descriptors back.

use crate::listing::{Tool, tool};
use bartizan_netfilter::{
    ConntrackConfig, ConntrackSocket, Interfaces, NetfilterError, Netns, NflogConfig, NflogSocket, Nftables,
    RulesetMonitor, in_netns, incarnation, namespaces,
};
use bartizan_ruleset::{Form, Incarnation};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a listing tool may take.
const TOOL_PATIENCE: Duration = Duration::from_secs(20);

/// What needs `CAP_NET_ADMIN`, for each network namespace.
pub(crate) trait Open: Send + Sync {
    /// Every network namespace of this machine that has a name or a process; the own one first.
    fn namespaces(&self) -> io::Result<Vec<Netns>>;
    /// Binds and configures a group.
    fn nflog(&self, netns: &Netns, config: &NflogConfig) -> Result<NflogSocket, NetfilterError>;
    /// Changes the settings of a group that is bound; nothing that is queued or counted is touched.
    fn nflog_settings(&self, socket: BorrowedFd<'_>, config: &NflogConfig) -> io::Result<()>;
    /// A socket for questions to nf_tables.
    fn nftables(&self, netns: &Netns) -> Result<Nftables, NetfilterError>;
    /// Names of interfaces.
    fn interfaces(&self, netns: &Netns) -> Result<Interfaces, NetfilterError>;
    /// Which life of which namespace it is.
    fn incarnation(&self, netns: &Netns) -> io::Result<Incarnation>;
    /// A socket that is told of changes of the ruleset.
    fn changes(&self, netns: &Netns) -> Result<RulesetMonitor, NetfilterError>;
    /// A socket that is told of tracked connections.
    fn conntrack(&self, netns: &Netns, config: &ConntrackConfig) -> Result<ConntrackSocket, NetfilterError>;
    /// Starts the tool that prints the ruleset in a form, and gives the end of a pipe to read it from; `None`
    /// where there is no such tool. A tool that takes too long is ended, and the pipe with it.
    fn list(&self, netns: &Netns, form: Form) -> io::Result<Option<OwnedFd>>;
    /// `/dev/kmsg`, for reading without waiting.
    fn kmsg(&self) -> io::Result<OwnedFd> {
        kmsg()
    }
    /// Starts `journalctl` and gives the end of a pipe to read from: entries of the kernel in the export format, from
    /// the one at a cursor on, or the newest one and those that come from now on. It ends when nobody reads.
    fn journal(&self, cursor: Option<&str>) -> io::Result<OwnedFd> {
        journal(cursor)
    }
}

/// Opens in this process, which needs the rights itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct;

impl Open for Direct {
    fn namespaces(&self) -> io::Result<Vec<Netns>> {
        namespaces()
    }

    fn nflog(&self, netns: &Netns, config: &NflogConfig) -> Result<NflogSocket, NetfilterError> {
        inside(netns, || NflogSocket::open(config))
    }

    fn nflog_settings(&self, socket: BorrowedFd<'_>, config: &NflogConfig) -> io::Result<()> {
        // any number that no bind has
        NflogSocket::ask_again(socket, config, u32::MAX).map_err(io::Error::other)
    }

    fn nftables(&self, netns: &Netns) -> Result<Nftables, NetfilterError> {
        inside(netns, Nftables::open)
    }

    fn interfaces(&self, netns: &Netns) -> Result<Interfaces, NetfilterError> {
        inside(netns, Interfaces::open)
    }

    fn incarnation(&self, netns: &Netns) -> io::Result<Incarnation> {
        entered(netns, incarnation)?
    }

    fn changes(&self, netns: &Netns) -> Result<RulesetMonitor, NetfilterError> {
        inside(netns, RulesetMonitor::open)
    }

    fn conntrack(&self, netns: &Netns, config: &ConntrackConfig) -> Result<ConntrackSocket, NetfilterError> {
        inside(netns, || ConntrackSocket::open(config))
    }

    fn list(&self, netns: &Netns, form: Form) -> io::Result<Option<OwnedFd>> {
        // a child starts in the namespace of the thread that made it
        entered(netns, || start(&tool(form)))?
    }
}

/// Where tools are looked for: whoever has rights believes no `PATH`.
const TOOL_DIRS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Starts a tool; it and the thread that waits for it end by themselves.
pub(crate) fn start(tool: &Tool) -> io::Result<Option<OwnedFd>> {
    let paths =
        tool.programs.iter().flat_map(|name| TOOL_DIRS.iter().map(move |dir| format!("{dir}/{name}")));
    let Some(path) = paths.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        return Ok(None);
    };
    let mut child = Command::new(path)
        .args(tool.args)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    thread::Builder::new().name("listing".into()).spawn(move || {
        let start = Instant::now();
        while !matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            if start.elapsed() > TOOL_PATIENCE {
                drop(child.kill());
                drop(child.wait());
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    })?;
    Ok(stdout)
}

/// See [`Open::kmsg`].
pub(crate) fn kmsg() -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    Ok(open("/dev/kmsg", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?)
}

/// See [`Open::journal`]. A cursor comes from whoever has no rights: it is one word of a cursor's letters.
pub(crate) fn journal(cursor: Option<&str>) -> io::Result<OwnedFd> {
    const DIRS: [&str; 2] = ["/usr/bin", "/bin"];
    // what journald missed of the kernel's log it says itself, in an entry of this id
    const MATCHES: [&str; 3] = ["_TRANSPORT=kernel", "+", "MESSAGE_ID=e9bf28e6e834481bb6f48f548ad13606"];
    let start = match cursor {
        None => "--lines=1".to_owned(),
        Some(cursor) if is_cursor(cursor) => format!("--cursor={cursor}"),
        Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "that is no cursor")),
    };
    let path =
        DIRS.iter().map(|dir| format!("{dir}/journalctl")).find(|path| std::path::Path::new(path).exists());
    let path = path.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no journalctl"))?;
    let mut command = Command::new(path);
    command.args(["--output=export", "--follow", "--no-pager", "--quiet"]).arg(start);
    if cursor.is_some() {
        command.arg("--no-tail");
    }
    let mut child = command
        .args(MATCHES)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    std::thread::Builder::new().name("journalctl".into()).spawn(move || drop(child.wait()))?;
    stdout.ok_or_else(|| io::Error::other("journalctl has no output"))
}

fn is_cursor(text: &str) -> bool {
    text.len() <= 512 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"=;-".contains(&b))
}

/// Runs `work` in a namespace; not to get there is its failure.
pub(crate) fn inside<T: Send>(
    netns: &Netns,
    work: impl FnOnce() -> Result<T, NetfilterError> + Send,
) -> Result<T, NetfilterError> {
    entered(netns, work)
        .unwrap_or_else(|source| Err(NetfilterError::Io { operation: "enter the network namespace", source }))
}

/// Runs `work` in a namespace; in the own one, on this thread.
fn entered<T: Send>(netns: &Netns, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if netns.name.is_empty() {
        return Ok(work());
    }
    in_netns(File::open(&netns.path)?.as_fd(), work)
}
