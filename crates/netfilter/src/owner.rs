//! Who reads a group: from the group to the netlink port, to the socket, to the process that has it open.

use crate::Holder;
use std::fs;

/// Netfilter's netlink protocol.
const NETLINK_NETFILTER: u32 = 12;

/// The reader of a group in the network namespace of this thread. Best effort: the kernel's lists are texts for
/// people, and the processes of others can be looked into by root alone.
pub(crate) fn holder(group: u16) -> Option<Holder> {
    let list = fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log").ok()?;
    let port = port_of(&list, group)?;
    let sockets = fs::read_to_string("/proc/thread-self/net/netlink").unwrap_or_default();
    let pid = inode_of(&sockets, port).and_then(process_with);
    let process =
        pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok()).unwrap_or_default();
    Some(Holder { port, pid, process: process.trim_end().to_owned() })
}

/// From lines of group, port, queued packets, copy mode, ...
fn port_of(list: &str, group: u16) -> Option<u32> {
    list.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()?.parse() == Ok(group)).then(|| words.next()?.parse().ok())?
    })
}

/// From lines of address, protocol, port, groups, memory, memory, dump, locks, drops, inode.
fn inode_of(list: &str, port: u32) -> Option<u64> {
    list.lines().skip(1).find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, protocol, its_port, .., inode] = words[..] else { return None };
        let ours = protocol.parse() == Ok(NETLINK_NETFILTER) && its_port.parse() == Ok(port);
        ours.then(|| inode.parse().ok())?
    })
}

/// The lowest process that has a socket open.
fn process_with(inode: u64) -> Option<u32> {
    let socket = format!("socket:[{inode}]");
    let mut pids: Vec<u32> = (fs::read_dir("/proc").ok()?.flatten())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == socket.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        let groups = "    5   4711     0 2   192  10  1\n    7 4194304 1 2 65535 100 1\n";
        assert_eq!(
            (port_of(groups, 5), port_of(groups, 7), port_of(groups, 6)),
            (Some(4711), Some(4_194_304), None)
        );
        let sockets = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
             0000000000000000 0   4711       00000000 0        0        0     2        0        11\n\
             0000000000000000 12  4711       00000000 0        0        0     2        0        12\n";
        assert_eq!((inode_of(sockets, 4711), inode_of(sockets, 1)), (Some(12), None));
    }
}
