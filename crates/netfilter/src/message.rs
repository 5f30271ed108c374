//! Requests to nfnetlink, and waiting for their answers.
//!
//! ```text
//! request: nlmsghdr (16) | nfgenmsg: family u8, version u8 = 0, resource be16 | attributes
//! ```

use crate::{NetfilterError, sys};
use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

pub(crate) const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;

/// How long the kernel may take to answer. It answers inside `send`, so that this is only for a lost answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A request being written.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(subsystem: u8, message: u8, flags: u16, seq: u32, family: u8, resource: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend((u16::from(subsystem) << 8 | u16::from(message)).to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend(seq.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend([family, 0]);
        bytes.extend(resource.to_be_bytes());
        Self { bytes }
    }

    /// Adds an attribute; all of ours are short.
    pub(crate) fn attr(mut self, kind: u16, payload: &[u8]) -> Self {
        let len = u16::try_from(4 + payload.len()).expect("attributes of requests are short");
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds a text with its NUL. Names in nf_tables are at most 255 bytes.
    pub(crate) fn c_str(self, kind: u16, text: &str) -> Self {
        let mut bytes = text.as_bytes()[..text.len().min(4096)].to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.bytes.len()).expect("requests are short");
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }
}

/// What [`next_datagram`] found.
pub(crate) enum Answer {
    /// A datagram of the kernel of so many bytes, whole in the buffer.
    Bytes(usize),
    /// Something was lost: the buffer was full, or the datagram longer than ours.
    Lost,
    /// Nothing until the deadline.
    Nothing,
}

/// Waits for the next datagram of the kernel until `deadline`.
pub(crate) fn next_datagram(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    deadline: Instant,
    operation: &'static str,
) -> Result<Answer, NetfilterError> {
    loop {
        match sys::receive(fd, buf) {
            Ok(d) if d.from != 0 => continue,
            Ok(d) if d.len > buf.len() => return Ok(Answer::Lost),
            Ok(d) => return Ok(Answer::Bytes(d.len)),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Answer::Nothing);
                }
                sys::wait([fd], left).map_err(|e| NetfilterError::from_io(operation, e))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Answer::Lost),
            Err(e) => return Err(NetfilterError::from_io(operation, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_decode::netlink::Messages;

    #[test]
    fn a_request_reads_back() {
        let bytes =
            Request::new(4, 1, NLM_F_ACK, 9, 0, 0x1234).attr(1, &[1]).attr(5, &7u32.to_be_bytes()).finish();
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        assert_eq!((message.subsystem(), message.subtype(), message.flags, message.seq), (4, 1, 5, 9));
        let (nfgen, attrs) = message.nfgen().unwrap();
        assert_eq!(nfgen.res_id, 0x1234);
        let attrs: Vec<_> = attrs.map(Result::unwrap).map(|a| (a.kind, a.payload.to_vec())).collect();
        assert_eq!(attrs, [(1, vec![1]), (5, vec![0, 0, 0, 7])]);
    }
}
