//! Waiting for what the kernel sends by itself: packets, connections, changes.

use crate::{NetfilterError, sys};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A buffer for one datagram, bigger than any that the kernel makes: twice its largest batch, because it
/// rounds buffers up, or one packet of 64 KiB.
#[derive(Debug)]
pub struct RecvBuffer(pub(crate) Vec<u8>);

impl RecvBuffer {
    /// 256 KiB and some.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(264 * 1024)
    }

    /// For tests: of any size.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }
}

impl Default for RecvBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// What a wait gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Messages of the kernel, for `bartizan_decode::netlink::Messages`.
    Datagram(&'a [u8]),
    /// The receive buffer was full (`ENOBUFS`); the kernel dropped datagrams. How many packets of an NFLOG group
    /// were in them shows in the sequence; of connections, nothing does. Count it and go on.
    Overrun,
    /// A datagram of so many bytes did not fit into the [`RecvBuffer`] and is gone; the sequence shows how many
    /// packets were in it. With a buffer of the usual size this does not happen.
    Truncated(usize),
    /// Nothing came until the time was over: the socket is empty.
    Idle,
    /// A [`Waker`] said so.
    Stopped,
}

#[derive(Debug)]
struct Stop {
    event: OwnedFd,
    stopped: AtomicBool,
}

/// Ends the waits of a socket's reader.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Stop>);

impl Waker {
    /// Every wait of the reader from now on, also one that waits now, returns [`Received::Stopped`].
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        sys::raise(self.0.event.as_fd());
    }
}

/// A socket that is read, and what ends the waits for it.
#[derive(Debug)]
pub(crate) struct Receiver {
    fd: OwnedFd,
    stop: Arc<Stop>,
}

impl Receiver {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let stop = Arc::new(Stop { event: sys::event()?, stopped: AtomicBool::new(false) });
        Ok(Self { fd, stop })
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.stop))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.stopped.load(Ordering::Acquire)
    }

    /// Takes the next datagram, waiting for it for at most `timeout` (rounded up to a millisecond).
    ///
    /// # Errors
    /// Only what no retry mends: a descriptor that is no netlink socket.
    #[inline]
    pub(crate) fn recv<'a>(
        &self,
        buf: &'a mut [u8],
        timeout: Duration,
        operation: &'static str,
    ) -> Result<Received<'a>, NetfilterError> {
        if self.is_stopped() {
            return Ok(Received::Stopped);
        }
        let mut deadline = None;
        let len = loop {
            match sys::receive(self.fd(), buf) {
                // Not the kernel: anybody may send to a netlink port.
                Ok(d) if d.from != 0 => {}
                Ok(d) if d.len > buf.len() => return Ok(Received::Truncated(d.len)),
                Ok(d) => break d.len,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + timeout);
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(Received::Idle);
                    }
                    sys::wait([self.fd(), self.stop.event.as_fd()], left)
                        .map_err(|e| NetfilterError::from_io(operation, e))?;
                    if self.is_stopped() {
                        return Ok(Received::Stopped);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Received::Overrun),
                Err(e) => return Err(NetfilterError::from_io(operation, e)),
            }
        };
        Ok(Received::Datagram(&buf[..len]))
    }
}
