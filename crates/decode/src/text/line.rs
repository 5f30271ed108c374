//! One line: where the prefix ends and the packet begins.

use super::envelope::Envelope;
use super::fields::{Details, EBTABLES, Fields, begins_a_packet};
use super::json;
use super::judge;
use super::token::Tokens;
use crate::nflog::Link;
use crate::packet::Headers;
use bartizan_model::Action;
use memchr::memmem;
use std::fmt;

/// Fields that a line without `IN=… OUT=…` must have before it counts as one of a firewall.
const ENOUGH: u32 = 4;

/// Why a line was not fully understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Its beginning is missing, up to somewhere behind `IN=`.
    Headless,
    /// It ends before the packet does.
    Cut,
    /// A value is not what its key asks for.
    Value,
    /// A word that nobody knows.
    Word,
    /// An address is there twice: two lines in one.
    Twice,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Headless => "the beginning is missing",
            Self::Cut => "the end is missing",
            Self::Value => "a value is not what its key asks for",
            Self::Word => "a word is not known",
            Self::Twice => "an address is there twice",
        })
    }
}

/// One line of a firewall, borrowed from the text.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What stands before the message.
    pub envelope: Envelope<'a>,
    /// The prefix as the rule has it; what is not UTF-8 in it is anybody's.
    pub prefix: &'a [u8],
    /// Input interface; empty when there is none, as the other three.
    pub in_if: &'a [u8],
    /// Output interface.
    pub out_if: &'a [u8],
    /// Bridge port of input.
    pub phys_in: &'a [u8],
    /// Bridge port of output.
    pub phys_out: &'a [u8],
    /// The hardware header.
    pub link: Link,
    /// `NFPROTO_IPV4`, `NFPROTO_IPV6`, `NFPROTO_ARP`, or 0 for a frame of another type.
    pub family: u8,
    /// The packet.
    pub headers: Headers,
    /// The mark, 0 for none.
    pub mark: u32,
    /// User of the local socket.
    pub uid: Option<u32>,
    /// Group of the local socket.
    pub gid: Option<u32>,
    /// What became of the packet, where the line itself says so; a prefix is not looked at.
    pub action: Option<Action>,
    /// Why the line was not fully understood.
    pub problem: Option<Problem>,
    /// The whole text that was given.
    pub text: &'a [u8],
    /// What is known of the line beside its text, for `extra`: names and values. Empty when it was parsed.
    pub notes: &'a [(&'a [u8], &'a [u8])],
    /// The words behind `OUT=…`.
    tail: &'a [u8],
    form: Form,
    has_details: bool,
}

/// Whose words stand behind `OUT=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Those of nf_log_syslog and of ulogd.
    Kernel,
    /// Those of ebtables.
    Ebtables,
    /// Those of the kernel's audit.
    Audit,
}

impl Form {
    #[inline]
    fn read<'a>(self, fields: &mut Fields<'a>, tail: &'a [u8], details: &mut impl Details) {
        match self {
            Self::Kernel => fields.read(tail, details),
            Self::Ebtables => fields.read_ebtables(tail, details),
            Self::Audit => fields.read_audit(tail, details),
        }
    }
}

