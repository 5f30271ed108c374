//! System calls: which a process may make. What it may not fails with `EPERM`; the process lives on, and the caller
//! handles the error as any other.

use anyhow::Context as _;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::collections::BTreeMap;

/// What is said of calls, by number.
pub type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refuses these calls, whatever their arguments.
///
/// # Errors
/// If the kernel has no seccomp.
pub fn deny(lists: &[&[i64]]) -> anyhow::Result<()> {
    let rules = lists.iter().copied().flatten().map(|call| (*call, Vec::new())).collect();
    install(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.cast_unsigned()))
}

/// Installs a filter: calls that match `rules` are `matched`, all others `otherwise`.
///
/// # Errors
/// If the kernel has no seccomp.
pub fn install(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> anyhow::Result<()> {
    let arch = std::env::consts::ARCH.try_into().context("unknown to seccomp")?;
    let filter: BpfProgram = SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()?;
    Ok(apply_filter(&filter)?)
}

/// Of an argument's lower half.
///
/// # Errors
/// If there is no such argument.
pub fn condition(argument: u8, op: SeccompCmpOp, value: u64) -> anyhow::Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)?)
}

/// One condition.
///
/// # Errors
/// As [`condition`].
pub fn rule(argument: u8, op: SeccompCmpOp, value: u64) -> anyhow::Result<SeccompRule> {
    Ok(SeccompRule::new(vec![condition(argument, op, value)?])?)
}

/// An argument that is one of these.
///
/// # Errors
/// As [`condition`].
pub fn any_of(argument: u8, values: &[u64]) -> anyhow::Result<Vec<SeccompRule>> {
    values.iter().map(|value| rule(argument, SeccompCmpOp::Eq, *value)).collect()
}

/// What starts another program, or enters other namespaces: for those that do neither.
pub const PROGRAMS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat, libc::SYS_setns];

/// What no program of ours, and no tool that one starts, ever needs: tracing others, mounts, modules, keys, clocks, and what
/// is new and large in the kernel.
pub const NEVER: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
    libc::SYS_mknodat,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
];
