//! Changes of the ruleset, as the kernel tells them: which generation, made by whom.
//!
//! The kernel sends a notice for every rule of a change and at its end one for the new generation. A filter in
//! the kernel lets only the latter through, so that a change of 100,000 rules is one small datagram.

use crate::{
    NetfilterError, Received, RecvBuffer, Waker,
    bpf::{self, Program},
    receiver::Receiver,
    sys,
};
use bartizan_decode::{netlink::Messages, nftables};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

const NFNLGRP_NFTABLES: i32 = 7;
const NFNL_SUBSYS_NFTABLES: u8 = 10;
const NFT_MSG_NEWGEN: u8 = 15;
/// A notice is under 100 bytes.
const BUFFER: usize = 8192;
const OPERATION: &str = "watch the ruleset";

/// A change of the ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The generation that it made.
    pub generation: u32,
    /// The process that made it, in the first pid namespace.
    pub pid: Option<u32>,
    /// Its name, up to 15 characters; not to be trusted.
    pub process: String,
}

/// What a wait for changes gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The ruleset was changed.
    Change(Change),
    /// Notices were lost: the ruleset was changed, nobody knows how often.
    Overrun,
    /// Nothing came until the time was over.
    Idle,
    /// A [`Waker`] said so.
    Stopped,
}

/// A socket that is told of changes of the ruleset.
#[derive(Debug)]
pub struct RulesetMonitor {
    receiver: Receiver,
    buf: RecvBuffer,
}

impl RulesetMonitor {
    /// In the network namespace of this thread.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`, [`NetfilterError::NotSupported`].
    pub fn open() -> Result<Self, NetfilterError> {
        let io = |e| NetfilterError::from_io(OPERATION, e);
        // The filter is there before the group is: nothing else ever comes.
        let fd = sys::netfilter_socket().map_err(io)?;
        sys::attach_filter(fd.as_fd(), &only_generations().finish()).map_err(io)?;
        sys::join(fd.as_fd(), NFNLGRP_NFTABLES).map_err(io)?;
        Self::from_fd(fd).map_err(io)
    }

    /// The socket that [`RulesetMonitor::open`] made in another process.
    ///
    /// # Errors
    /// When this process can open no more files.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { receiver: Receiver::new(fd)?, buf: RecvBuffer::with_capacity(BUFFER) })
    }

    /// The descriptor, to hand it to another process.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.receiver.into_fd()
    }

    /// Something to end the waits with.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.receiver.waker()
    }

    /// Takes the next notice, waiting for it for at most `timeout`.
    ///
    /// # Errors
    /// Only what no retry mends.
    pub fn recv(&mut self, timeout: Duration) -> Result<Notice, NetfilterError> {
        Ok(match self.receiver.recv(&mut self.buf.0, timeout, OPERATION)? {
            Received::Datagram(bytes) => {
                let messages = Messages::new(bytes).map_while(Result::ok);
                let change = messages.filter_map(|m| {
                    let generation = nftables::generation(&m)?;
                    let process = String::from_utf8_lossy(generation.process).into_owned();
                    Some(Change { generation: generation.id, pid: generation.pid, process })
                });
                change.last().map_or(Notice::Overrun, Notice::Change)
            }
            Received::Overrun | Received::Truncated(_) => Notice::Overrun,
            Received::Idle => Notice::Idle,
            Received::Stopped => Notice::Stopped,
        })
    }
}

/// Takes messages of a new generation, and the kernel's answers.
fn only_generations() -> Program {
    let mut program = Program::new();
    program.load_byte(bpf::SUBSYSTEM);
    program.unless_equal_return(u32::from(NFNL_SUBSYS_NFTABLES), bpf::TAKE);
    program.load_byte(bpf::MESSAGE);
    program.unless_equal_return(u32::from(NFT_MSG_NEWGEN), bpf::DROP);
    program.give(bpf::TAKE);
    program
}
