//! The walker of netlink messages and attributes, without copying.
//!
//! ```text
//! message:   | len u32 | type u16 | flags u16 | seq u32 | pid u32 | payload ... | pad to 4 |   host byte order
//! attribute: | len u16 | type u16 | payload ... | pad to 4 |            type: 0x8000 nested, 0x4000 big endian
//! ```
//!
//! Invariants:
//! - Every item lies inside the input; `len` counts the header; the padding of the last item may be missing.
//! - A tail that is not an item gives exactly one [`Malformed`], and the walk ends there.
//! - Each item takes at least its header, so that a walk ends after `input / 4` steps.
//!
//! It does not know what a message or an attribute means, and reads no nested attribute by itself: walk the
//! payload of a nested attribute with another [`Attrs`].

/// Message type: nothing.
pub const NLMSG_NOOP: u16 = 1;
/// Message type: an error, or an acknowledgement when its code is 0.
pub const NLMSG_ERROR: u16 = 2;
/// Message type: the end of a dump.
pub const NLMSG_DONE: u16 = 3;
/// Message type: data was lost.
pub const NLMSG_OVERRUN: u16 = 4;
/// Message flag: more parts follow, the last of which is [`NLMSG_DONE`].
pub const NLM_F_MULTI: u16 = 0x2;
/// Message flag: the dump was changed while it was read, and is to be asked for again.
pub const NLM_F_DUMP_INTR: u16 = 0x10;

const MESSAGE_HEADER: usize = 16;
const ATTR_HEADER: usize = 4;
const NESTED: u16 = 0x8000;
const NET_BYTEORDER: u16 = 0x4000;

/// The rest of an input that is no message or attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what} at byte {offset}, {left} bytes left")]
pub struct Malformed {
    /// `message` or `attribute`.
    pub what: &'static str,
    /// Where it starts, counted from the start of the walked input.
    pub offset: usize,
    /// Bytes from there to the end.
    pub left: usize,
}

/// One netlink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type (`nlmsg_type`); for nfnetlink the subsystem in the upper and the message in the lower byte.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The number of the request that it answers; 0 when it answers none.
    pub seq: u32,
    /// The port it came from; 0 is the kernel.
    pub pid: u32,
    /// What follows the header, padding excluded.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Whether this ends a dump.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.kind == NLMSG_DONE
    }

    /// What an error message or an acknowledgement says: 0 for success, else the `errno`, positive. `None`
    /// for every other message. A dump's end carries a code too (0 when it has none). An error message too
    /// short for its code is `EBADMSG` (74), never success.
    #[must_use]
    pub fn error_code(&self) -> Option<i32> {
        const EBADMSG: i32 = 74;
        let code = self.payload.first_chunk().map(|b| i32::from_ne_bytes(*b).saturating_neg());
        match self.kind {
            NLMSG_ERROR => Some(code.unwrap_or(EBADMSG)),
            NLMSG_DONE => Some(code.unwrap_or(0)),
            _ => None,
        }
    }

    /// The nfnetlink subsystem (`NFNL_SUBSYS_*`): 4 is nfnetlink_log, 10 is nf_tables.
    #[must_use]
    pub const fn subsystem(&self) -> u8 {
        (self.kind >> 8) as u8
    }

    /// The message of the subsystem.
    #[must_use]
    pub const fn subtype(&self) -> u8 {
        self.kind as u8
    }

    /// The `nfgenmsg` that opens the payload of every nfnetlink message, and the attributes behind it.
    #[must_use]
    pub fn nfgen(&self) -> Option<(NfGen, Attrs<'a>)> {
        let (header, rest) = self.payload.split_first_chunk::<4>()?;
        let [family, version, hi, lo] = *header;
        Some((NfGen { family, version, res_id: u16::from_be_bytes([hi, lo]) }, Attrs::new(rest)))
    }
}

/// `struct nfgenmsg` (include/uapi/linux/netfilter/nfnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NfGen {
    /// `NFPROTO_*`.
    pub family: u8,
    /// `NFNETLINK_V0`.
    pub version: u8,
    /// The resource: the group in nfnetlink_log, the low bits of the generation in nf_tables.
    pub res_id: u16,
}

