//! What loggers put before a message: RFC 3164 and RFC 5424 headers, the name of the program, the kernel's uptime.

use super::number::dec;
use super::stamp::Stamp;

/// Programs whose name before a colon is known not to belong to a prefix.
const PROGRAMS: [&[u8]; 9] =
    [b"kernel", b"vmunix", b"klogd", b"ulogd", b"ulogd2", b"logger", b"root", b"syslog", b"firewall"];
const FACILITIES: [&[u8]; 12] = [
    b"kern",
    b"user",
    b"mail",
    b"daemon",
    b"auth",
    b"syslog",
    b"lpr",
    b"news",
    b"uucp",
    b"cron",
    b"authpriv",
    b"ftp",
];
const SEVERITIES: [&[u8]; 11] = [
    b"emerg", b"alert", b"crit", b"err", b"error", b"warning", b"warn", b"notice", b"info", b"debug",
    b"panic",
];
/// The kernel's name before its message.
const KERNEL: &[u8] = b"kernel: ";
/// A relay may put its own header before the sender's.
const HEADERS: usize = 3;

/// What stands before a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Facility and severity, from `<PRI>`.
    pub priority: Option<u16>,
    /// When the line was written.
    pub stamp: Option<Stamp>,
    /// The host's name as the line has it.
    pub host: Option<&'a [u8]>,
    /// The program, as `kernel`.
    pub program: Option<&'a [u8]>,
    /// Whether the program's number stands there too.
    pub numbered: bool,
    /// The guest of a Proxmox host whose packet it was, as the line has it.
    pub guest: Option<&'a [u8]>,
    /// The chain, where it stands before the message.
    pub chain: Option<&'a [u8]>,
    /// The kernel's clock, in microseconds since it started.
    pub uptime: Option<u64>,
    /// From `message repeated 3 times`: how many messages the line stands for. 0 when it does not say.
    pub repeated: u32,
}

