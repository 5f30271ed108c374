//! Files of records that say where they end: the journal's export, JSON.

use crate::content::{Content, Line};
use crate::file::{PIECE, Reader};
use crate::text::{ANOTHER_SERVICE, FILE, Hosts};
use crate::zone::Tz;
use bartizan_decode::columns::Full;
use bartizan_decode::text::Line as Logged;
use bartizan_decode::text::journal::{Entry, MAX_ENTRY, first};
use bartizan_intake::ecs::EcsReader;
use bartizan_intake::text::{Naming as _, Origin};
use bartizan_intake::ulogd::{JsonReader, Piece, Pushed, Told, What as Was};
use bartizan_intake::{Other, Read, Rows, SourceError, Tally};
use bartizan_model::Micros;
use std::borrow::Cow;

/// Words of the `source` column.
const ULOGD: &str = "ulogd";
const ECS: &str = "ecs";

/// Why an entry gives no row.
const NO_TIME: &str = "an entry without a time";
const TOO_LONG: &str = "an entry over 256 KiB";
const CUT: &str = "an entry that ends early";
const UNMOVED: &str = "a counter that did not move";

/// Reads the journal's export.
#[derive(Debug)]
pub(crate) struct Journal {
    name: String,
    hosts: Hosts,
    other: bool,
    /// In the middle of an entry that is too long.
    skipping: bool,
}

impl Journal {
    pub(crate) const fn new(name: String, hosts: Hosts, other: bool) -> Self {
        Self { name, hosts, other, skipping: false }
    }

    /// Adds the row of an entry; false if there is no room.
    fn entry(&self, entry: &Entry<'_>, rows: &mut Rows, tally: &mut Tally) -> bool {
        let [time, host, message, transport, priority, facility, program, comm] = entry.fields([
            "__REALTIME_TIMESTAMP",
            "_HOSTNAME",
            "MESSAGE",
            "_TRANSPORT",
            "PRIORITY",
            "SYSLOG_FACILITY",
            "SYSLOG_IDENTIFIER",
            "_COMM",
        ]);
        let Some(time) = time.and_then(Entry::micros) else {
            tally.skip(NO_TIME);
            return true;
        };
        let (host, message) = (readable(host), message.unwrap_or_default());
        let line =
            if transport == Some(b"kernel") { Logged::of_kernel(message) } else { Logged::parse(message) };
        if let Some(line) = line {
            if rows.line(&line, time, FILE, self.hosts.whose(&host)).is_err() {
                return false;
            }
            tally.records += 1;
            *(if line.problem.is_none() { &mut tally.events } else { &mut tally.unparsed }) += 1;
            return true;
        }
        if !self.other {
            tally.skip(ANOTHER_SERVICE);
            return true;
        }
        let number = |text: Option<&[u8]>| std::str::from_utf8(text?).ok()?.parse::<u16>().ok();
        let severity = number(priority).filter(|p| *p < 8);
        let other = Other {
            time,
            source: FILE,
            priority: severity.map(|s| number(facility).filter(|f| *f < 128).unwrap_or(1) * 8 + s),
            program: program.or(comm).unwrap_or_default(),
            text: message,
        };
        if rows.other(&other, self.hosts.whose(&host)).is_err() {
            return false;
        }
        (tally.records, tally.other) = (tally.records + 1, tally.other + 1);
        true
    }
}

fn readable(host: Option<&[u8]>) -> Cow<'_, str> {
    let host = host.unwrap_or_default();
    let host = String::from_utf8_lossy(&host[..host.len().min(255)]);
    if host.contains(char::is_control) { host.replace(char::is_control, "\u{fffd}").into() } else { host }
}

impl Reader for Journal {
    fn restart(&mut self) {
        self.skipping = false;
    }

    fn piece(
        &mut self,
        content: &mut Content,
        until: u64,
        rows: &mut Rows,
        tally: &mut Tally,
    ) -> Result<Read, SourceError> {
        for _ in 0..PIECE {
            if content.position() >= until {
                break;
            }
            let len = loop {
                if let Some((entry, len)) = first(content.window()) {
                    if !self.entry(&entry, rows, tally) {
                        return Ok(Read::Full(content.position()));
                    }
                    break Some(len);
                }
                if content.window().len() > MAX_ENTRY {
                    break None;
                }
                if !content.more() {
                    if !content.window().trim_ascii().is_empty() {
                        tally.skip(CUT);
                    }
                    content.consume(content.window().len());
                    return Ok(Read::End(content.position()));
                }
            };
            match len {
                Some(len) => content.consume(len),
                None => {
                    tally.skip(TOO_LONG);
                    skip_entry(content);
                }
            }
            if self.hosts.take_missing() {
                let record = format!("an entry of {} before byte {}", self.name, content.position());
                return Err(SourceError::NoHost { record });
            }
        }
        Ok(Read::More(content.position()))
    }
}

