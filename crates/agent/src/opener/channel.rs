//! One end of a socket pair that carries whole messages and open descriptors between opener and worker.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// No message is longer; one that is gets refused on both sides.
pub(crate) const MAX_MESSAGE: usize = 128 << 10;
/// No message carries more descriptors.
pub(crate) const MAX_FDS: usize = 64;

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends; closed on exec.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    /// The descriptor, to hand the end on.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Sends one message. An end that is gone is an error, not a signal.
    pub(crate) fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.is_empty() || bytes.len() > MAX_MESSAGE || fds.len() > MAX_FDS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message of no lawful size"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the next message, waiting for it; `None` when the other end is gone.
    pub(crate) fn recv(&self) -> io::Result<Option<Message>> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            let parts = &mut [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(got) => break got,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that does not fit"));
        }
        if got.bytes == 0 {
            return Ok(None);
        }
        bytes.truncate(got.bytes);
        Ok(Some(Message { bytes, fds }))
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    #[test]
    fn a_message_comes_whole_with_its_descriptors_and_the_end_is_seen() {
        let (here, there) = Channel::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"words").unwrap();
        file.rewind().unwrap();
        let large = vec![7; 100_000];
        here.send(&large, &[file.as_fd(), file.as_fd()]).unwrap();
        here.send(b"second", &[]).unwrap();
        drop(here);
        let message = there.recv().unwrap().unwrap();
        assert_eq!((message.bytes == large, message.fds.len()), (true, 2));
        let mut text = String::new();
        File::from(message.fds.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "words");
        assert_eq!(there.recv().unwrap().unwrap().bytes, b"second");
        assert!(there.recv().unwrap().is_none());
        assert!(there.send(b"to nobody", &[]).is_err());
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_sent() {
        let (here, there) = Channel::pair().unwrap();
        assert!(here.send(&vec![0; MAX_MESSAGE + 1], &[]).is_err());
        assert!(here.send(b"", &[]).is_err());
        assert!(here.send(b"x", &vec![there.as_fd(); MAX_FDS + 1]).is_err());
    }
}
