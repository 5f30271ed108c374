//! What the two processes may do: capabilities, system calls, files.
//!
//! - **Worker** ([`shut_worker_in`]): no capability in any set, no new privileges, files by landlock, system calls
//!   by an allow-list. It parses what the kernel and the network say.
//! - **Opener** ([`keep_only`], [`shut_opener_in`]): the few capabilities that it opens with, and a deny-list of
//!   system calls that `nft` and `iptables-save` can live with, which it starts.
//!
//! Everything here counts for the calling thread and what it starts later: call it while there is one thread.
//! What this kernel or this user may not do is told, not fatal: a host that cannot shut its agent in is better
//! watched than not.

use anyhow::Context as _;
pub(crate) use bartizan_sandbox::{Gaps, common_reads};
use bartizan_sandbox::{Needs, landlock, no_new_privileges};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};

mod calls;

/// What the opener needs to open sockets; iptables-save of the old kind opens a raw one.
pub(crate) const OPEN_SOCKETS: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);
/// To enter other network namespaces, and to find those of containers.
pub(crate) const OTHER_NAMESPACES: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYS_PTRACE);

/// Takes every capability from this thread and from whatever it starts, for ever. For the thread that starts the
/// worker: only here is there still the right to empty the bounding set.
pub(crate) fn drop_all_but_changing_user() -> Gaps {
    let mut gaps = Gaps::default();
    gaps.add("no new privileges", no_new_privileges());
    gaps.add("ambient capabilities", clear_ambient_capability_set().map_err(Into::into));
    gaps.add("bounding set", bound(CapabilitySet::empty()));
    // what the change of user needs goes with the exec: nothing is inheritable and the bounding set is empty
    let keep = CapabilitySet::SETUID | CapabilitySet::SETGID;
    gaps.add("capabilities", restrict(keep, CapabilitySet::empty()));
    gaps
}

/// What [`drop_all_but_changing_user`] left, once the worker is started.
pub(crate) fn drop_the_rest() {
    let _ = restrict(CapabilitySet::empty(), CapabilitySet::empty());
}

/// Takes every capability but `keep` from this thread and what it starts. The programs that it starts have
/// `keep` as well.
pub(crate) fn keep_only(keep: CapabilitySet) -> Gaps {
    let mut gaps = Gaps::default();
    gaps.add("bounding set", bound(keep));
    gaps.add("capabilities", restrict(keep, keep));
    // for programs that are started by somebody who is not root
    for one in keep.iter() {
        let _ = configure_capability_in_ambient_set(one, true);
    }
    gaps.add("no new privileges", no_new_privileges());
    gaps
}

/// The worker's own part, when it knows its files. Returns the version of landlock that holds, and what does
/// not.
pub(crate) fn shut_worker_in(needs: &Needs) -> (u32, Gaps) {
    let mut gaps = Gaps::default();
    gaps.add("capabilities", restrict(CapabilitySet::empty(), CapabilitySet::empty()));
    gaps.add("no new privileges", no_new_privileges());
    let mut version = 0;
    gaps.add("landlock", landlock(needs).map(|v| version = v));
    gaps.add("seccomp", calls::allow_worker());
    (version, gaps)
}

/// The opener's last step.
pub(crate) fn shut_opener_in() -> Gaps {
    let mut gaps = Gaps::default();
    gaps.add("seccomp", calls::deny_opener());
    gaps
}

/// What this thread can do now.
pub(crate) fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

/// Leaves the bounding set with no more than `keep`.
fn bound(keep: CapabilitySet) -> anyhow::Result<()> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // the kernel knows no more of them
            Err(rustix::io::Errno::INVAL) => return Ok(()),
            Err(error) => return Err(error).context("CAP_SETPCAP is missing"),
        }
    }
    Ok(())
}

/// Leaves the thread's sets with no more than `keep`.
fn restrict(keep: CapabilitySet, inherit: CapabilitySet) -> anyhow::Result<()> {
    let have = capabilities(None)?;
    let permitted = have.permitted & keep;
    let inheritable = permitted & inherit;
    set_capabilities(None, CapabilitySets { effective: permitted, permitted, inheritable })?;
    Ok(())
}