impl<'a> Envelope<'a> {
    /// The envelope at the beginning of a text, and where the message begins. What is none is part of the message.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> (Self, usize) {
        let mut scan = Scan { text, at: 0 };
        let mut envelope = Self::default();
        scan.skip(b"\xef\xbb\xbf");
        for _ in 0..HEADERS {
            if !scan.header(&mut envelope) {
                break;
            }
        }
        // a program's name and uptime may stand inside or outside of the wrapper of repeated messages
        for _ in 0..2 {
            scan.program(&mut envelope);
            scan.uptime(&mut envelope);
            if !scan.repeated(&mut envelope) {
                break;
            }
        }
        if scan.rest().first().is_some_and(u8::is_ascii_digit) {
            scan.guest(&mut envelope);
        }
        (envelope, scan.at)
    }
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn skip(&mut self, what: &[u8]) -> bool {
        let there = self.rest().starts_with(what);
        if there {
            self.at += what.len();
        }
        there
    }

    /// The next word, without its blank.
    fn word(&self) -> &'a [u8] {
        first_word(self.rest())
    }

    /// Steps over a word and one blank behind it.
    fn step(&mut self, word: usize) {
        self.at += word;
        if let Some(b' ' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// `<PRI>`, stamp and host; false when there is none of them.
    fn header(&mut self, out: &mut Envelope<'a>) -> bool {
        let start = self.at;
        if let Some(digits) = self.rest().strip_prefix(b"<")
            && let Some(end) = digits.iter().take(4).position(|b| *b == b'>')
            && let Some(priority) = dec(&digits[..end])
        {
            out.priority = Some(priority);
            self.at += end + 2;
            self.skip(b" ");
            if self.rest().starts_with(b"1 ") && self.rfc5424(out) {
                return true;
            }
        }
        let Some((stamp, len)) = Stamp::parse(self.rest()) else {
            self.uptime(out);
            let word = self.word();
            let after = &self.rest()[word.len()..];
            let kernel = after.starts_with(b" kernel: ") || after.starts_with(b"\tkernel:");
            if kernel && out.host.is_none() && is_host(word) {
                self.host(out);
            }
            return false;
        };
        out.stamp = Some(stamp);
        self.at += len;
        // as Cisco's devices have it
        self.skip(b":");
        self.step(0);
        while self.skip(b" ") {}
        if self.text[start..].starts_with(b"[") {
            return true;
        }
        // as container runtimes have it: whole lines and pieces
        if [&b"stdout F "[..], b"stderr F ", b"stdout P ", b"stderr P "].iter().any(|s| self.skip(s)) {
            return true;
        }
        self.host(out);
        true
    }

    /// The word behind a stamp, unless it is the program or the prefix.
    fn host(&mut self, out: &mut Envelope<'a>) {
        let word = self.word();
        let after = self.text.get(self.at + word.len() + 1..).unwrap_or_default();
        // the programs of the kernel's log are known; whatever stands before them is a host
        let sure = after.starts_with(KERNEL) || starts_with_program(after) || starts_with_facility(after);
        if !is_facility(word) && !starts_with_program(self.rest()) && (sure || is_host(word)) {
            out.host = Some(word);
            self.step(word.len());
        }
    }

    /// `1 STAMP HOST APP PROCID MSGID SD `, `-` where there is none.
    fn rfc5424(&mut self, out: &mut Envelope<'a>) -> bool {
        let start = self.at;
        self.at += 2;
        let mut words = [&[][..]; 5];
        for word in &mut words {
            *word = self.word();
            self.step(word.len());
        }
        let is_header = match Stamp::parse(words[0]) {
            Some((stamp, len)) if len == words[0].len() => {
                out.stamp = Some(stamp);
                true
            }
            _ => words[0] == b"-",
        };
        if !is_header || !self.structured_data() {
            self.at = start;
            return false;
        }
        let given = |word: &'a [u8]| (word != b"-").then_some(word);
        (out.host, out.program) = (given(words[1]), given(words[2]));
        out.numbered = words[3].first().is_some_and(u8::is_ascii_digit);
        self.skip(b" ");
        self.skip(b"\xef\xbb\xbf");
        true
    }

    /// `-`, or elements in brackets, in which a backslash escapes `"` and `]`.
    fn structured_data(&mut self) -> bool {
        if self.skip(b"-") {
            return true;
        }
        let mut elements = 0;
        while self.rest().starts_with(b"[") && (elements > 0 || is_element(self.rest())) {
            self.at += 1;
            let (mut quoted, mut end) = (false, None);
            let mut bytes = self.rest().iter().enumerate();
            while let Some((i, byte)) = bytes.next() {
                match byte {
                    b'\\' if quoted => _ = bytes.next(),
                    b'"' => quoted = !quoted,
                    b']' if !quoted => {
                        end = Some(i + 1);
                        break;
                    }
                    _ => {}
                }
            }
            let Some(end) = end else { return false };
            self.at += end;
            elements += 1;
        }
        // some leave it out, and their message may begin with a bracket
        elements > 0 || self.rest().starts_with(b"[")
    }

    /// `kernel: `, also with facility and severity before it.
    fn program(&mut self, out: &mut Envelope<'a>) {
        // the way of almost every line
        if out.program.is_none() && self.skip(KERNEL) {
            out.program = Some(&KERNEL[..6]);
            // some write it twice
            self.skip(KERNEL);
            return;
        }
        if starts_with_facility(self.rest()) {
            self.step(self.word().len());
        } else if let Some(len) = decoded(self.rest()) {
            self.step(len);
        }
        if self.rest().starts_with(b"kernel:[") {
            out.program = Some(&self.rest()[..6]);
            self.at += 7;
            return;
        }
        // some write `kernel: kernel: `
        for _ in 0..2 {
            if !starts_with_program(self.rest()) || out.program.is_some_and(|p| p != b"kernel") {
                break;
            }
            let word = self.word();
            if out.program.is_some() && word != b"kernel:" {
                break;
            }
            out.program = Some(program(word));
            out.numbered = word.contains(&b'[');
            self.step(word.len());
        }
    }

    /// `[ 1269.733882] `, also with the caller behind it, as in `[   12.345678][    T1] `.
    fn uptime(&mut self, out: &mut Envelope<'a>) {
        let Some(inside) = self.rest().strip_prefix(b"[") else { return };
        let Some(end) = inside.iter().take(24).position(|b| *b == b']') else { return };
        let number = inside[..end].trim_ascii_start();
        let number = number.strip_prefix(b"+").unwrap_or(number);
        let Some(dot) = number.iter().position(|b| *b == b'.') else { return };
        let (Some(seconds), Some(fraction)) = (dec::<u32>(&number[..dot]), dec::<u64>(&number[dot + 1..]))
        else {
            return;
        };
        let digits = number.len() - dot - 1;
        if let Some(unit) = 6_usize.checked_sub(digits).and_then(|n| u32::try_from(n).ok()) {
            out.uptime = Some(u64::from(seconds) * 1_000_000 + fraction * 10_u64.pow(unit));
            self.at += end + 2;
            if let Some(caller) = self.rest().strip_prefix(b"[")
                && let Some(close) = caller.iter().take(12).position(|b| *b == b']')
                && let [b'T' | b'C', number @ ..] = caller[..close].trim_ascii_start()
                && dec::<u32>(number).is_some()
            {
                self.at += close + 2;
            }
            self.step(0);
        }
    }

    /// `101 6 tap101i0-IN 02/Mar/2021:19:40:07 +0100 `: guest, level, chain and time of Proxmox's logger.
    #[cold]
    fn guest(&mut self, out: &mut Envelope<'a>) {
        let start = self.at;
        let mut words = [&[][..]; 3];
        for word in &mut words {
            *word = self.word();
            self.step(word.len());
        }
        let numbers = dec::<u32>(words[0]).is_some() && dec::<u8>(words[1]).is_some();
        match Stamp::of_proxmox(self.rest()) {
            Some((stamp, len)) if numbers => {
                (out.guest, out.chain, out.stamp) = (Some(words[0]), Some(words[2]), Some(stamp));
                self.step(len);
            }
            _ => self.at = start,
        }
    }

    /// `message repeated 3 times: [ `; its `]` stands at the end of the line.
    fn repeated(&mut self, out: &mut Envelope<'a>) -> bool {
        let Some(count) = self.rest().strip_prefix(b"message repeated ") else { return false };
        let Some(end) = count.iter().take(11).position(|b| *b == b' ') else { return false };
        let (Some(times), true) = (dec(&count[..end]), count[end..].starts_with(b" times: [")) else {
            return false;
        };
        out.repeated = times;
        self.step(17 + end + 9);
        true
    }
}

fn first_word(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr2(b' ', b'\t', text).unwrap_or(text.len())]
}

