use std::{fmt, io};

/// Who reads a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The netlink port of its socket.
    pub port: u32,
    /// Its process, where one with this socket is found; only root finds those of others.
    pub pid: Option<u32>,
    /// The name of that process, or empty.
    pub process: String,
}

/// As in `ulogd (pid 812)`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            // The name is the process's own choice.
            Some(pid) => write!(f, "{} (pid {pid})", self.process.escape_default()),
            None => write!(f, "netlink port {}, whose process is not to be found", self.port),
        }
    }
}

/// Why a netfilter socket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetfilterError {
    /// Another socket reads the group; a group has one reader. Nothing of that reader is changed.
    #[error("nflog group {group} already has a reader{}", holder.as_ref().map(|h| format!(": {h}")).unwrap_or_default())]
    GroupTaken {
        /// The group.
        group: u16,
        /// Its reader, where the kernel tells.
        holder: Option<Holder>,
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

    /// Whether the kernel says that what was asked for is not there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.raw_os_error() == Some(libc::ENOENT))
    }

    /// Whether the subsystem that was asked is not in this kernel: nfnetlink answers `EINVAL` for one that is not
    /// there.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::NotSupported { .. } => true,
            Self::Io { source, .. } => source.raw_os_error() == Some(libc::EINVAL),
            _ => false,
        }
    }

    /// From the code of an acknowledgement.
    pub(crate) fn from_code(operation: &'static str, code: i32) -> Self {
        Self::from_io(operation, io::Error::from_raw_os_error(code))
    }
}
