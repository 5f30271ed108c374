//! Lines that a logger has put into a JSON object: `journalctl -o json`, Docker's `json-file`, rsyslog's and
//! syslog-ng's templates, Logstash, `@cee:`. The message is read as a line; what the object says of host and time stands
//! for its envelope.

use crate::json::{Scan, unescape};
use crate::ulogd::Value;
use bartizan_decode::text::{Envelope, Line, Stamp};
use bartizan_model::Micros;
use std::borrow::Cow;

const COOKIE: &[u8] = b"@cee:";

/// What an object says.
#[derive(Debug, Default)]
pub(super) struct Wrapped<'a> {
    /// The line inside, with the program before it.
    line: Vec<u8>,
    host: Option<Cow<'a, [u8]>>,
    stamp: Option<Stamp>,
}

/// Whether a line may be one of these at first sight.
#[inline]
pub(super) fn begins(text: &[u8]) -> bool {
    matches!(text, [b'{', b'"', ..] | [b'{', b' ' | b'}', ..])
}

/// The object in a line, if there is one with a message in it.
#[cold]
pub(super) fn unwrap(text: &[u8]) -> Option<Wrapped<'_>> {
    let mut wrapped = Wrapped::default();
    let object = if begins(text) {
        text
    } else {
        let (envelope, _) = Envelope::parse(text);
        let at = memchr::memmem::find(text, COOKIE)? + COOKIE.len();
        wrapped.host = envelope.host.map(Cow::Borrowed);
        wrapped.stamp = envelope.stamp;
        &text[at..]
    };
    let (mut program, mut message) = (None, None);
    let mut scan = Scan::new(object);
    scan.take(b'{').ok()?;
    loop {
        scan.take(b'"').ok()?;
        let (key, _) = scan.text().ok()?;
        scan.take(b':').ok()?;
        let value = scan.value(0).ok()?;
        let words = match value {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Escaped(text) => Some(Cow::Owned(unescape(text))),
            _ => None,
        };
        match (key, words) {
            (b"message" | b"msg" | b"MESSAGE" | b"log" | b"@message", Some(words)) => message = Some(words),
            (b"host" | b"hostname" | b"HOSTNAME" | b"HOST" | b"_HOSTNAME", Some(words)) => {
                wrapped.host = Some(words);
            }
            (b"program" | b"programname" | b"PROGRAM" | b"appname" | b"app-name" | b"ident", Some(words))
            | (b"SYSLOG_IDENTIFIER", Some(words)) => program = Some(words),
            (b"__REALTIME_TIMESTAMP", Some(words)) => {
                let micros = std::str::from_utf8(&words).ok().and_then(|t| t.parse().ok());
                wrapped.stamp = micros.map(|t| Stamp::Moment(Micros(t))).or(wrapped.stamp);
            }
            (b"@timestamp" | b"timestamp" | b"time" | b"ISODATE" | b"DATE", Some(words)) => {
                let whole = Stamp::parse(&words).filter(|(_, len)| *len == words.len());
                wrapped.stamp = whole.map(|(stamp, _)| stamp).or(wrapped.stamp);
            }
            _ => {}
        }
        if !scan.more(b'}').ok()? {
            break;
        }
    }
    // a name that is not one of a firewall's loggers is a service's, as if it stood there with its number
    if let Some(program) = program.filter(|p| !p.is_empty()) {
        wrapped.line.extend_from_slice(&program);
        wrapped.line.extend_from_slice(b"[0]: ");
    }
    wrapped.line.extend_from_slice(&message?);
    Some(wrapped)
}

impl Wrapped<'_> {
    /// The firewall's line inside, if it is one, with the whole text as it came.
    pub(super) fn line<'a>(&'a self, text: &'a [u8]) -> Option<Line<'a>> {
        let mut line = Line::parse(&self.line)?;
        line.text = text;
        line.envelope.host = line.envelope.host.or(self.host.as_deref());
        line.envelope.stamp = line.envelope.stamp.or(self.stamp);
        Some(line)
    }
}
