//! Firewall events as Elastic keeps them: documents in the Elastic Common Schema, one JSON object a line.
//!
//! Of Filebeat's iptables module and of the integration that follows it; with names in objects or with dots in them, as
//! documents or as hits around them (`_source`, `fields`). Where the line of the kernel is still there
//! (`event.original`, `log.original`, `message`), it tells the packet, and the document its time and host: there is the
//! year, and the zone was applied. Else the document tells all that it has, and the rest of it is kept in `extra`, but
//! for what Elastic wrote about itself ([`IGNORED`]).
//!
//! A trap of its pipeline: the traffic class of IPv6 is decimal in the line and was read as hexadecimal; what may be
//! either is not believed.

mod event;
mod field;

use crate::Rows;
use crate::json::{Broken, MAX_DEPTH, MAX_RECORD, Scan, unescape};
use crate::text::{Origin, moment, name};
use crate::ulogd::{Piece, Pushed, Told, Value, What};
use crate::unread::unread;
use bartizan_decode::columns::Full;
use bartizan_decode::text::{Line, Stamp};
use bartizan_model::Micros;
use field::{Field, Fields};
use std::borrow::Cow;

/// Beginnings of names of what Elastic wrote about itself, and looked up: it is in no row.
pub const IGNORED: [&str; 26] = [
    "_id",
    "_index",
    "_score",
    "_type",
    "_version",
    "_ignored",
    "sort",
    "agent.",
    "beat.",
    "data_stream.",
    "destination.as.",
    "destination.geo.",
    "ecs.",
    "elastic_agent.",
    "event.",
    "fileset.",
    "host.",
    "input.",
    "log.",
    "observer.type",
    "related.",
    "service.",
    "source.as.",
    "source.geo.",
    "network.community_id",
    "tags",
];

/// Reads documents.
#[derive(Debug, Default)]
pub struct EcsReader {
    /// In the middle of something that was too long.
    skipping: bool,
}

impl EcsReader {
    /// Adds the document at the beginning of a text: as [`JsonReader::read`](crate::ulogd::JsonReader::read).
    ///
    /// # Errors
    /// When there is no room: take the rows, then read it again.
    pub fn read(
        &mut self,
        text: &[u8],
        last: bool,
        rows: &mut Rows,
        from: &Origin<'_>,
    ) -> Result<Piece, Full> {
        let line = memchr::memchr(b'\n', text).map(|at| at + 1);
        if self.skipping {
            self.skipping = line.is_none() && !last;
            return Ok(Piece { len: line.unwrap_or(text.len()), what: What::Nothing });
        }
        let blank = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blank > 0 || text.is_empty() {
            return Ok(Piece { len: blank, what: What::Nothing });
        }
        let mut fields = Fields::default();
        let mut scan = Scan::new(text);
        let why = match object(&mut scan, &mut String::new(), 0, &mut fields) {
            Ok(()) => {
                let len = scan.at();
                let what = push(&fields, &text[..len], rows, from)?;
                return Ok(Piece { len, what });
            }
            Err(Broken::Ends) if !last && text.len() < MAX_RECORD => {
                return Ok(Piece { len: 0, what: What::Nothing });
            }
            Err(Broken::Ends) if text.len() >= MAX_RECORD => "too long",
            Err(Broken::Ends) => "the end is missing",
            Err(Broken::Wrong) => "no JSON object",
            Err(Broken::Deep) => "objects in objects",
        };
        if line.is_none() && !last && text.len() < MAX_RECORD {
            return Ok(Piece { len: 0, what: What::Nothing });
        }
        let len = line.unwrap_or(text.len());
        unread(text[..len].trim_ascii_end(), why, rows, &told(from, from.naming.whose("")))?;
        self.skipping = line.is_none() && !last;
        Ok(Piece { len, what: What::Unparsed })
    }
}

fn told<'a>(from: &Origin<'a>, whose: crate::Whose<'a>) -> Told<'a> {
    Told { source: from.source, whose, received: from.unstamped, zone: from.zone }
}

