//! Netlink messages for tests.

/// An attribute, padded.
pub(crate) fn attr(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut a = Vec::new();
    a.extend(u16::try_from(4 + payload.len()).unwrap().to_ne_bytes());
    a.extend(kind.to_ne_bytes());
    a.extend(payload);
    a.resize(a.len().next_multiple_of(4), 0);
    a
}

/// An attribute of attributes.
pub(crate) fn nest(kind: u16, attrs: &[Vec<u8>]) -> Vec<u8> {
    attr(0x8000 | kind, &attrs.concat())
}

/// A number of 2 bytes.
pub(crate) fn be16(kind: u16, value: u16) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

/// A number of 4 bytes.
pub(crate) fn be32(kind: u16, value: u32) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

/// A number of 8 bytes.
pub(crate) fn be64(kind: u16, value: u64) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

/// A message of nfnetlink.
pub(crate) fn message(kind: u16, flags: u16, family: u8, attrs: &[Vec<u8>]) -> Vec<u8> {
    let body = attrs.concat();
    let mut m = Vec::new();
    m.extend(u32::try_from(20 + body.len()).unwrap().to_ne_bytes());
    m.extend(kind.to_ne_bytes());
    m.extend(flags.to_ne_bytes());
    m.extend([0; 8]);
    m.extend([family, 0, 0, 0]);
    m.extend(body);
    m
}