/// The messages of one datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    input: &'a [u8],
    total: usize,
}

impl<'a> Messages<'a> {
    /// Over the bytes of one `recv`.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self { input: datagram, total: datagram.len() }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.input;
        if rest.is_empty() {
            return None;
        }
        let item = rest.first_chunk::<MESSAGE_HEADER>().and_then(|h| {
            let len = usize::try_from(u32::from_ne_bytes([h[0], h[1], h[2], h[3]])).ok()?;
            let message = Message {
                kind: u16::from_ne_bytes([h[4], h[5]]),
                flags: u16::from_ne_bytes([h[6], h[7]]),
                seq: u32::from_ne_bytes([h[8], h[9], h[10], h[11]]),
                pid: u32::from_ne_bytes([h[12], h[13], h[14], h[15]]),
                payload: rest.get(MESSAGE_HEADER..len)?,
            };
            Some((message, len))
        });
        let Some((message, len)) = item else {
            self.input = &[];
            return Some(Err(Malformed {
                what: "message",
                offset: self.total - rest.len(),
                left: rest.len(),
            }));
        };
        let step = padded(len, rest.len());
        self.input = &rest[step..];
        Some(Ok(message))
    }
}

impl std::iter::FusedIterator for Messages<'_> {}

/// One netlink attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type, without the two flag bits.
    pub kind: u16,
    /// `NLA_F_NESTED`: the payload is attributes. The kernel sets it in some families only; absence proves
    /// nothing.
    pub nested: bool,
    /// `NLA_F_NET_BYTEORDER`.
    pub net_byteorder: bool,
    /// What follows the header, padding excluded.
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// The first byte.
    #[must_use]
    pub fn u8(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// The first 2 bytes, big endian.
    #[must_use]
    pub fn be16(&self) -> Option<u16> {
        self.payload.first_chunk().map(|b| u16::from_be_bytes(*b))
    }

    /// The first 4 bytes, big endian.
    #[must_use]
    pub fn be32(&self) -> Option<u32> {
        self.payload.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    /// The first 8 bytes, big endian.
    #[must_use]
    pub fn be64(&self) -> Option<u64> {
        self.payload.first_chunk().map(|b| u64::from_be_bytes(*b))
    }

    /// The first 4 bytes, in the host's order.
    #[must_use]
    pub fn ne32(&self) -> Option<u32> {
        self.payload.first_chunk().map(|b| u32::from_ne_bytes(*b))
    }

    /// A C string: the bytes before the first NUL, or all.
    #[must_use]
    pub fn c_str(&self) -> &'a [u8] {
        until_nul(self.payload)
    }

    /// The attributes inside.
    #[must_use]
    pub const fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.payload)
    }
}

/// The bytes before the first NUL, or all.
#[must_use]
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// The attributes of one payload.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    input: &'a [u8],
    total: usize,
}

impl<'a> Attrs<'a> {
    /// Over bytes that start at an attribute.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { input: bytes, total: bytes.len() }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.input;
        if rest.is_empty() {
            return None;
        }
        let item = rest.first_chunk::<ATTR_HEADER>().and_then(|h| {
            let len = usize::from(u16::from_ne_bytes([h[0], h[1]]));
            let kind = u16::from_ne_bytes([h[2], h[3]]);
            let attr = Attr {
                kind: kind & !(NESTED | NET_BYTEORDER),
                nested: kind & NESTED != 0,
                net_byteorder: kind & NET_BYTEORDER != 0,
                payload: rest.get(ATTR_HEADER..len)?,
            };
            Some((attr, len))
        });
        let Some((attr, len)) = item else {
            self.input = &[];
            return Some(Err(Malformed {
                what: "attribute",
                offset: self.total - rest.len(),
                left: rest.len(),
            }));
        };
        let step = padded(len, rest.len());
        self.input = &rest[step..];
        Some(Ok(attr))
    }
}

impl std::iter::FusedIterator for Attrs<'_> {}

