//! Numbers and addresses as text.

use crate::packet::Mac;
use bartizan_model::addr_from_v4;

/// Bytes of a hardware header that are read; the longest that a kernel writes are those of Infiniband and tunnels.
pub(super) const MAX_HEADER: usize = 64;

/// A decimal number without sign.
#[inline]
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

/// A decimal number that fits.
#[inline]
pub(super) fn dec<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    decimal(text).and_then(|n| T::try_from(n).ok())
}

/// A hexadecimal number that fits, with or without `0x`.
#[inline]
pub(super) fn hex<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let n = digits.iter().try_fold(0_u64, |n, b| digit(*b).map(|d| n << 4 | u64::from(d)))?;
    T::try_from(n).ok()
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    const NONE: u8 = 0xff;
    const DIGITS: [u8; 256] = {
        let mut table = [NONE; 256];
        let mut i = 0;
        while i < 10 {
            table[b'0' as usize + i] = i as u8;
            i += 1;
        }
        while i < 16 {
            table[b'a' as usize + i - 10] = i as u8;
            table[b'A' as usize + i - 10] = i as u8;
            i += 1;
        }
        table
    };
    let value = DIGITS[usize::from(byte)];
    (value != NONE).then_some(value)
}

/// An IPv4 address in dotted form or an IPv6 address in long or short form, and whether it is IPv4.
#[inline]
pub(super) fn address(text: &[u8]) -> Option<([u8; 16], bool)> {
    if let Some(v4) = ipv4(text) {
        return Some((addr_from_v4(v4), true));
    }
    ipv6_long(text).or_else(|| ipv6_short(text)).map(|v6| (v6, false))
}

#[inline]
fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    if text.len() > 15 {
        return None;
    }
    let (mut octets, mut at, mut value, mut digits) = ([0_u8; 4], 0, 0_u16, 0);
    for byte in text {
        if byte.is_ascii_digit() {
            value = value * 10 + u16::from(byte - b'0');
            digits += 1;
            if digits > 3 {
                return None;
            }
        } else if *byte == b'.' && digits > 0 && at < 3 {
            octets[at] = u8::try_from(value).ok()?;
            (at, value, digits) = (at + 1, 0, 0);
        } else {
            return None;
        }
    }
    if at != 3 || digits == 0 {
        return None;
    }
    octets[3] = u8::try_from(value).ok()?;
    Some(octets)
}

/// `%pI6`: eight groups of four digits.
#[inline]
fn ipv6_long(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 39] = text.try_into().ok()?;
    let mut address = [0; 16];
    for group in 0..8 {
        let at = group * 5;
        if group < 7 && text[at + 4] != b':' {
            return None;
        }
        address[group * 2] = digit(text[at])? << 4 | digit(text[at + 1])?;
        address[group * 2 + 1] = digit(text[at + 2])? << 4 | digit(text[at + 3])?;
    }
    Some(address)
}

#[cold]
fn ipv6_short(text: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() <= 45)?;
    text.parse::<std::net::Ipv6Addr>().ok().map(|v6| v6.octets())
}

/// Bytes in hexadecimal with colons between them; how many there are.
#[inline]
pub(super) fn colon_bytes(text: &[u8], out: &mut [u8; MAX_HEADER]) -> Option<usize> {
    let count = text.len().div_ceil(3);
    if count > MAX_HEADER || text.len() % 3 != 2 {
        return None;
    }
    for (i, group) in text.chunks(3).enumerate() {
        if group.get(2).is_some_and(|b| *b != b':') {
            return None;
        }
        out[i] = digit(group[0])? << 4 | digit(group[1])?;
    }
    Some(count)
}

/// A hardware address of 6 bytes.
pub(super) fn mac(text: &[u8]) -> Option<Mac> {
    let mut bytes = [0; MAX_HEADER];
    match colon_bytes(text, &mut bytes) {
        Some(6) => bytes.first_chunk().copied().map(Mac::new),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families() {
        let v4 = |a, b, c, d| Some((addr_from_v4([a, b, c, d]), true));
        assert_eq!(address(b"192.0.2.1"), v4(192, 0, 2, 1));
        assert_eq!(address(b"0.0.0.0"), v4(0, 0, 0, 0));
        for bad in ["", "1.2.3", "1.2.3.", "1.2.3.4.5", "256.1.1.1", "1..2.3", "0001.2.3.4", "1.2.3.4 ", "x"]
        {
            assert_eq!(address(bad.as_bytes()), None, "{bad}");
        }
        let long = address(b"2001:0db8:0000:0000:0000:0000:0000:0001");
        assert_eq!(long, address(b"2001:db8::1"));
        assert_eq!(long.map(|(a, v4)| (a[0], a[15], v4)), Some((0x20, 1, false)));
        for bad in
            ["2001:0db8:0000:0000:0000:0000:0000:000g", "2001-0db8:0000:0000:0000:0000:0000:0001", "1::2::3"]
        {
            assert_eq!(address(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_that_fit() {
        assert_eq!(dec::<u16>(b"65535"), Some(65535));
        assert_eq!(dec::<u16>(b"65536"), None);
        assert_eq!(dec::<u64>(b"99999999999999999999"), None);
        assert_eq!(dec::<u8>(b"-1"), None);
        assert_eq!(hex::<u32>(b"0x1a"), Some(26));
        assert_eq!(hex::<u32>(b"1a0000"), Some(0x1a_0000));
        assert_eq!(hex::<u8>(b"0x100"), None);
        assert_eq!((hex::<u8>(b"0x"), hex::<u8>(b""), hex::<u8>(b"0xg")), (None, None, None));
    }

    #[test]
    fn hardware_headers_of_any_length() {
        let mut out = [0; MAX_HEADER];
        assert_eq!(colon_bytes(b"00:1b", &mut out), Some(2));
        assert_eq!(colon_bytes(b"00", &mut out), Some(1));
        for bad in ["", "0", "00:", "00:1", "00-11", "gg", &"00:".repeat(100)] {
            assert_eq!(colon_bytes(bad.as_bytes(), &mut out), None, "{bad}");
        }
        assert_eq!(mac(b"00:1b:b9:76:9c:e4").map(|m| m.to_string()).as_deref(), Some("00:1b:b9:76:9c:e4"));
        assert_eq!(mac(b"00:1b:b9:76:9c"), None);
    }
}
