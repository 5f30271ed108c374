//! Numbers and sets of a message.

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    pub(super) fn half(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        self.take(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// The next set: its number, and what is in it. `None` at the end, and where it is no set.
    pub(super) fn set(&mut self) -> Option<(u16, Bytes<'a>)> {
        let (id, length) = (self.half()?, self.half()?);
        let body = self.take(usize::from(length).checked_sub(4)?)?;
        Some((id, Bytes(body)))
    }
}

/// A number of 1 to 8 bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    (1..=8).contains(&bytes.len()).then(|| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// What a message begins with, whichever version it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u16,
    /// Seconds since 1970 at which it was sent.
    pub(super) sent: u32,
    /// Milliseconds since the exporter booted at which it was sent; none in IPFIX.
    pub(super) up: Option<u32>,
    pub(super) sequence: u32,
    pub(super) domain: u32,
}

/// The header of IPFIX or v9 and what is behind it.
pub(super) fn header(message: &[u8]) -> Option<(Header, Bytes<'_>)> {
    let mut bytes = Bytes(message);
    match bytes.half()? {
        version @ 10 => {
            let length = usize::from(bytes.half()?);
            let (sent, sequence, domain) = (bytes.word()?, bytes.word()?, bytes.word()?);
            // what lies behind the message is not part of it
            let body = bytes.take(length.checked_sub(16)?.min(bytes.0.len()))?;
            Some((Header { version, sent, up: None, sequence, domain }, Bytes(body)))
        }
        version @ 9 => {
            bytes.half()?;
            let (up, sent, sequence, domain) = (bytes.word()?, bytes.word()?, bytes.word()?, bytes.word()?);
            Some((Header { version, sent, up: Some(up), sequence, domain }, bytes))
        }
        _ => None,
    }
}
