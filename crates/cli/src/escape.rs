//! The one place where text from events is made harmless for terminals and spreadsheets.

use std::borrow::Cow;
use std::io::{self, Write};

/// Whether a character may change what a terminal does or how a line reads: C0 and C1 controls, DEL, line and
/// paragraph separators, bidirectional controls, invisible marks.
fn dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{061c}' | '\u{feff}')
}

/// Text for a terminal: what is dangerous is written as `\x1b` or `\u{202e}`.
pub(crate) fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(dangerous) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match u32::from(c) {
            code if !dangerous(c) => {
                debug_assert!(code != 0x1b);
                out.push(c);
            }
            code if code <= 0xff => out.push_str(&format!("\\x{code:02x}")),
            code => out.push_str(&format!("\\u{{{code:x}}}")),
        }
    }
    out.into()
}

/// A line of JSON, the same value, without any dangerous character: JSON escapes C0 by nature, the rest may
/// stand in its strings as it is.
pub(crate) fn json_for_terminal(line: &str) -> Cow<'_, str> {
    if !line.contains(dangerous) {
        return line.into();
    }
    let mut out = String::with_capacity(line.len() + 8);
    for c in line.chars() {
        if dangerous(c) {
            // All of them are in the basic plane, so one escape is enough.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// As [`json_for_terminal`], of several lines with their ends.
pub(crate) fn json_lines_for_terminal(lines: &str) -> Cow<'_, str> {
    // of ASCII, JSON leaves only DEL as it is
    if lines.is_ascii() && !lines.contains('\u{7f}') {
        return lines.into();
    }
    let mut out = String::with_capacity(lines.len() + 8);
    for line in lines.lines() {
        out.push_str(&json_for_terminal(line));
        out.push('\n');
    }
    out.into()
}

/// Lines for a terminal, whatever wrote them. What is no whole line waits for its rest, or for the end.
pub(crate) struct HarmlessLines<W> {
    out: W,
    rest: Vec<u8>,
}

impl<W: Write> HarmlessLines<W> {
    pub(crate) const fn new(out: W) -> Self {
        Self { out, rest: Vec::new() }
    }
}

impl<W: Write> Write for HarmlessLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.rest.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        self.rest.extend_from_slice(&bytes[..end]);
        let lines = std::mem::replace(&mut self.rest, bytes[end + 1..].to_vec());
        for line in lines.split(|byte| *byte == b'\n') {
            writeln!(self.out, "{}", for_terminal(&String::from_utf8_lossy(line)))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.out.write_all(for_terminal(&String::from_utf8_lossy(&rest)).as_bytes())?;
        self.out.flush()
    }
}

/// Text for a cell of a spreadsheet: what would be run as a formula begins with an apostrophe.
pub(crate) fn for_spreadsheet(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_controls() {
        assert_eq!(for_terminal("in-drop é 中"), "in-drop é 中");
        assert_eq!(for_terminal("\x1b[2J\r\n\t\x7f"), "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
        assert_eq!(
            for_terminal("\u{9b}31m\u{202e}x\u{2066}\u{200b}"),
            "\\x9b31m\\u{202e}x\\u{2066}\\u{200b}"
        );
        for c in (0..0x1_0000).filter_map(char::from_u32) {
            let text = c.to_string();
            assert!(!for_terminal(&text).contains(dangerous), "{c:?}");
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "prefix": "a\u{9b}b\u{202e}c\u{7f}\u{1b}\n\"" });
        let line = value.to_string();
        let safe = json_for_terminal(&line);
        assert!(!safe.contains(dangerous), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }

    #[test]
    fn lines_stay_lines() {
        let lines = "{\"a\":\"b\"}\n{\"a\":\"\u{202e}\"}\n";
        assert_eq!(json_lines_for_terminal(lines), "{\"a\":\"b\"}\n{\"a\":\"\\u202e\"}\n");
        for plain in ["{}\n{}\n", "\u{7f}\n"] {
            assert_eq!(json_lines_for_terminal(plain).lines().count(), plain.lines().count());
        }
        assert!(!json_lines_for_terminal("\u{7f}\n").contains('\u{7f}'));
    }

    #[test]
    fn lines_of_others_are_made_harmless_wherever_they_are_cut() {
        let text = "a \x1b[2J\u{202e}é\nb\r\n\nlast\u{9b}";
        for size in 1..text.len() {
            let mut out = HarmlessLines::new(Vec::new());
            text.as_bytes().chunks(size).for_each(|piece| out.write_all(piece).unwrap());
            out.flush().unwrap();
            let got = String::from_utf8(out.out).unwrap();
            assert_eq!(got, "a \\x1b[2J\\u{202e}é\nb\\x0d\n\nlast\\x9b", "{size}");
        }
    }

    #[test]
    fn spreadsheets_run_nothing() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(for_spreadsheet(text), format!("'{text}"));
        }
        assert_eq!(for_spreadsheet("a=1"), "a=1");
    }
}
