//! A line of any service, with what stands before its message.

use super::envelope::Envelope;
use super::number::dec;

/// Bytes of a program's name that are looked at; RFC 5424 allows 48.
const MAX_PROGRAM: usize = 64;

/// A line whose message is anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What stands before the message.
    pub envelope: Envelope<'a>,
    /// The program, without its number; empty when the line names none.
    pub program: &'a [u8],
    /// The message, without the line's end.
    pub text: &'a [u8],
}

impl<'a> Message<'a> {
    /// The parts of a line.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        let end = text.iter().rposition(|b| !matches!(b, b' ' | b'\r' | b'\n' | 0)).map_or(0, |at| at + 1);
        let text = &text[..end];
        let (envelope, at) = Envelope::parse(text);
        let mut rest = &text[at..];
        let mut program = envelope.program.unwrap_or_default();
        if program.is_empty()
            && let Some((name, message)) = tag(rest)
        {
            (program, rest) = (name, message);
        }
        Self { envelope, program, text: rest }
    }

    /// How many more of the sender's previous message a line stands for that says so and does not say what it was:
    /// `last message repeated 3 times` and its kin.
    #[must_use]
    pub fn repeats(&self) -> Option<u32> {
        let text = self.text;
        let text = text.strip_prefix(b"--- ").unwrap_or(text);
        let rest = [&b"last message "[..], b"Last message ", b"above message ", b"previous message "]
            .iter()
            .find_map(|head| text.strip_prefix(*head))?;
        // syslog-ng quotes the first 20 bytes of the message, in which anything may stand
        let quoted = rest.first() == Some(&b'\'');
        let at = memchr::memmem::rfind(rest, b"repeat").filter(|at| *at == 0 || quoted)?;
        let rest = &rest[at + 6..];
        let rest = rest.strip_prefix(b"ed ").or_else(|| rest.strip_prefix(b"s "))?;
        let end = rest.iter().take(11).position(|b| *b == b' ')?;
        rest[end..].starts_with(b" time").then(|| dec(&rest[..end])).flatten()
    }
}

/// `sshd[77]: ` at the beginning of a text, and what follows.
fn tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().take(MAX_PROGRAM).position(|b| *b == b':')?;
    let rest = &text[colon + 1..];
    if !(rest.is_empty() || rest.starts_with(b" ")) {
        return None;
    }
    let word = &text[..colon];
    let name = match (memchr::memchr(b'[', word), word.strip_suffix(b"]")) {
        (Some(open), Some(_)) => &word[..open],
        _ => word,
    };
    let is_name = !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && !b"[]<>\"".contains(b));
    is_name.then(|| (name, rest.strip_prefix(b" ").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_messages() {
        for (line, program, message) in [
            ("<38>Jan  8 03:37:09 gw sshd[77]: Accepted x\r\n", "sshd", "Accepted x"),
            ("Jan  8 03:37:09 gw su(pam_unix)[2]: x: y", "su(pam_unix)", "x: y"),
            ("<38>1 2024-01-08T03:37:09Z gw app 7 - - a b", "app", "a b"),
            ("Jan  8 03:37:09 gw kernel: eth0: up", "kernel", "eth0: up"),
            ("Jan  8 03:37:09 gw no program here", "", "no program here"),
            ("Jan  8 03:37:09 gw a b: c", "", "a b: c"),
            ("cron:", "cron", ""),
            ("", "", ""),
        ] {
            let read = Message::parse(line.as_bytes());
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            assert_eq!((text(read.program), text(read.text)), (program, message), "{line}");
        }
    }

    #[test]
    fn repetitions_without_the_message() {
        for (line, times) in [
            ("Jan  8 03:37:09 gw last message repeated 3 times", Some(3)),
            ("Jan  8 03:37:09 gw kernel: last message repeated 1 time", Some(1)),
            ("Jan  8 03:37:09 --- last message repeated 12 times ---", Some(12)),
            ("<4>Jan  8 03:37:09 gw above message repeats 2 times", Some(2)),
            (
                "Jan  8 03:37:09 gw syslog-ng[9]: Last message 'kernel: DROP IN=eth0' repeated 4 times, suppressed by syslog-ng on gw",
                Some(4),
            ),
            ("Jan  8 03:37:09 gw last message repeated often", None),
            ("Jan  8 03:37:09 gw last message repeated 99999999999 times", None),
            ("Jan  8 03:37:09 gw last message was not repeated 3 times", None),
            ("Jan  8 03:37:09 gw a last message repeated 3 times", None),
        ] {
            assert_eq!(Message::parse(line.as_bytes()).repeats(), times, "{line}");
        }
    }
}
