use crate::ulogd::Value;
use bartizan_model::addr_to_ip;
use std::fmt::Write as _;

/// Bytes of `extra` that a row keeps; half an object is none.
const MAX: usize = 64 << 10;

/// A JSON object that is being written; nothing until something is put into it.
#[derive(Debug, Default)]
pub struct Extra(String);

impl Extra {
    fn key(&mut self, name: &[u8]) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        string(&mut self.0, name);
        self.0.push(':');
    }

    /// A value under a name.
    pub fn put(&mut self, name: &[u8], value: &Value<'_>) {
        let start = self.0.len();
        self.key(name);
        match value {
            Value::Null => self.0.push_str("null"),
            Value::Int(n) => _ = write!(self.0, "{n}"),
            Value::Unsigned(n) => _ = write!(self.0, "{n}"),
            Value::Bool(flag) => _ = write!(self.0, "{flag}"),
            Value::Text(text) => string(&mut self.0, text),
            Value::Escaped(text) => string(&mut self.0, &unescape(text)),
            Value::Json(text) => self.0.push_str(&String::from_utf8_lossy(text)),
            Value::Address(address) => _ = write!(self.0, "\"{}\"", addr_to_ip(*address)),
        }
        if self.0.len() >= MAX {
            self.0.truncate(start);
        }
    }

    /// The object; empty when nothing was put into it.
    #[must_use]
    pub fn finish(&mut self) -> &str {
        if !self.0.is_empty() {
            self.0.push('}');
        }
        &self.0
    }
}

/// Bytes as a JSON string; what is not UTF-8 is replaced.
fn string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The bytes of a JSON string without its escapes; one that is none stays as it is.
#[must_use]
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (c, len) = match rest.get(1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(c @ (b'"' | b'\\' | b'/')) => (char::from(*c), 2),
            Some(b'u') => unicode(rest).unwrap_or(('\\', 1)),
            _ => ('\\', 1),
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[len..];
    }
    out.extend_from_slice(rest);
    out
}

/// The character of `\uXXXX`, or of two of them, and the length; half of a pair is replaced.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let hex = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |n, d| Some(n << 4 | char::from(*d).to_digit(16)?))
    };
    let first = hex(0)?;
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = hex(6).filter(|s| (0xdc00..0xe000).contains(s))
    {
        let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Some((char::from_u32(c)?, 12));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_json() {
        let text = br#"a\"b\\c\/\n\u00e9\ud83d\ude00\ud83dx\u12\q\"#;
        assert_eq!(String::from_utf8(unescape(text)).unwrap(), "a\"b\\c/\né😀\u{fffd}x\\u12\\q\\");
    }

    #[test]
    fn an_object_that_is_json() {
        let mut extra = Extra::default();
        assert_eq!(extra.finish(), "");
        extra.put(b"a\"\xff", &Value::Text(b"\x1b[2J\0"));
        extra.put(b"n", &Value::Unsigned(u64::MAX));
        extra.put(b"e", &Value::Escaped(br"\u0007"));
        extra.put(b"j", &Value::Json(b"[1,{}]"));
        extra.put(b"big", &Value::Text(&[b'x'; MAX]));
        let read: serde_json::Value = serde_json::from_str(extra.finish()).unwrap();
        assert_eq!(read["a\"\u{fffd}"], "\u{1b}[2J\0");
        assert_eq!((read["n"].as_u64(), &read["e"]), (Some(u64::MAX), &serde_json::json!("\u{7}")));
        assert_eq!((&read["j"], read.get("big")), (&serde_json::json!([1, {}]), None));
    }
}
