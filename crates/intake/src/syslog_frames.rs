//! Where one syslog message ends on a connection (RFC 6587).
//!
//! ```text
//! counted   MSG-LEN SP MSG          MSG-LEN in decimal, without a leading zero
//! line      MSG LF | MSG CR LF | MSG NUL
//! ```
//! Which of both a message is shows itself: one that begins with a number, a blank and `<` is counted, and so is one
//! that begins with a number and a blank right behind a counted one. All else is a line: a count that cannot be one
//! costs the message that has it, not the connection.
//!
//! Invariants, held by the tests and by the target in `fuzz/`:
//! - Total, and the same messages in whatever pieces the bytes come.
//! - No more than `limit` bytes, and a count, wait for the end of a message: what is longer is cut there, and its rest
//!   is passed over.

use memchr::memchr2;

/// Digits of a count: 10 would be more than any message has.
const DIGITS: usize = 9;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyslogFrame<'a> {
    /// Without its trailer.
    pub text: &'a [u8],
    /// Whether it was longer, or the connection ended within it.
    pub cut: bool,
}

/// Tells messages apart.
#[derive(Clone, Debug)]
pub struct SyslogFrames {
    limit: usize,
    state: State,
    /// Whether the message before was counted.
    counted: bool,
    /// Bytes of the line that begins the buffer which hold no end.
    seen: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    /// The rest of a line that was cut.
    PassLine,
    /// The rest of a counted message that was cut.
    Pass(usize),
}

/// How a message begins.
enum Begin {
    /// There is too little to tell.
    Unknown,
    /// With a count of so many digits.
    Count {
        digits: usize,
        length: usize,
    },
    Line,
}

impl SyslogFrames {
    /// Of messages of up to `limit` bytes, at least 1.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), state: State::Start, counted: false, seen: 0 }
    }

    /// The next message of what has come and is not done with, and how many bytes are done with it. Without a message,
    /// more bytes have to come behind those that are left.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Option<SyslogFrame<'a>>) {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::PassLine => match memchr2(b'\n', 0, rest) {
                    Some(end) => {
                        self.state = State::Start;
                        at += end + 1;
                    }
                    None => return (bytes.len(), None),
                },
                State::Pass(left) => {
                    let passed = left.min(rest.len());
                    self.state = if passed == left { State::Start } else { State::Pass(left - passed) };
                    at += passed;
                    if at == bytes.len() {
                        return (at, None);
                    }
                }
                State::Start => {
                    let empty = rest.iter().take_while(|b| matches!(b, b'\n' | b'\r' | 0)).count();
                    if empty > 0 {
                        // what was looked at before was no trailer
                        self.seen = 0;
                        at += empty;
                    }
                    let (used, frame) = self.start(&bytes[at..]);
                    match frame {
                        Some(frame) if frame.text.is_empty() => at += used,
                        frame => return (at + used, frame),
                    }
                }
            }
        }
    }

    /// What is left when the connection has ended.
    pub fn end<'a>(&mut self, bytes: &'a [u8]) -> Option<SyslogFrame<'a>> {
        if !matches!(self.state, State::Start) || bytes.is_empty() {
            return None;
        }
        let (text, cut) = match self.begin(bytes) {
            Begin::Count { digits, .. } => (&bytes[digits + 1..], true),
            Begin::Line | Begin::Unknown => (bytes, false),
        };
        let text = trimmed(&text[..text.len().min(self.limit)]);
        (!text.is_empty()).then_some(SyslogFrame { text, cut })
    }

    fn start<'a>(&mut self, bytes: &'a [u8]) -> (usize, Option<SyslogFrame<'a>>) {
        match self.begin(bytes) {
            Begin::Unknown => (0, None),
            Begin::Count { digits, length } => self.counted(bytes, digits + 1, length),
            Begin::Line => self.line(bytes),
        }
    }

    fn begin(&self, bytes: &[u8]) -> Begin {
        match bytes.first() {
            None => return Begin::Unknown,
            Some(b'1'..=b'9') => {}
            Some(_) => return Begin::Line,
        }
        let digits = bytes.iter().take(DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
        if digits > DIGITS {
            return Begin::Line;
        }
        match (bytes.get(digits), bytes.get(digits + 1)) {
            (None, _) => Begin::Unknown,
            (Some(b' '), None) if !self.counted => Begin::Unknown,
            (Some(b' '), next) if self.counted || next == Some(&b'<') => {
                let length = bytes[..digits].iter().fold(0, |n, b| n * 10 + usize::from(b - b'0'));
                Begin::Count { digits, length }
            }
            _ => Begin::Line,
        }
    }

    fn counted<'a>(&mut self, bytes: &'a [u8], at: usize, length: usize) -> (usize, Option<SyslogFrame<'a>>) {
        let wanted = length.min(self.limit);
        let Some(text) = bytes.get(at..at + wanted) else { return (0, None) };
        let cut = wanted < length;
        if cut {
            self.state = State::Pass(length - wanted);
        }
        self.counted = true;
        (at + wanted, Some(SyslogFrame { text: trimmed(text), cut }))
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> (usize, Option<SyslogFrame<'a>>) {
        let end = memchr2(b'\n', 0, &bytes[self.seen.min(bytes.len())..]).map(|end| self.seen + end);
        if let Some(end) = end.filter(|end| *end <= self.limit) {
            self.seen = 0;
            self.counted = false;
            return (end + 1, Some(SyslogFrame { text: trimmed(&bytes[..end]), cut: false }));
        }
        if bytes.len() <= self.limit {
            self.seen = bytes.len();
            return (0, None);
        }
        self.seen = 0;
        self.counted = false;
        self.state = State::PassLine;
        (self.limit, Some(SyslogFrame { text: trimmed(&bytes[..self.limit]), cut: true }))
    }
}