/// Whether a bracket opens an element of structured data: a name, then `]` or ` name=\"`.
fn is_element(text: &[u8]) -> bool {
    let rest = &text[1..];
    let Some(end) = rest.iter().position(|b| b" =]\"".contains(b)).filter(|end| *end > 0) else {
        return false;
    };
    match rest[end] {
        b']' => true,
        b' ' => {
            let rest = &rest[end + 1..];
            let equals = rest.iter().position(|b| b" =]\"".contains(b)).unwrap_or(0);
            rest[equals..].starts_with(b"=\"")
        }
        _ => false,
    }
}

/// `kern  :warn  : `, as `dmesg -x` writes it; its length without the last blank.
fn decoded(text: &[u8]) -> Option<usize> {
    let colon = text.iter().take(10).position(|b| *b == b':')?;
    let rest = &text[colon + 1..];
    let second = rest.iter().take(10).position(|b| *b == b':')?;
    let known = FACILITIES.contains(&text[..colon].trim_ascii_end())
        && SEVERITIES.contains(&rest[..second].trim_ascii_end());
    (known && rest[second + 1..].starts_with(b" ")).then_some(colon + second + 2)
}

/// What a host's name or address may look like.
fn is_host(word: &[u8]) -> bool {
    !word.is_empty()
        && !word.ends_with(b":")
        && word.iter().all(|b| b.is_ascii_alphanumeric() || b".-_:%".contains(b))
}

