//! Network namespaces.

use crate::sys;
use bartizan_ruleset::Incarnation;
use std::{fs, io, os::fd::BorrowedFd, os::unix::fs::MetadataExt, panic, thread};

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
}
