//! Network namespaces.

use crate::sys;
use bartizan_ruleset::Incarnation;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    os::fd::BorrowedFd,
    os::unix::fs::MetadataExt,
    panic,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

/// Runs `work` in another network namespace and returns what it returns.
///
/// `namespace` is an open file of it (`/run/netns/NAME`, `/proc/PID/ns/net`). Sockets that `work` opens stay in
/// that namespace and may be used anywhere. The work is done on a thread of its own, which ends with it: no
/// other thread changes its namespace, and none is left in the wrong one.
///
/// # Errors
/// When the thread cannot be started or may not enter the namespace (it needs `CAP_SYS_ADMIN` there).
///
/// # Panics
/// With the panic of `work`.
pub fn in_netns<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, move || sys::enter_netns(namespace).map(|()| work()))?;
        worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// Which life of which network namespace this thread is in: boot id and the namespace's inode.
///
/// # Errors
/// When `/proc` does not tell.
pub fn incarnation() -> io::Result<Incarnation> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: Vec<u8> = boot.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    let mut out = [0; 24];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)).take(16) {
        *byte = pair[0] << 4 | pair[1];
    }
    let inode = fs::metadata("/proc/thread-self/ns/net")?.ino();
    out[16..].copy_from_slice(&inode.to_be_bytes());
    Ok(Incarnation(out))
}

/// A network namespace that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    /// Its number (inode), unique while it lives.
    pub id: u64,
    /// A name for people that stays the same while it lives: empty for our own, its name under `/run/netns`, the
    /// id of the container that runs in it, or `pid:N` of the lowest process that was in it when it was first
    /// seen.
    pub name: String,
    /// A file to enter it by, for [`in_netns`]. It can be gone a moment later.
    pub path: PathBuf,
}

/// Every network namespace that has a name or a process, our own first, the others by their number.
///
/// Costs a look at each process: about 2 µs. A namespace that only an open file or a thread keeps alive is not
/// found. Without root, only our own processes' are.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn namespaces() -> io::Result<Vec<Netns>> {
    static NAMES: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = find(Path::new("/run/netns"), Path::new("/proc"), &mut names)?;
    names.retain(|id, _| found.iter().any(|netns| netns.id == *id));
    Ok(found)
}

/// `names` are those of namespaces that were seen before.
fn find(named: &Path, proc: &Path, names: &mut BTreeMap<u64, String>) -> io::Result<Vec<Netns>> {
    let own_path = proc.join("self/ns/net");
    let own = fs::metadata(&own_path)?;
    let mut paths = BTreeMap::new();
    names.insert(own.ino(), String::new());
    paths.insert(own.ino(), own_path);
    for entry in fs::read_dir(named).into_iter().flatten().flatten() {
        let path = entry.path();
        // A name without a namespace mounted on it is an ordinary file.
        let Ok(file) = fs::metadata(&path) else { continue };
        if file.dev() == own.dev()
            && let Entry::Vacant(vacant) = paths.entry(file.ino())
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            names.insert(file.ino(), name);
            vacant.insert(path);
        }
    }
    let mut pids: Vec<u32> = (fs::read_dir(proc)?.flatten())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        let path = proc.join(format!("{pid}/ns/net"));
        let Some(id) = fs::read_link(&path).ok().and_then(|link| inode_of(link.to_str()?)) else { continue };
        if let Entry::Vacant(vacant) = paths.entry(id) {
            names.entry(id).or_insert_with(|| {
                let cgroup = fs::read_to_string(proc.join(format!("{pid}/cgroup"))).unwrap_or_default();
                container_of(&cgroup).unwrap_or_else(|| format!("pid:{pid}"))
            });
            vacant.insert(path);
        }
    }
    let netns = |(id, path)| Netns { id, name: names.get(&id).cloned().unwrap_or_default(), path };
    let mut found: Vec<_> = paths.into_iter().map(netns).collect();
    found.sort_by_key(|netns| (!netns.name.is_empty(), netns.id));
    Ok(found)
}

/// From `net:[4026531840]`.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Characters of a container's id that people use.
const SHORT_ID: usize = 12;

/// The container that a process's cgroups name: 64 hexadecimal digits as Docker, Podman, containerd and CRI-O
/// write them, of which the first 12 are given, or the name of an LXC container or machine.
fn container_of(cgroups: &str) -> Option<String> {
    let parts = || {
        let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths.flat_map(|path| path.rsplit('/'))
    };
    let id = parts().find_map(|part| {
        let runs = part.split(|c: char| !c.is_ascii_hexdigit());
        runs.map(str::trim).find(|run| run.len() == 64).map(|run| run[..SHORT_ID].to_ascii_lowercase())
    });
    let named = || {
        parts().find_map(|part| {
            let name = (part.strip_prefix("lxc.payload."))
                .or_else(|| part.strip_prefix("machine-")?.strip_suffix(".scope"))?;
            (!name.is_empty()).then(|| name.to_owned())
        })
    };
    id.or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_one_name() {
        let one = incarnation().unwrap();
        assert_eq!(one, incarnation().unwrap());
        assert_ne!(one.0[..16], [0; 16]);
        assert_ne!(one.0[16..], [0; 8]);
    }

    #[test]
    fn our_own_namespace_comes_first_and_has_no_name() {
        let found = namespaces().unwrap();
        let inode = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!((found[0].id, found[0].name.as_str()), (inode, ""));
        assert!(found[1..].iter().all(|netns| !netns.name.is_empty() && netns.id != inode));
    }

    #[test]
    fn containers_by_their_cgroups() {
        let id = "0123456789abcdef".repeat(4);
        for (cgroups, name) in [
            (format!("0::/system.slice/docker-{id}.scope\n"), Some("0123456789ab")),
            (format!("12:pids:/kubepods/besteffort/pod1/{id}\n0::/\n"), Some("0123456789ab")),
            (
                format!("0::/kubepods.slice/pod_2.slice/cri-containerd-{id}.scope/init\n"),
                Some("0123456789ab"),
            ),
            (format!("0::/machine.slice/libpod-{id}.scope/container\n"), Some("0123456789ab")),
            ("0::/lxc.payload.web1/init.scope\n".to_owned(), Some("web1")),
            ("0::/machine.slice/machine-db.scope/payload\n".to_owned(), Some("db")),
            ("0::/user.slice/user-0.slice/session-1.scope\n".to_owned(), None),
            (format!("0::/x/{id}0\n"), None),
            (String::new(), None),
        ] {
            assert_eq!(container_of(&cgroups).as_deref(), name, "{cgroups}");
        }
    }
}