impl<'a> Line<'a> {
    /// A line as a log file or a syslog sender has it, with or without an envelope, `\n` or `\r\n` at its end.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        Self::read(text, Envelope::parse)
    }

    /// A message of the kernel without an envelope, as `/dev/kmsg` has it.
    #[must_use]
    #[inline]
    pub fn of_kernel(text: &'a [u8]) -> Option<Self> {
        Self::read(text, |_| (Envelope { program: Some(b"kernel"), ..Envelope::default() }, 0))
    }

    /// How many packets the line stands for: several where the logger folded repeated lines into one.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.envelope.repeated.max(1)
    }

    /// Adds what no column holds to a text, as a JSON object; nothing when there is nothing.
    pub fn details(&self, out: &mut String) {
        let Envelope { guest, chain, .. } = self.envelope;
        if !self.has_details && self.problem.is_none() && self.notes.is_empty() && guest.is_none() {
            return;
        }
        let mut object = json::Object::new(out);
        for (name, value) in self.notes {
            object.text(name, value);
        }
        for (name, value) in [(&b"guest"[..], guest), (b"chain", chain)] {
            value.into_iter().for_each(|value| object.text(name, value));
        }
        if let Some(problem) = self.problem {
            object.text(b"unparsed", problem.to_string().as_bytes());
        }
        if self.has_details {
            self.form.read(&mut Fields::default(), self.tail, &mut object);
        }
        object.end();
    }

    #[inline]
    fn read(text: &'a [u8], envelope: impl Fn(&'a [u8]) -> (Envelope<'a>, usize)) -> Option<Self> {
        let mut body = trimmed(text);
        let Some(start) = Start::find(body) else { return Self::without_devices(text, body, envelope) };
        let (envelope, prefix_at) = envelope(&body[..start.prefix_end]);
        if envelope.repeated > 0 {
            body = body.strip_suffix(b"]").unwrap_or(body);
        }
        let mut fields = Fields::default();
        (fields.in_if, fields.out_if, fields.phys_in) = (start.in_if, start.out_if, start.phys_in);
        let mut has_details = false;
        let tail = &body[start.tail..];
        let form = if tail.starts_with(EBTABLES) { Form::Ebtables } else { Form::Kernel };
        form.read(&mut fields, tail, &mut has_details);
        let nothing = fields.known == 0 && (!tail.is_empty() || start.in_if.len() + start.out_if.len() == 0);
        let prefix = &body[prefix_at..start.prefix_end];
        if nothing || !judge::may_log(&envelope, prefix, [start.in_if, start.out_if], tail) {
            return None;
        }
        Some(Self::of(text, envelope, prefix, tail, form, &fields, has_details))
    }

    /// A line without `IN=… OUT=…`: a record of the kernel's audit, or a line whose beginning is missing.
    #[cold]
    fn without_devices(
        text: &'a [u8],
        body: &'a [u8],
        envelope: impl Fn(&'a [u8]) -> (Envelope<'a>, usize),
    ) -> Option<Self> {
        match judge::audit_record(body) {
            Some((head, stamp, tail)) => {
                let (mut envelope, at) = envelope(&body[..head]);
                let before = body[at..head].trim_ascii();
                let foreign = envelope.program.is_some_and(|program| !judge::is_audit(program));
                match before.strip_prefix(b"node=") {
                    Some(node) if !foreign => envelope.host = Some(node),
                    None if !foreign && matches!(before, b"" | b"audit:") => {}
                    _ => return None,
                }
                envelope.stamp = stamp.or(envelope.stamp);
                let mut fields = Fields::default();
                let mut has_details = false;
                Form::Audit.read(&mut fields, tail, &mut has_details);
                (fields.known > 0)
                    .then(|| Self::of(text, envelope, &[], tail, Form::Audit, &fields, has_details))
            }
            None => Self::headless(text, body, envelope),
        }
    }

    /// A line whose beginning is missing: enough of the kernel's keys with the right values make it one.
    #[cold]
    fn headless(
        text: &'a [u8],
        body: &'a [u8],
        envelope: impl Fn(&'a [u8]) -> (Envelope<'a>, usize),
    ) -> Option<Self> {
        let has = |needle: &[u8]| memmem::find(body, needle).is_some();
        let protocol = has(b" PROTO=");
        let enough = protocol || (has(b"SRC=") && has(b" DST="));
        // ulogd's lines of flows have packets' keys
        if !enough || has(b"ORIG: SRC=") {
            return None;
        }
        let mut tokens = Tokens::new(body);
        let tail = loop {
            let before = tokens.rest();
            let mut probe = Fields::default();
            let token = tokens.next()?;
            if token.value().is_none() {
                continue;
            }
            let mut unknown = false;
            probe.read(token.word, &mut unknown);
            if probe.known > 0 {
                break before;
            }
        };
        let mut fields = Fields::default();
        let mut has_details = false;
        fields.read(tail, &mut has_details);
        if fields.known < ENOUGH {
            return None;
        }
        fields.problem = Some(Problem::Headless);
        let head = &body[..body.len() - tail.len()];
        let (envelope, prefix_at) = envelope(head);
        judge::may_be_headless(&envelope, &head[prefix_at..])
            .then(|| Self::of(text, envelope, &[], tail, Form::Kernel, &fields, has_details))
    }

    #[inline]
    fn of(
        text: &'a [u8],
        envelope: Envelope<'a>,
        prefix: &'a [u8],
        tail: &'a [u8],
        form: Form,
        fields: &Fields<'a>,
        has_details: bool,
    ) -> Self {
        // the kernel puts nothing between prefix and `IN=`, ulogd a blank
        let prefix = if fields.ulogd { prefix.strip_suffix(b" ").unwrap_or(prefix) } else { prefix };
        Self {
            envelope,
            prefix,
            in_if: fields.in_if,
            out_if: fields.out_if,
            phys_in: fields.phys_in,
            phys_out: fields.phys_out,
            link: fields.link,
            family: fields.family,
            headers: fields.headers,
            mark: fields.mark,
            uid: fields.uid,
            gid: fields.gid,
            action: fields.action,
            problem: fields.problem,
            text,
            notes: &[],
            tail,
            form,
            has_details,
        }
    }
}

