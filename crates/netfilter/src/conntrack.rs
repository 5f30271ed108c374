//! Tracked connections as they begin, change and end, from the kernel's conntrack events.
//!
//! **Losses.** The kernel sends one small datagram for each event. When the receive buffer is full it drops
//! events, and the next receive says [`Received::Overrun`] once; [`ConntrackSocket::dropped`] tells how many were
//! dropped. Whoever needs to know what is left asks for all connections then ([`crate::Nftables::connections`]). With
//! [`ConntrackConfig::reliable`] the kernel keeps connections whose end found no room and sends their end again
//! later, so that no end is lost; but they count against `nf_conntrack_max` until then.
//!
//! **What has no events.** With `nf_conntrack_events` at its default of 2 the kernel notes events only for
//! connections that began while somebody listened: one that is older than the first socket ends silently.
//!
//! **The filter** is carried out in the kernel, as far as it fits into a program there, and the rest by
//! [`ConntrackFilter::takes`].

mod filter;

pub use filter::{ConntrackFilter, Network, ParseNetworkError};

use crate::{NetfilterError, Received, RecvBuffer, Waker, receiver::Receiver, sys};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const NFNLGRP_CONNTRACK_NEW: i32 = 1;
const NFNLGRP_CONNTRACK_UPDATE: i32 = 2;
const NFNLGRP_CONNTRACK_DESTROY: i32 = 3;
/// The longest event that the kernel makes is well under this.
const LONGEST: usize = 4096;
const OPERATION: &str = "watch the tracked connections";

/// How connections are to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConntrackConfig {
    /// Connections that begin.
    pub new: bool,
    /// Connections whose state changes: several for each connection.
    pub update: bool,
    /// Connections that end.
    pub destroy: bool,
    /// Which of them.
    pub filter: ConntrackFilter,
    /// Bytes of the socket's receive buffer. An event takes about 1 KiB of it.
    pub receive_buffer: usize,
    /// Whether the kernel keeps connections until their end was received. See the module's text.
    pub reliable: bool,
}

impl ConntrackConfig {
    /// The end of every connection, with room for some 60,000 events.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            new: false,
            update: false,
            destroy: true,
            filter: ConntrackFilter { protocols: Vec::new(), networks: Vec::new() },
            receive_buffer: 64 << 20,
            reliable: false,
        }
    }
}

impl Default for ConntrackConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// A socket that is told of tracked connections.
#[derive(Debug)]
pub struct ConntrackSocket {
    receiver: Receiver,
    receive_buffer: usize,
    /// An overrun behind what was handed out last.
    overrun: AtomicBool,
}

impl ConntrackSocket {
    /// In the network namespace of this thread.
    ///
    /// # Errors
    /// [`NetfilterError::NotPermitted`] without `CAP_NET_ADMIN`, [`NetfilterError::NotSupported`].
    pub fn open(config: &ConntrackConfig) -> Result<Self, NetfilterError> {
        let io = |e| NetfilterError::from_io(OPERATION, e);
        let fd = sys::netfilter_socket().map_err(io)?;
        sys::set_receive_buffer(fd.as_fd(), config.receive_buffer).map_err(io)?;
        if config.reliable {
            sys::set_broadcast_error(fd.as_fd()).map_err(io)?;
        }
        if let Some(program) = config.filter.program() {
            sys::attach_filter(fd.as_fd(), &program.finish()).map_err(io)?;
        }
        // Last, so that nothing comes before the filter and the room for it are there.
        for (wanted, group) in [
            (config.new, NFNLGRP_CONNTRACK_NEW),
            (config.update, NFNLGRP_CONNTRACK_UPDATE),
            (config.destroy, NFNLGRP_CONNTRACK_DESTROY),
        ] {
            if wanted {
                sys::join(fd.as_fd(), group).map_err(io)?;
            }
        }
        Self::from_fd(fd).map_err(io)
    }

    /// The socket that [`ConntrackSocket::open`] made in another process.
    ///
    /// # Errors
    /// When the descriptor is no socket, or this process can open no more files.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let receive_buffer = sys::receive_buffer(fd.as_fd())?;
        Ok(Self { receiver: Receiver::new(fd)?, receive_buffer, overrun: AtomicBool::new(false) })
    }

    /// The descriptor, to hand it to another process.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.receiver.into_fd()
    }

    /// Bytes of the receive buffer that the system granted.
    #[must_use]
    pub const fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Something to end the waits with.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.receiver.waker()
    }

    /// How many events found no room in the receive buffer since the socket was made; wraps. What the filter does
    /// not let through is not among them, what is sent again later ([`ConntrackConfig::reliable`]) is.
    ///
    /// # Errors
    /// Before Linux 4.12.
    pub fn dropped(&self) -> io::Result<u32> {
        sys::drops(self.receiver.fd())
    }

    /// Takes the events that are there, as many as fit into the buffer, waiting for the first of them for at most
    /// `timeout`. An overrun is told where it happened: behind all events that came before it.
    ///
    /// # Errors
    /// Only what no retry mends.
    pub fn recv<'a>(
        &self,
        buf: &'a mut RecvBuffer,
        timeout: Duration,
    ) -> Result<Received<'a>, NetfilterError> {
        if self.overrun.swap(false, Ordering::AcqRel) {
            return Ok(Received::Overrun);
        }
        let mut filled = match self.receiver.recv(&mut buf.0, timeout, OPERATION)? {
            Received::Datagram(bytes) => bytes.len(),
            // Said again without the borrow.
            Received::Overrun => return Ok(Received::Overrun),
            Received::Truncated(len) => return Ok(Received::Truncated(len)),
            Received::Idle => return Ok(Received::Idle),
            Received::Stopped => return Ok(Received::Stopped),
        };
        loop {
            let next = filled.next_multiple_of(4);
            if next + LONGEST > buf.0.len() {
                break;
            }
            match sys::receive(self.receiver.fd(), &mut buf.0[next..]) {
                Ok(d) if d.from != 0 || d.len > buf.0.len() - next => {}
                Ok(d) => {
                    buf.0[filled..next].fill(0);
                    filled = next + d.len;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    // Any other error than an empty socket comes again.
                    let lost = e.raw_os_error() == Some(libc::ENOBUFS);
                    self.overrun.store(lost, Ordering::Release);
                    break;
                }
            }
        }
        Ok(Received::Datagram(&buf.0[..filled]))
    }
}

impl AsFd for ConntrackSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.fd()
    }
}
