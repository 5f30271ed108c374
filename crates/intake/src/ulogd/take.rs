use super::{Key, Record, Value, usual};
use crate::json::{Extra, unescape};
use bartizan_decode::packet::Mac;
use bartizan_model::{addr_from_ip, addr_from_v4};
use std::borrow::Cow;
use std::net::IpAddr;

/// Takes values out of a record as what they should be. What was not taken is for `extra`.
pub(super) struct Taker<'r, 'a> {
    pub(super) record: &'r Record<'a>,
    /// A bit of each key that became a column.
    pub(super) taken: u128,
}

impl<'r, 'a> Taker<'r, 'a> {
    pub(super) const fn new(record: &'r Record<'a>) -> Self {
        Self { record, taken: 0 }
    }

    #[inline]
    pub(super) const fn has(&self, key: Key) -> bool {
        self.record.present & key.bit() != 0
    }

    /// Whether any key of a set is there.
    #[inline]
    pub(super) const fn any(&self, keys: u128) -> bool {
        self.record.present & keys != 0
    }

    /// Marks a value as one that says nothing beside the columns.
    #[inline]
    pub(super) const fn drop(&mut self, key: Key) {
        self.taken |= key.bit();
    }

    /// Takes back that a value was taken.
    pub(super) const fn leave(&mut self, key: Key) {
        self.taken &= !key.bit();
    }

    /// Puts what was not taken into `extra`.
    pub(super) fn rest(&self, extra: &mut Extra) {
        let mut left = self.record.present & !self.taken;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            let (key, value) = (Key::ALL[at], &self.record.values[at]);
            if !usual(key, value) {
                extra.put(key.name().as_bytes(), value);
            }
        }
        for (name, value) in &self.record.unknown {
            extra.put(name, value);
        }
    }

    #[inline]
    fn take<T>(&mut self, key: Key, read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
        if !self.has(key) {
            return None;
        }
        let value = read(self.record.values[key as usize]);
        if value.is_some() {
            self.taken |= key.bit();
        }
        value
    }

    /// A number that fits.
    #[inline]
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: Key) -> Option<T> {
        self.take(key, |value| number(value).and_then(|n| T::try_from(n).ok()))
    }

    /// A number of 32 bits, which tables of signed numbers have as a negative one when it is over 2^31.
    #[inline]
    pub(super) fn word(&mut self, key: Key) -> Option<u32> {
        self.take(key, word)
    }

    /// A flag.
    #[inline]
    pub(super) fn flag(&mut self, key: Key) -> Option<bool> {
        self.take(key, |value| match value {
            Value::Bool(flag) => Some(flag),
            Value::Text(b"t" | b"true") => Some(true),
            Value::Text(b"f" | b"false") => Some(false),
            other => number(other).map(|n| n != 0),
        })
    }

    /// Text.
    #[inline]
    pub(super) fn text(&mut self, key: Key) -> Option<Cow<'a, [u8]>> {
        self.take(key, |value| match value {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Escaped(text) => Some(Cow::Owned(unescape(text))),
            _ => None,
        })
    }

    /// An address, IPv4 also as a number in the host's order.
    #[inline]
    pub(super) fn address(&mut self, key: Key) -> Option<[u8; 16]> {
        self.take(key, |value| match value {
            Value::Address(address) => Some(address),
            Value::Text(text) => address(text),
            other => word(other).map(|n| addr_from_v4(n.to_be_bytes())),
        })
    }

    /// A hardware address of 6 bytes.
    #[inline]
    pub(super) fn mac(&mut self, key: Key) -> Option<Mac> {
        self.take(key, |value| match value {
            Value::Text(text) if text.len() == 17 => octets(text).map(Mac::new),
            _ => None,
        })
    }

    /// The header of a frame: two addresses and the type.
    pub(super) fn frame(&mut self, key: Key) -> Option<(Mac, Mac, u16)> {
        self.take(key, |value| match value {
            Value::Text(text) if text.len() == 41 => {
                let [hi, lo] = octets(&text[36..])?;
                let (to, from) = (octets(&text[..17])?, octets(&text[18..35])?);
                Some((Mac::new(to), Mac::new(from), u16::from_be_bytes([hi, lo])))
            }
            _ => None,
        })
    }
}

fn number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(n).ok(),
        Value::Unsigned(n) => Some(n),
        Value::Bool(flag) => Some(u64::from(flag)),
        Value::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

fn word(value: Value<'_>) -> Option<u32> {
    match value {
        Value::Int(n) => u32::try_from(n).ok().or_else(|| i32::try_from(n).ok().map(i32::cast_unsigned)),
        other => number(other).and_then(|n| u32::try_from(n).ok()),
    }
}

/// An address as text; PostgreSQL may write the length of its network behind it.
fn address(text: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let text = text.strip_suffix("/32").or(text.strip_suffix("/128")).unwrap_or(text);
    let address = text.parse::<IpAddr>().ok()?;
    Some(addr_from_ip(address))
}

/// Bytes as two hexadecimal digits each, with something between them.
fn octets<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    };
    let mut out = [0; N];
    if text.len() != N * 3 - 1 {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = digit(text[i * 3])? << 4 | digit(text[i * 3 + 1])?;
        if text.get(i * 3 + 2).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_databases_have_them() {
        let mut record = Record::default();
        record.set(Key::Mark, Value::Int(-1));
        record.set(Key::Source, Value::Int(-1_062_731_775));
        record.set(Key::Destination, Value::Text(b"2001:db8::1/128"));
        record.set(Key::Syn, Value::Text(b"t"));
        record.set(Key::Ttl, Value::Int(256));
        record.set(Key::Tos, Value::Text(b"16"));
        let mut take = Taker::new(&record);
        assert_eq!(take.word(Key::Mark), Some(u32::MAX));
        assert_eq!(take.address(Key::Source), Some(addr_from_v4([192, 168, 0, 1])));
        assert_eq!(take.address(Key::Destination).unwrap()[..4], [0x20, 1, 0x0d, 0xb8]);
        assert_eq!((take.flag(Key::Syn), take.number::<u8>(Key::Tos)), (Some(true), Some(16)));
        assert_eq!(take.number::<u8>(Key::Ttl), None);
        assert_eq!(record.present & !take.taken, Key::Ttl.bit(), "only what did not fit is left");
    }

    #[test]
    fn hardware_addresses() {
        assert_eq!(octets(b"00:1a:FF:3d:00:01"), Some([0, 0x1a, 0xff, 0x3d, 0, 1]));
        assert_eq!(octets::<6>(b"00:1a:ff:3d:00:0g"), None);
        assert_eq!(octets::<2>(b"08000"), None);
    }
}