impl Details for json::Object<'_> {
    fn put(&mut self, name: &[u8], value: &[u8]) {
        self.text(name, value);
    }
    fn number(&mut self, name: &'static str, value: &[u8]) {
        self.decimal(name.as_bytes(), value);
    }
}

/// `IN=… OUT=…` of a line.
struct Start<'a> {
    prefix_end: usize,
    in_if: &'a [u8],
    out_if: &'a [u8],
    phys_in: &'a [u8],
    /// Where the next word begins.
    tail: usize,
}

impl<'a> Start<'a> {
    /// The last one: before it stands the prefix, which may say anything, behind it nothing that a packet could
    /// have made look like it.
    #[inline]
    fn find(text: &'a [u8]) -> Option<Self> {
        const OUT: &[u8] = b" OUT=";
        let finder = memmem::Finder::new(OUT);
        let last = finder.find_iter(text).filter_map(|at| Self::at(text, at, at + OUT.len())).last();
        last.or_else(|| Self::odd(text))
    }

    /// One with a tab before `OUT=`, or with only one of both, and what the kernel writes behind it: the loggers of
    /// some distributions leave out what is empty.
    #[cold]
    fn odd(text: &'a [u8]) -> Option<Self> {
        let after = |name: usize| {
            let rest = &text[name..];
            &rest[..memchr::memchr2(b' ', b'\t', rest).unwrap_or(rest.len())]
        };
        let finder = memmem::Finder::new(b"\tOUT=");
        if let Some(start) = finder.find_iter(text).filter_map(|at| Self::at(text, at, at + 5)).last() {
            return Some(start);
        }
        let one = |at: usize, key: &[u8]| {
            let name = at + key.len();
            let device = after(name);
            let tail = name + device.len();
            let is_port = text[..at].ends_with(b"PHYS");
            let empty = &text[at..at];
            let (in_if, out_if) = if key == b"IN=" { (device, empty) } else { (empty, device) };
            (!is_port && !device.is_empty() && begins_a_packet(&text[tail..])).then_some(Self {
                prefix_end: at,
                in_if,
                out_if,
                phys_in: empty,
                tail,
            })
        };
        let find =
            |key: &'static [u8]| memmem::find_iter(text, key).filter_map(move |at| one(at, key)).last();
        find(b"IN=").into_iter().chain(find(b"OUT=")).max_by_key(|start| start.prefix_end)
    }

    /// The one whose ` OUT=` stands at a place.
    #[inline]
    fn at(text: &'a [u8], blank: usize, name: usize) -> Option<Self> {
        let (mut word, mut word_at) = last_word(&text[..blank]);
        let mut phys_in = &[][..];
        // kernels before 3.0 write PHYSIN before OUT
        if let Some(port) = word.strip_prefix(b"PHYSIN=")
            && word_at > 0
        {
            let (before, at) = last_word(&text[..word_at - 1]);
            if last_key(before).is_some() {
                (word, word_at, phys_in) = (before, at, port);
            }
        }
        let key = last_key(word)?;
        let out_if = &text[name..];
        let out_if = &out_if[..memchr::memchr2(b' ', b'\t', out_if).unwrap_or(out_if.len())];
        Some(Self {
            prefix_end: word_at + key,
            in_if: &word[key + 3..],
            out_if,
            phys_in,
            tail: name + out_if.len(),
        })
    }
}

/// A line without its end, also where a logger has written it as `#015`.
#[inline]
fn trimmed(text: &[u8]) -> &[u8] {
    let end = |text: &[u8]| {
        text.iter().rposition(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0)).map_or(0, |at| at + 1)
    };
    let mut body = &text[..end(text)];
    while let Some(rest) = [&b"#015"[..], b"#012", b"#000"].iter().find_map(|e| body.strip_suffix(*e)) {
        body = &rest[..end(rest)];
    }
    body
}

/// The word at the end of a text, and where it begins.
#[inline]
fn last_word(text: &[u8]) -> (&[u8], usize) {
    let at = memchr::memrchr2(b' ', b'\t', text).map_or(0, |at| at + 1);
    (&text[at..], at)
}

/// Where the last `IN=` of a word begins.
#[inline]
fn last_key(word: &[u8]) -> Option<usize> {
    word.windows(3).rposition(|w| w == b"IN=")
}
