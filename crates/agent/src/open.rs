//! Opening: everything that needs rights, behind one trait.
//!
//! The agent's parts know only [`Open`]. [`Direct`] does it in this process; the opener's client asks another
//! process that still has the rights, and gets descriptors back.

use bartizan_netfilter::{
    Interfaces, NetfilterError, Netns, NflogConfig, NflogSocket, Nftables, in_netns, incarnation, namespaces,
};
use bartizan_ruleset::Incarnation;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

/// What needs `CAP_NET_ADMIN`, for each network namespace.
pub(crate) trait Open: Send + Sync {
    /// Every network namespace of this machine that has a name or a process; the own one first.
    fn namespaces(&self) -> io::Result<Vec<Netns>>;
    /// Binds and configures a group.
    fn nflog(&self, netns: &Netns, config: &NflogConfig) -> Result<NflogSocket, NetfilterError>;
    /// A socket for questions to nf_tables.
    fn nftables(&self, netns: &Netns) -> Result<Nftables, NetfilterError>;
    /// Names of interfaces.
    fn interfaces(&self, netns: &Netns) -> Result<Interfaces, NetfilterError>;
    /// Which life of which namespace it is.
    fn incarnation(&self, netns: &Netns) -> io::Result<Incarnation>;
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

    fn nftables(&self, netns: &Netns) -> Result<Nftables, NetfilterError> {
        inside(netns, Nftables::open)
    }

    fn interfaces(&self, netns: &Netns) -> Result<Interfaces, NetfilterError> {
        inside(netns, Interfaces::open)
    }

    fn incarnation(&self, netns: &Netns) -> io::Result<Incarnation> {
        entered(netns, incarnation)?
    }
}

fn inside<T: Send>(
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