/// Steps over an entry whatever its length: fields up to the empty line.
fn skip_entry(content: &mut Content) {
    loop {
        let len = match content.line(MAX_ENTRY) {
            Line::None => return,
            Line::Whole(len) | Line::Unfinished(len) => len,
            // a text without an end in sight: `NAME=value`
            Line::Long => {
                content.skip_line();
                continue;
            }
        };
        let line = &content.window()[..len];
        let (empty, text) = (line == b"\n", memchr::memchr(b'=', line).is_some());
        content.consume(len);
        if empty {
            return;
        }
        if !text {
            content.fill(8);
            let Some(value) = content.window().first_chunk::<8>() else { return };
            let value = u64::from_le_bytes(*value);
            content.consume(8);
            if !content.skip(value.saturating_add(1)) {
                return;
            }
        }
    }
}

/// Reads JSON, an object behind the other.
#[derive(Debug)]
pub(crate) struct Json {
    name: String,
    hosts: Hosts,
    zone: Tz,
    /// The time of records without one.
    unstamped: Micros,
    kind: JsonKind,
}

#[derive(Debug)]
enum JsonKind {
    Ulogd(Box<JsonReader>),
    Ecs(EcsReader),
}

impl Json {
    pub(crate) fn ulogd(name: String, hosts: Hosts, zone: Tz, unstamped: Micros) -> Self {
        Self { name, hosts, zone, unstamped, kind: JsonKind::Ulogd(Box::default()) }
    }

    pub(crate) fn ecs(name: String, hosts: Hosts, zone: Tz, unstamped: Micros) -> Self {
        Self { name, hosts, zone, unstamped, kind: JsonKind::Ecs(EcsReader::default()) }
    }

    fn next(&mut self, text: &[u8], last: bool, rows: &mut Rows) -> Result<Piece, Full> {
        match &mut self.kind {
            JsonKind::Ulogd(reader) => {
                let whose = self.hosts.whose("");
                let told = Told { source: ULOGD, whose, received: self.unstamped, zone: &self.zone };
                reader.read(text, last, rows, &told)
            }
            JsonKind::Ecs(reader) => {
                let origin = Origin {
                    source: ECS,
                    naming: &self.hosts,
                    zone: &self.zone,
                    reference: self.unstamped,
                    unstamped: self.unstamped,
                    lines: false,
                };
                reader.read(text, last, rows, &origin)
            }
        }
    }
}

impl Reader for Json {
    fn restart(&mut self) {
        self.kind = match self.kind {
            JsonKind::Ulogd(_) => JsonKind::Ulogd(Box::default()),
            JsonKind::Ecs(_) => JsonKind::Ecs(EcsReader::default()),
        };
    }

    /// Reads what it steps over: what a counter grew by is known from what it showed before.
    fn pass(&mut self, content: &mut Content, position: u64) -> bool {
        let (mut rows, mut tally) = (Rows::new(PIECE * 2), Tally::default());
        while content.position() < position {
            let before = content.position();
            let read = self.piece(content, position, &mut rows, &mut tally);
            drop(rows.finish());
            if !matches!(read, Ok(Read::More(at) | Read::Full(at)) if at > before) {
                break;
            }
        }
        content.position() == position
    }