/// Reads an object; `path` is the name of what it is in.
fn object<'a>(
    scan: &mut Scan<'a>,
    path: &mut String,
    depth: usize,
    fields: &mut Fields<'a>,
) -> Result<(), Broken> {
    if depth >= MAX_DEPTH {
        return Err(Broken::Deep);
    }
    scan.take(b'{')?;
    if scan.peek()? == b'}' {
        return scan.take(b'}');
    }
    loop {
        scan.take(b'"')?;
        let (name, escapes) = scan.text()?;
        let name = if escapes { Cow::Owned(unescape(name)) } else { Cow::Borrowed(name) };
        scan.take(b':')?;
        let outer = path.len();
        // hits are around documents, which are what is looked for
        if !(depth == 0 && matches!(&*name, b"_source" | b"fields")) {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(&String::from_utf8_lossy(&name));
        }
        value(scan, path, depth, fields)?;
        path.truncate(outer);
        if !scan.more(b'}')? {
            return Ok(());
        }
    }
}

/// Reads a value; of an array each.
fn value<'a>(
    scan: &mut Scan<'a>,
    path: &mut String,
    depth: usize,
    fields: &mut Fields<'a>,
) -> Result<(), Broken> {
    match scan.peek()? {
        b'{' => object(scan, path, depth + 1, fields),
        // what is not known is kept as it stands
        b'[' if depth < MAX_DEPTH && Fields::knows(path) => {
            scan.take(b'[')?;
            if scan.peek()? == b']' {
                return scan.take(b']');
            }
            loop {
                value(scan, path, depth + 1, fields)?;
                if !scan.more(b']')? {
                    return Ok(());
                }
            }
        }
        _ => {
            fields.add(path, scan.value(depth)?);
            Ok(())
        }
    }
}

/// The row of a document.
fn push(fields: &Fields<'_>, document: &[u8], rows: &mut Rows, from: &Origin<'_>) -> Result<What, Full> {
    let original = [Field::Original, Field::LogOriginal, Field::Message]
        .into_iter()
        .filter_map(|field| fields.text(field))
        .find(|text| Line::parse(text).is_some());
    let line = original.as_deref().and_then(Line::parse);
    let host = line.as_ref().and_then(|line| line.envelope.host).map(Cow::Borrowed);
    let named = fields.text(Field::Observer).or(host).or_else(|| {
        let hosts = [Field::ObserverHost, Field::HostName, Field::Host, Field::AgentHost, Field::Agent];
        hosts.into_iter().find_map(|field| fields.text(field))
    });
    let named = name(named.as_deref());
    let whose = from.naming.whose(&named);
    let stamp = line.as_ref().and_then(|line| line.envelope.stamp);
    let time = time(fields, from).or(stamp.map(|stamp| read(&stamp, from))).unwrap_or(from.unstamped);
    if let Some(line) = line {
        rows.line(&line, time, from.source, whose)?;
        let whole = line.problem.is_none();
        return Ok(if whole { What::Record(Pushed::Event) } else { What::Unparsed });
    }
    if !fields.is_packet() {
        let told = Told { received: time, ..told(from, whose) };
        unread(document, "no packet in it", rows, &told)?;
        return Ok(What::Unparsed);
    }
    event::push(fields, time, rows, from.source, whose)?;
    Ok(What::Record(Pushed::Event))
}

fn read(stamp: &Stamp, from: &Origin<'_>) -> Micros {
    match stamp {
        Stamp::Moment(moment) => *moment,
        Stamp::Local(local) => moment(local, from.zone, from.reference),
    }
}

/// `@timestamp`: RFC 3339, or milliseconds since 1970.
fn time(fields: &Fields<'_>, from: &Origin<'_>) -> Option<Micros> {
    match fields.get(Field::Time) {
        Value::Int(millis) => millis.checked_mul(1000).map(Micros),
        _ => {
            let text = fields.text(Field::Time)?;
            Stamp::parse(text.trim_ascii()).map(|(stamp, _)| read(&stamp, from))
        }
    }
}

#[cfg(test)]
mod tests;
