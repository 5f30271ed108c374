//! The JSON objects of the column `extra`.

use std::fmt::Write as _;

/// An object being written. Names are ours; values are numbers, hex, or words of harmless characters.
pub(super) struct Object<'a>(&'a mut String);

impl<'a> Object<'a> {
    pub(super) fn new(text: &'a mut String) -> Self {
        text.push('{');
        Self(text)
    }

    fn name(&mut self, name: &str) {
        let comma = if self.0.ends_with('{') { "" } else { "," };
        let _ = write!(self.0, "{comma}\"{name}\":");
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let _ = write!(self.0, "{value}");
    }

    pub(super) fn hex(&mut self, name: &str, bytes: &[u8]) {
        self.name(name);
        self.0.push('"');
        for byte in bytes {
            let _ = write!(self.0, "{byte:02x}");
        }
        self.0.push('"');
    }

    /// A word; what is no letter, digit or one of `-_.` becomes `?`.
    pub(super) fn word(&mut self, name: &str, word: &[u8]) {
        self.name(name);
        self.0.push('"');
        self.0.extend(word.iter().map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(*b),
            _ => '?',
        }));
        self.0.push('"');
    }

    /// Starts an object inside.
    pub(super) fn open(&mut self, name: &str) {
        self.name(name);
        self.0.push('{');
    }

    /// Ends it.
    pub(super) fn close(&mut self) {
        self.0.push('}');
    }

    pub(super) fn end(self) {
        self.0.push('}');
    }
}
