use std::io;

/// Why a netfilter socket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetfilterError {
    /// Another socket reads the group; a group has one reader. Nothing of that reader is changed.
    #[error("nflog group {group} already has a reader{}", holder.map(|p| format!(" (netlink port {p}, which is usually its process id)")).unwrap_or_default())]
    GroupTaken {
        /// The group.
        group: u16,
        /// The netlink port of its reader, where the kernel tells.
        holder: Option<u32>,
    },
    /// The process lacks `CAP_NET_ADMIN` in the owner of its network namespace.
    #[error("not permitted to {operation}: CAP_NET_ADMIN is missing")]
    NotPermitted {
        /// What was asked.
        operation: &'static str,
    },
    /// This kernel has no nfnetlink, or not the part that was asked.
    #[error("the kernel cannot {operation}: a netfilter module is missing")]
    NotSupported {
        /// What was asked.
        operation: &'static str,
    },
    /// The ruleset changed during every attempt to read it. Ask again later.
    #[error("the ruleset kept changing while it was read, {attempts} times")]
    KeepsChanging {
        /// How often it was tried.
        attempts: u32,
    },
    /// The kernel did not answer in time.
    #[error("no answer of the kernel to: {operation}")]
    NoAnswer {
        /// What was asked.
        operation: &'static str,
    },
    /// An answer that is not what the format says.
    #[error("malformed answer of the kernel to: {operation}")]
    Malformed {
        /// What was asked.
        operation: &'static str,
    },
    /// Any other refusal.
    #[error("cannot {operation}")]
    Io {
        /// What was asked.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl NetfilterError {
    /// From an error of the system, told apart by its number.
    pub(crate) fn from_io(operation: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { operation },
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => {
                Self::NotSupported { operation }
            }
            _ => Self::Io { operation, source },
        }
    }

    /// From the code of an acknowledgement.
    pub(crate) fn from_code(operation: &'static str, code: i32) -> Self {
        Self::from_io(operation, io::Error::from_raw_os_error(code))
    }
}