    fn piece(
        &mut self,
        content: &mut Content,
        until: u64,
        rows: &mut Rows,
        tally: &mut Tally,
    ) -> Result<Read, SourceError> {
        let mut records = 0;
        let mut last = false;
        while records < PIECE && content.position() < until {
            if content.window().is_empty() && !content.more() && content.window().is_empty() {
                return Ok(Read::End(content.position()));
            }
            let Ok(piece) = self.next(content.window(), last, rows) else {
                return Ok(Read::Full(content.position()));
            };
            if piece.len == 0 && !last {
                last = !content.more();
                continue;
            }
            let row = match piece.what {
                Was::Nothing => None,
                Was::Unparsed => Some(&mut tally.unparsed),
                Was::Record(Pushed::Event) => Some(&mut tally.events),
                Was::Record(Pushed::Flow) => Some(&mut tally.flows),
                Was::Record(Pushed::Counter) => Some(&mut tally.counters),
                Was::Record(Pushed::Unmoved) => {
                    tally.skip(UNMOVED);
                    None
                }
                Was::Record(Pushed::Nothing) => {
                    tally.skip(ANOTHER_SERVICE);
                    None
                }
            };
            let is_row = row.is_some();
            if let Some(row) = row {
                *row += 1;
                tally.records += 1;
            }
            records += usize::from(piece.what != Was::Nothing);
            content.consume(piece.len);
            if self.hosts.take_missing() && is_row {
                let record = format!("a record of {} before byte {}", self.name, content.position());
                return Err(SourceError::NoHost { record });
            }
        }
        Ok(Read::More(content.position()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unpack::{Limits, Unpacked};
    use bartizan_intake::Whose;
    use std::io::Cursor;

    fn content(bytes: Vec<u8>) -> Content {
        Content::new(Unpacked::new(Cursor::new(bytes), Limits::default()).unwrap(), 0)
    }

    #[test]
    fn entries_of_the_kernel_are_events_and_a_huge_one_is_stepped_over() {
        let kernel = "__CURSOR=a\n__REALTIME_TIMESTAMP=1700000000000000\n_HOSTNAME=gw\n_TRANSPORT=kernel\n\
                      MESSAGE=x IN=eth0 OUT= SRC=1.2.3.4 DST=5.6.7.8 LEN=40 TTL=1 PROTO=2\n\n";
        let sshd = "__REALTIME_TIMESTAMP=1700000000000001\n_HOSTNAME=gw\nPRIORITY=6\nSYSLOG_FACILITY=10\n\
                    SYSLOG_IDENTIFIER=sshd\nMESSAGE=hello\n\n";
        let mut huge = b"__REALTIME_TIMESTAMP=1\nCOREDUMP\n".to_vec();
        huge.extend_from_slice(&(600_000_u64).to_le_bytes());
        huge.extend(vec![b'\n'; 600_000]);
        huge.extend_from_slice(b"\nMESSAGE=");
        huge.extend(vec![b'm'; 400_000]);
        huge.extend_from_slice(b"\n\n");
        let bytes = [kernel.as_bytes(), &huge, sshd.as_bytes(), kernel.as_bytes(), b"__CURSOR=cut"].concat();
        for (other, kept) in [(false, 0), (true, 1)] {
            let hosts = Hosts::new(String::new(), true, String::new());
            let mut reader = Journal::new("j".into(), hosts, other);
            let (mut content, mut rows, mut tally) =
                (content(bytes.clone()), Rows::new(100), Tally::default());
            let read = reader.piece(&mut content, u64::MAX, &mut rows, &mut tally).unwrap();
            assert_eq!(read, Read::End(bytes.len() as u64));
            assert_eq!((tally.events, tally.other, tally.records, tally.adds_up()), (2, kept, 5, true));
            assert_eq!(tally.skipped.get(TOO_LONG), Some(&1));
            assert_eq!(tally.skipped.get(CUT), Some(&1));
            assert_eq!(rows.len() as u64, 2 + kept);
        }
    }

    #[test]
    fn objects_of_ulogd_are_rows_from_any_position_on() {
        let packet = r#"{"timestamp":"2026-11-23T05:00:43.684529","dvc":"Netfilter","oob.prefix":"x ","oob.hook":1,"oob.family":2,"ip.protocol":17,"src_ip":"10.0.0.1","dest_ip":"10.0.0.2","src_port":1,"dest_port":2}"#;
        let sum = |n: u32| {
            format!(
                r#"{{"timestamp":"2026-11-23T05:00:43","sum.name":"http","sum.pkts":{n},"sum.bytes":{n}}}"#
            )
        };
        let bytes = format!("{packet}\n{}\n{}\n{}no object\n{packet}", sum(5), sum(5), sum(9)).into_bytes();
        let json =
            || Json::ulogd("j".into(), Hosts::new("gw".into(), true, String::new()), Tz::utc(), Micros(0));
        let read = |reader: &mut Json, content: &mut Content| {
            let (mut rows, mut tally) = (Rows::new(100), Tally::default());
            let end = reader.piece(content, u64::MAX, &mut rows, &mut tally).unwrap();
            assert!(tally.adds_up() && end == Read::End(bytes.len() as u64), "{tally:?} {end:?}");
            (rows.len() as u64, tally)
        };
        let (rows, tally) = read(&mut json(), &mut content(bytes.clone()));
        assert_eq!((tally.events, tally.counters, tally.unparsed, rows), (2, 3, 1, 6));
        // behind the first two records
        let at = packet.len() + sum(5).len() + 1;
        let (mut reader, mut content) = (json(), content(bytes.clone()));
        assert!(reader.pass(&mut content, at as u64));
        let (_, tally) = read(&mut reader, &mut content);
        assert_eq!((tally.events, tally.counters, tally.unparsed), (1, 2, 1));
    }

    #[test]
    fn an_entry_without_a_host_is_an_error() {
        let bytes = b"__REALTIME_TIMESTAMP=1\n_TRANSPORT=kernel\nMESSAGE=IN=eth0 OUT= SRC=1.2.3.4 DST=5.6.7.8 PROTO=2\n\n";
        let read = |host: &str| {
            let hosts = Hosts::new(host.into(), true, String::new());
            let mut rows = Rows::new(9);
            Journal::new("j".into(), hosts, false).piece(
                &mut content(bytes.to_vec()),
                u64::MAX,
                &mut rows,
                &mut Tally::default(),
            )
        };
        assert!(matches!(read(""), Err(SourceError::NoHost { .. })));
        assert!(read("gw").is_ok());
        let hosts = Hosts::new("x".into(), false, "me".into());
        assert_eq!(hosts.whose("named"), Whose { host: "x", sender: "me" });
    }
}