/// The name in `kernel:` or `ulogd[1234]:`.
fn program(word: &[u8]) -> &[u8] {
    let name = word.strip_suffix(b":").unwrap_or(word);
    &name[..memchr::memchr(b'[', name).unwrap_or(name.len())]
}

/// Whether a text begins with a program's name that cannot be part of a prefix.
fn starts_with_program(text: &[u8]) -> bool {
    let word = first_word(text);
    let Some(name) = word.strip_suffix(b":") else { return false };
    let with_pid = || match (memchr::memchr(b'[', name), name.strip_suffix(b"]")) {
        (Some(open), Some(inside)) if open > 0 => {
            let plain = |b: &u8| b.is_ascii_alphanumeric() || b"._-/()+".contains(b);
            inside[..open].iter().all(plain) && dec::<u32>(&inside[open + 1..]).is_some()
        }
        _ => false,
    };
    PROGRAMS.contains(&name) || with_pid()
}

fn starts_with_facility(text: &[u8]) -> bool {
    is_facility(first_word(text))
}

/// `kern.warn`.
fn is_facility(word: &[u8]) -> bool {
    let Some(dot) = word.iter().take(10).position(|b| *b == b'.') else { return false };
    let (facility, severity) = (&word[..dot], &word[dot + 1..]);
    let local = matches!(facility, [b'l', b'o', b'c', b'a', b'l', b'0'..=b'7']);
    (local || FACILITIES.contains(&facility)) && SEVERITIES.contains(&severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host, program, and what is left for the prefix.
    fn read(text: &str) -> (Option<&str>, Option<&str>, &str) {
        let (envelope, at) = Envelope::parse(text.as_bytes());
        let utf8 = |bytes| std::str::from_utf8(bytes).unwrap();
        (envelope.host.map(utf8), envelope.program.map(utf8), &text[at..])
    }

    #[test]
    fn headers_as_loggers_write_them() {
        for (text, host, program, prefix) in [
            ("Jan  8 03:37:09 gw kernel: [ 1269.733882] DROP ", Some("gw"), Some("kernel"), "DROP "),
            ("Jan  8 03:37:09 gw kernel: [UFW BLOCK] ", Some("gw"), Some("kernel"), "[UFW BLOCK] "),
            ("Jan  8 03:37:09 DENY: ", None, None, "DENY: "),
            ("Jan  8 03:37:09 kernel: [bri-D]", None, Some("kernel"), "[bri-D]"),
            ("Jan  8 03:37:09 gw [LAN-D] DESCR=\"x\" ", Some("gw"), None, "[LAN-D] DESCR=\"x\" "),
            ("Jan  8 03:37:09 gw ulogd[77]: x  ", Some("gw"), Some("ulogd"), "x  "),
            ("Jan  8 03:37:09 gw user.warn kernel: [1.5] [A-1]", Some("gw"), Some("kernel"), "[A-1]"),
            ("Thu Jan 18 03:37:09 2024 kern.warn kernel: [ 9.000001] x ", None, Some("kernel"), "x "),
            ("<4>Jan  8 03:37:09 gw kernel: x ", Some("gw"), Some("kernel"), "x "),
            ("<4>[ 4302.478038] PLAIN ", None, None, "PLAIN "),
            ("<4>kernel: PLAIN ", None, Some("kernel"), "PLAIN "),
            ("[   12.345678] gw kernel: PLAIN ", Some("gw"), Some("kernel"), "PLAIN "),
            ("Thu 2025-01-23 17:22:21 UTC gw kernel: PLAIN ", Some("gw"), Some("kernel"), "PLAIN "),
            ("<4>[   12.345678] a b PLAIN ", None, None, "a b PLAIN "),
            ("gw kernel: PLAIN ", Some("gw"), Some("kernel"), "PLAIN "),
            ("kernel: PLAIN ", None, Some("kernel"), "PLAIN "),
            ("2025-01-23T12:22:21.5-05:00 10.0.0.1 kernel: x", Some("10.0.0.1"), Some("kernel"), "x"),
            ("2025-01-23T12:22:21.5Z relay Jan  8 03:37:09 gw kernel: x", Some("gw"), Some("kernel"), "x"),
            ("<174>1 2003-08-24T05:14:15+00:00 gw kernel - - - x ", Some("gw"), Some("kernel"), "x "),
            ("<4>1 - - - - - [a@1 k=\"\\\"]\"][b] \u{feff}x ", None, None, "x "),
            ("<4>1 2003 no header", None, None, "1 2003 no header"),
            ("Jan  8 03:37:09 <redacted> kernel: x", Some("<redacted>"), Some("kernel"), "x"),
            ("[Thu Jan 18 03:37:09 2024] x y ", None, None, "x y "),
            ("[UFW BLOCK] ", None, None, "[UFW BLOCK] "),
            (
                "<4>1 2024-01-08T03:37:09Z gw kernel - - [UFW BLOCK] ",
                Some("gw"),
                Some("kernel"),
                "[UFW BLOCK] ",
            ),
            ("<4>1 2024-01-08T03:37:09Z gw kernel - - - [ 12.5] x ", Some("gw"), Some("kernel"), "x "),
            ("*Jan  8 2024 03:37:09.123: gw kernel: x ", Some("gw"), Some("kernel"), "x "),
            ("Jan  8 03:37:09 UTC gw kernel: x ", Some("gw"), Some("kernel"), "x "),
            ("2024-01-08 03:37:09.123 +0100 gw kernel: x ", Some("gw"), Some("kernel"), "x "),
            ("1704685029 gw kernel: x ", Some("gw"), Some("kernel"), "x "),
            ("kern  :warn  : [ 1269.733882] x ", None, None, "x "),
            ("[   12.345678][    T1] x ", None, None, "x "),
            ("Jan  8 03:37:09 gw kernel:[ 12.5] x ", Some("gw"), Some("kernel"), "x "),
            ("Jan  8 03:37:09 gw @rule[3]: ", Some("gw"), None, "@rule[3]: "),
            ("[  +0.000123] x ", None, None, "x "),
            ("Jan  8 03:37:09 gw kernel: kernel: x ", Some("gw"), Some("kernel"), "x "),
            (
                "2024-01-08T03:37:09.123456789Z stdout F <4>Jan  8 03:37:09 gw kernel: x ",
                Some("gw"),
                Some("kernel"),
                "x ",
            ),
            ("0 5 PVEFW-HOST-IN 02/Mar/2021:19:40:22 +0100 policy DROP: ", None, None, "policy DROP: "),
            ("5 packets: ", None, None, "5 packets: "),
            ("", None, None, ""),
        ] {
            assert_eq!(read(text), (host, program, prefix), "{text}");
        }
    }

    #[test]
    fn uptime_priority_and_repetition() {
        let text = b"<30>Jan  8 03:37:09 gw kernel: message repeated 28 times: [ [  12.5] x";
        let (envelope, at) = Envelope::parse(text);
        assert_eq!((envelope.priority, envelope.repeated, envelope.uptime), (Some(30), 28, Some(12_500_000)));
        assert_eq!(&text[at..], b"x");
        assert_eq!(Envelope::parse(b"message repeated many times: [ x").0.repeated, 0);
    }
}
