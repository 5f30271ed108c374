//! A JSON object written into a text.

use std::fmt::Write as _;

/// An object that is being written; [`Object::end`] closes it, or takes it back when nothing was put into it.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    start: usize,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn new(out: &'a mut String) -> Self {
        let start = out.len();
        out.push('{');
        Self { out, start, empty: true }
    }

    fn key(&mut self, name: &[u8]) {
        self.out.push_str(if self.empty { "" } else { "," });
        self.empty = false;
        string(self.out, name);
        self.out.push(':');
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &[u8], value: &[u8]) {
        self.key(name);
        string(self.out, value);
    }

    /// A number where the value is one and reads back as the same text.
    pub(crate) fn decimal(&mut self, name: &[u8], value: &[u8]) {
        self.key(name);
        let number = matches!(value, [b'0'] | [b'1'..=b'9', ..])
            && value.len() <= 15
            && value.iter().all(u8::is_ascii_digit);
        match std::str::from_utf8(value) {
            Ok(digits) if number => self.out.push_str(digits),
            _ => string(self.out, value),
        }
    }

    pub(crate) fn end(self) {
        if self.empty {
            self.out.truncate(self.start);
        } else {
            self.out.push('}');
        }
    }
}

/// Bytes as a JSON string; what is not UTF-8 is replaced.
pub(crate) fn string(out: &mut String, bytes: &[u8]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_was_put_or_nothing() {
        let mut out = String::from("x");
        Object::new(&mut out).end();
        assert_eq!(out, "x");
        let mut object = Object::new(&mut out);
        object.text(b"a\"", b"\x01\xff\\");
        object.decimal(b"n", b"12");
        object.decimal(b"m", b"012");
        object.decimal(b"e", b"");
        object.end();
        assert_eq!(out, "x{\"a\\\"\":\"\\u0001\u{fffd}\\\\\",\"n\":12,\"m\":\"012\",\"e\":\"\"}");
    }
}
