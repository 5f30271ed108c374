//! Records of `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg): `PRIO,SEQ,USEC,FLAGS[,…];TEXT\n`, then lines
//! ` KEY=VALUE` of the message's dictionary. One read gives one record. Bytes under 0x20, over 0x7e and the
//! backslash are written as `\xHH`.

use super::number::dec;
use std::borrow::Cow;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Facility and severity; the kernel's own messages have facility 0.
    pub priority: u32,
    /// The number of the message since the kernel started; a hole is lost messages.
    pub seq: u64,
    /// The kernel's clock (monotonic, without the time asleep) in microseconds.
    pub micros: u64,
    /// A piece of a line that was printed in pieces.
    pub fragment: bool,
    /// The message, with escapes undone.
    pub text: Cow<'a, [u8]>,
}

impl<'a> Record<'a> {
    /// A record as one read gives it; `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let semicolon = memchr::memchr(b';', bytes.get(..bytes.len().min(256))?)?;
        let mut head = bytes[..semicolon].split(|b| *b == b',');
        let (priority, seq, micros) = (dec(head.next()?)?, dec(head.next()?)?, dec(head.next()?)?);
        let flags = head.next()?;
        let text = &bytes[semicolon + 1..];
        let text = &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())];
        Some(Self { priority, seq, micros, fragment: flags != b"-", text: unescape(text) })
    }

    /// Whether the kernel wrote it: what a process writes to `/dev/kmsg` never has facility 0.
    #[must_use]
    pub const fn is_kernel(&self) -> bool {
        self.priority >> 3 == 0
    }
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend(&rest[..at]);
        let escaped = rest[at..].strip_prefix(b"\\x").and_then(|r| r.first_chunk::<2>());
        let byte =
            escaped.and_then(|d| super::number::hex::<u8>(d).filter(|_| d.iter().all(u8::is_ascii_hexdigit)));
        out.push(byte.unwrap_or(b'\\'));
        rest = &rest[at + if byte.is_some() { 4 } else { 1 }..];
    }
    out.extend(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records() {
        let record =
            Record::parse(b"4,1234,5678901,-,caller=T1;DROP IN=eth0 OUT= \n SUBSYSTEM=net\n").unwrap();
        assert_eq!(
            (record.priority, record.seq, record.micros, record.fragment),
            (4, 1234, 5_678_901, false)
        );
        assert_eq!(&*record.text, b"DROP IN=eth0 OUT= ");
        assert!(record.is_kernel());
        let record = Record::parse(b"12,1,2,c;a\\x1bb\\\\x5c\\xg").unwrap();
        assert_eq!(
            (&*record.text, record.fragment, record.is_kernel()),
            (&b"a\x1bb\\\\\\xg"[..], true, false)
        );
        for bad in ["", ";", "4;x", "4,1,2;x", "a,1,2,-;x", "4,1,2,-"] {
            assert_eq!(Record::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
