//! One line: where the prefix ends and the packet begins.

use super::envelope::Envelope;
use super::fields::{Details, Fields};
use super::json;
use super::token::Tokens;
use crate::nflog::Link;
use crate::packet::Headers;
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
    /// Why the line was not fully understood.
    pub problem: Option<Problem>,
    /// The whole text that was given.
    pub text: &'a [u8],
    /// What is known of the line beside its text, for `extra`: names and values. Empty when it was parsed.
    pub notes: &'a [(&'a [u8], &'a [u8])],
    /// The words behind `OUT=…`.
    tail: &'a [u8],
    has_details: bool,
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
        Self::read(text, |_| (Envelope::default(), 0))
    }

    /// How many packets the line stands for: several where the logger folded repeated lines into one.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.envelope.repeated.max(1)
    }

    /// Adds what no column holds to a text, as a JSON object; nothing when there is nothing.
    pub fn details(&self, out: &mut String) {
        if !self.has_details && self.problem.is_none() && self.notes.is_empty() {
            return;
        }
        let mut object = json::Object::new(out);
        for (name, value) in self.notes {
            object.text(name, value);
        }
        if let Some(problem) = self.problem {
            object.text(b"unparsed", problem.to_string().as_bytes());
        }
        if self.has_details {
            Fields::default().read(self.tail, &mut object);
        }
        object.end();
    }

    #[inline]
    fn read(text: &'a [u8], envelope: impl Fn(&'a [u8]) -> (Envelope<'a>, usize)) -> Option<Self> {
        let end = text.iter().rposition(|b| !matches!(b, b' ' | b'\r' | b'\n' | 0)).map_or(0, |at| at + 1);
        let mut body = &text[..end];
        let Some(start) = Start::find(body) else { return Self::headless(text, body, envelope) };
        let (envelope, prefix_at) = envelope(&body[..start.prefix_end]);
        if envelope.repeated > 0 {
            body = body.strip_suffix(b"]").unwrap_or(body);
        }
        let mut fields = Fields::default();
        (fields.in_if, fields.out_if, fields.phys_in) = (start.in_if, start.out_if, start.phys_in);
        let mut has_details = false;
        let tail = &body[start.tail..];
        fields.read(tail, &mut has_details);
        let nothing = fields.known == 0 && (!tail.is_empty() || start.in_if.len() + start.out_if.len() == 0);
        let prefix = &body[prefix_at..start.prefix_end];
        (!nothing).then(|| Self::of(text, envelope, prefix, tail, &fields, has_details))
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
        Some(Self::of(text, envelope(head).0, &[], tail, &fields, has_details))
    }

    #[inline]
    fn of(
        text: &'a [u8],
        envelope: Envelope<'a>,
        prefix: &'a [u8],
        tail: &'a [u8],
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
            problem: fields.problem,
            text,
            notes: &[],
            tail,
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
        finder.find_iter(text).filter_map(|at| Self::at(text, at, at + OUT.len())).last()
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
        let out_if = &out_if[..memchr::memchr(b' ', out_if).unwrap_or(out_if.len())];
        Some(Self {
            prefix_end: word_at + key,
            in_if: &word[key + 3..],
            out_if,
            phys_in,
            tail: name + out_if.len(),
        })
    }
}

/// The word at the end of a text, and where it begins.
#[inline]
fn last_word(text: &[u8]) -> (&[u8], usize) {
    let at = memchr::memrchr(b' ', text).map_or(0, |at| at + 1);
    (&text[at..], at)
}

/// Where the last `IN=` of a word begins.
#[inline]
fn last_key(word: &[u8]) -> Option<usize> {
    word.windows(3).rposition(|w| w == b"IN=")
}
