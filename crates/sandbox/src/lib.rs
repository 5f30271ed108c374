//! Takes from a process what it does not need: files and ports (landlock), system calls (seccomp), and the way back.
//!
//! Everything here counts for the calling thread and what it starts later: call it while there is one thread. Nothing
//! that was taken comes back.
//!
//! What this kernel or this user may not do is told in words, for the caller to judge: [`Gaps`].
//!
//! What it does not do: know which program needs what, but for the files that nearly every one reads
//! ([`common_reads`]) and the calls that none needs ([`calls::NEVER`]).

pub mod calls;

use anyhow::bail;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, Scope, path_beneath_rules,
};
use std::path::PathBuf;

/// The newest landlock that is asked for; an older kernel gives what it has.
const LANDLOCK: ABI = ABI::V6;

/// What a process may use of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files that are read and written, with everything below.
    pub own: Vec<PathBuf>,
    /// Files that are read, with everything below.
    pub read: Vec<PathBuf>,
    /// TCP ports that it listens on; 0 is one that the kernel chooses.
    pub listen: Vec<u16>,
}

/// What became of shutting in; empty lines mean that all of it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(pub Vec<String>);

impl Gaps {
    /// Notes what does not hold.
    pub fn add(&mut self, what: &str, result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.0.push(format!("{what}: {error:#}"));
        }
    }
}

/// No program that is started has more rights than this one.
///
/// # Errors
/// If the kernel does not know it.
pub fn no_new_privileges() -> anyhow::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// No file but these, none that is run, no TCP port to listen on but these, and no signal to others. Returns the version
/// of landlock that holds.
///
/// # Errors
/// If there is none.
pub fn landlock(needs: &Needs) -> anyhow::Result<u32> {
    let read = AccessFs::from_read(LANDLOCK) & !AccessFs::Execute;
    let own = AccessFs::from_all(LANDLOCK)
        & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
    let ports = needs
        .listen
        .iter()
        .map(|port| Ok::<_, landlock::RulesetError>(NetPort::new(*port, AccessNet::BindTcp)));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(&needs.read, read))?
        .add_rules(path_beneath_rules(&needs.own, own))?
        .add_rules(ports)?
        .restrict_self()?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi as u32),
        LandlockStatus::NotEnabled => bail!("not enabled in this kernel (boot with lsm=landlock,...)"),
        LandlockStatus::NotImplemented => bail!("this kernel has none"),
    }
}

/// What nearly every process reads: of itself, of the kernel, for names of servers and for time.
///
/// As a user of its own it may read all of `/etc` that this user may: a resolver's file that is put in the place of the
/// old one is seen. With root's number that would be too much, so that only the files that are there at the start are
/// read.
#[must_use]
pub fn common_reads(own_user: bool) -> Vec<PathBuf> {
    const ALWAYS: &[&str] = &[
        "/proc/self",
        "/proc/sys/kernel",
        "/proc/sys/net",
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/sys/devices/system/cpu",
        "/dev/null",
        "/dev/urandom",
        "/usr/share/zoneinfo",
        "/run/systemd/resolve",
        "/run/resolvconf",
        "/run/NetworkManager",
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
    ];
    const RESOLVER: &[&str] = &[
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/gai.conf",
        "/etc/host.conf",
        "/etc/services",
        "/etc/protocols",
        "/etc/localtime",
        "/etc/ld.so.cache",
    ];
    let etc: &[&str] = if own_user { &["/etc"] } else { RESOLVER };
    ALWAYS.iter().chain(etc).map(PathBuf::from).filter(|path| path.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::net::TcpListener;
    use std::process::Command;

    /// Its thread is shut in, and no other of the test.
    #[test]
    fn what_is_not_needed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        fs::create_dir(&own).unwrap();
        fs::write(&other, "secret").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shut_in = move || {
            let needs = Needs { own: vec![own.clone()], read: common_reads(false), listen: vec![free] };
            no_new_privileges().unwrap();
            let version = landlock(&needs);
            calls::deny(&[calls::NEVER, calls::PROGRAMS]).unwrap();
            fs::write(own.join("file"), "x").unwrap();
            // What the kernel has no landlock for, it cannot refuse.
            if let Ok(version) = version {
                assert!(fs::read(&other).is_err() && fs::write(&other, "x").is_err());
                assert!(fs::read("/etc/shadow").is_err());
                if version >= 4 {
                    assert!(TcpListener::bind(("127.0.0.1", 0)).is_err());
                    TcpListener::bind(("127.0.0.1", free)).unwrap();
                }
            }
            assert!(Command::new("/bin/true").spawn().is_err());
            let ptrace = rustix::process::getppid().map(|parent| {
                rustix::process::pidfd_getfd(
                    rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).unwrap(),
                    0,
                    rustix::process::PidfdGetfdFlags::empty(),
                )
            });
            assert!(ptrace.is_none_or(|got| got.is_err()));
            let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
            let status =
                if status.is_empty() { fs::read_to_string("/proc/self/status").unwrap() } else { status };
            assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        };
        std::thread::spawn(shut_in).join().unwrap();
        assert!(Command::new("/bin/true").status().unwrap().success(), "this thread is free");
    }
}