/// Without what some senders put behind a message.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n' | 0)).map_or(0, |at| at + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All messages of bytes that come in pieces of a length.
    fn read(bytes: &[u8], limit: usize, piece: usize) -> Vec<(Vec<u8>, bool)> {
        let mut frames = SyslogFrames::new(limit);
        let (mut waiting, mut found) = (Vec::new(), Vec::new());
        let mut keep = |frame: SyslogFrame<'_>| found.push((frame.text.to_vec(), frame.cut));
        for piece in bytes.chunks(piece) {
            waiting.extend_from_slice(piece);
            loop {
                let (used, frame) = frames.next(&waiting);
                let more = frame.is_some();
                frame.map(&mut keep);
                waiting.drain(..used);
                assert!(waiting.len() <= limit + DIGITS + 2 + piece.len(), "{} bytes wait", waiting.len());
                if !more {
                    break;
                }
            }
        }
        frames.end(&waiting).map(&mut keep);
        found
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        read(bytes, 64, 1).into_iter().map(|(text, _)| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn both_framings_and_a_mixture_of_them() {
        assert_eq!(
            texts(b"16 <1>1 - - - - - -17 <2>12 A B C D E -"),
            ["<1>1 - - - - - -", "<2>12 A B C D E -"]
        );
        assert_eq!(texts(b"<1>a\n<2>b\r\n<3>c\0\n\n<4>d"), ["<1>a", "<2>b", "<3>c", "<4>d"]);
        assert_eq!(texts(b"5 <1>a\n<2>b\n5 <3>cc6 <4>d\ne"), ["<1>a", "<2>b", "<3>cc", "<4>d\ne"]);
        // behind a counted one, a message needs no priority to be counted
        assert_eq!(texts(b"4 <1>a3 abc2 de"), ["<1>a", "abc", "de"]);
        assert_eq!(texts(b"0 <1>a\n"), ["0 <1>a"], "a count does not begin with 0");
    }

    #[test]
    fn what_only_looks_like_a_count_is_text() {
        assert_eq!(
            texts(b"2026-11-26T03:00:00Z gw x\n7 apples\n12\n"),
            ["2026-11-26T03:00:00Z gw x", "7 apples", "12"]
        );
        assert_eq!(texts(b"99999999999 <1>x\n<2>y\n"), ["99999999999 <1>x", "<2>y"]);
    }

    #[test]
    fn a_bad_count_costs_its_own_message_only() {
        // too small by three: the rest is a line, and the next one is whole
        assert_eq!(texts(b"4 <1>a rest\n6 <2>b c5 <3>dd"), ["<1>a", " rest", "<2>b c", "<3>dd"]);
        // too large, and then the end
        assert_eq!(read(b"50 <1>half", 64, 3), [(b"<1>half".to_vec(), true)]);
    }

    #[test]
    fn long_messages_are_cut_and_the_next_one_is_whole() {
        let long = [b"<1>".as_slice(), &[b'x'; 100]].concat();
        for (frame, trailer) in [(b"".as_slice(), b"\n".as_slice()), (b"103 ", b"")] {
            let bytes = [frame, &long, trailer, b"<2>b\n"].concat();
            for piece in [1, 7, 200] {
                let found = read(&bytes, 10, piece);
                assert_eq!(found, [(long[..10].to_vec(), true), (b"<2>b".to_vec(), false)], "{piece}");
            }
        }
        assert_eq!(
            read(b"0123456789\nx\n", 10, 4),
            [(b"0123456789".to_vec(), false), (b"x".to_vec(), false)]
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            parts in proptest::collection::vec(prop_oneof![
                "[ -~]{0,40}", Just("\n".to_owned()), Just("\0".to_owned()), "[1-9][0-9]? <[a-z]{0,20}",
            ], 0..12),
            piece in 1_usize..50,
            limit in 1_usize..60,
        ) {
            let bytes = parts.concat().into_bytes();
            let whole = read(&bytes, limit, bytes.len().max(1));
            prop_assert_eq!(&whole, &read(&bytes, limit, 1));
            prop_assert_eq!(&whole, &read(&bytes, limit, piece));
            prop_assert!(whole.iter().all(|(text, _)| !text.is_empty() && text.len() <= limit));
        }

        #[test]
        fn what_was_framed_comes_back(
            texts in proptest::collection::vec("<[0-9]{1,3}>[ -~]{0,60}", 0..20),
            counted in proptest::collection::vec(any::<bool>(), 20),
            piece in 1_usize..100,
        ) {
            let mut bytes = Vec::new();
            for (text, counted) in texts.iter().zip(counted) {
                if counted {
                    bytes.extend_from_slice(format!("{} {text}", text.len()).as_bytes());
                } else {
                    bytes.extend_from_slice(format!("{text}\n").as_bytes());
                }
            }
            let found = read(&bytes, 100, piece);
            prop_assert_eq!(found, texts.iter().map(|t| (t.clone().into_bytes(), false)).collect::<Vec<_>>());
        }
    }
}