/// `len`, which lies inside an input of `max` bytes, rounded up to 4 but not past the input. No slice is
/// longer than `isize::MAX` bytes, so that the sum does not overflow.
#[inline]
fn padded(len: usize, max: usize) -> usize {
    ((len + 3) & !3).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut m = Vec::new();
        m.extend(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
        m.extend(kind.to_ne_bytes());
        m.extend(2u16.to_ne_bytes());
        m.extend(7u32.to_ne_bytes());
        m.extend(9u32.to_ne_bytes());
        m.extend(payload);
        m
    }

    fn attr(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut a = Vec::new();
        a.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
        a.extend(kind.to_ne_bytes());
        a.extend(payload);
        a
    }

    fn pad(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn walks_several_messages_and_a_last_one_without_padding() {
        let bytes = [pad(message(0x400, b"abcde")), message(3, b""), message(0x401, b"xyz")].concat();
        let all: Vec<_> = Messages::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(
            all.iter().map(|m| (m.kind, m.payload)).collect::<Vec<_>>(),
            [(0x400, &b"abcde"[..]), (3, b""), (0x401, b"xyz")]
        );
        assert_eq!((all[0].flags, all[0].seq, all[0].pid), (2, 7, 9));
        assert_eq!((all[2].subsystem(), all[2].subtype()), (4, 1));
        assert!(all[1].is_done());
    }

    #[test]
    fn a_malformed_tail_is_one_item_and_the_end() {
        let good = message(1, b"abcd");
        for tail in [
            &b"\x01"[..],
            &message(1, b"abcdefgh")[..20],
            &[0; 16],
            &[15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let bytes = [&good[..], tail].concat();
            let mut walk = Messages::new(&bytes);
            assert!(walk.next().unwrap().is_ok());
            assert_eq!(walk.next(), Some(Err(Malformed { what: "message", offset: 20, left: tail.len() })));
            assert_eq!(walk.next(), None);
        }
    }

    #[test]
    fn error_codes_are_positive_and_a_cut_error_is_not_success() {
        let code = |m: &[u8]| Messages::new(m).next().unwrap().unwrap().error_code();
        assert_eq!(code(&message(NLMSG_ERROR, &(-1i32).to_ne_bytes())), Some(1));
        assert_eq!(code(&message(NLMSG_ERROR, &0i32.to_ne_bytes())), Some(0));
        assert_eq!(code(&message(NLMSG_ERROR, b"")), Some(74));
        assert_eq!(code(&message(NLMSG_ERROR, &i32::MIN.to_ne_bytes())), Some(i32::MAX));
        assert_eq!(code(&message(NLMSG_DONE, b"")), Some(0));
        assert_eq!(code(&message(0x400, &[0; 4])), None);
    }

    #[test]
    fn attributes_lose_their_flag_bits_and_keep_their_bytes() {
        let inner = attr(1, &[0xde, 0xad, 0xbe, 0xef]);
        let bytes = [pad(attr(5, b"name\0x")), attr(0x8002, &inner), attr(0x4003, &[0, 0, 0, 1])].concat();
        let all: Vec<_> = Attrs::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(all[0].c_str(), b"name");
        assert!(all[1].nested && all[1].kind == 2);
        assert_eq!(all[1].attrs().next().unwrap().unwrap().be32(), Some(0xdead_beef));
        assert!(all[2].net_byteorder && all[2].kind == 3);
        assert_eq!(
            (all[2].be32(), all[2].be64(), all[2].be16(), all[2].u8()),
            (Some(1), None, Some(0), Some(0))
        );
    }

    #[test]
    fn a_malformed_attribute_is_one_item_and_the_end() {
        for tail in [&[4u8, 0, 1][..], &[3, 0, 1, 0], &[0, 0, 0, 0], &[9, 0, 1, 0, 1, 2, 3, 4]] {
            let bytes = [pad(attr(1, b"ab")), tail.to_vec()].concat();
            let mut walk = Attrs::new(&bytes);
            assert!(walk.next().unwrap().is_ok());
            assert_eq!(walk.next(), Some(Err(Malformed { what: "attribute", offset: 8, left: tail.len() })));
            assert_eq!(walk.next(), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Attrs::new(&bytes).count() <= bytes.len() / 4 + 1);
            prop_assert!(Messages::new(&bytes).count() <= bytes.len() / 16 + 1);
        }
    }
}
