//! Files of lines.

use crate::content::{Content, Line};
use crate::file::{PIECE, PIECE_BYTES, Reader};
use crate::seen::{Lines, Seen, looks};
use crate::years::{self, Years};
use crate::zone::Tz;
use bartizan_decode::text::{Local, Stamp};
use bartizan_intake::text::{MAX_TEXT, Naming, Origin, TextReader, What};
use bartizan_intake::{Read, Rows, SourceError, Tally, Whose};
use bartizan_model::Micros;
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

/// The word of the `source` column.
pub(crate) const FILE: &str = "file";
/// Why a line gives no row.
pub(crate) const ANOTHER_SERVICE: &str = "another service";
pub(crate) const EMPTY: &str = "empty";
pub(crate) const SAME_LINE: &str = "the same line in another file";
const BEING_WRITTEN: &str = "last line still being written";
const CUT: &str = "last line cut where reading ended";
const REST: &str = "rest of a line that was imported unfinished";

/// Whose lines are: of the host that they name, else of the one that was given.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// The host that was given; empty for none.
    pub(crate) host: String,
    /// Whether what a line says goes first.
    pub(crate) believed: bool,
    pub(crate) sender: String,
    missing: Cell<bool>,
}

impl Hosts {
    pub(crate) const fn new(host: String, believed: bool, sender: String) -> Self {
        Self { host, believed, sender, missing: Cell::new(false) }
    }

    /// Whether a record was asked for that is nobody's.
    pub(crate) fn take_missing(&self) -> bool {
        self.missing.take()
    }
}

impl Naming for Hosts {
    fn whose<'a>(&'a self, named: &'a str) -> Whose<'a> {
        let host = if named.is_empty() || !self.believed { self.host.as_str() } else { named };
        self.missing.set(self.missing.get() | host.is_empty());
        Whose { host: if host.is_empty() { "?" } else { host }, sender: &self.sender }
    }
}

/// Where the years of stamps come from that have none.
#[derive(Debug)]
struct Dates {
    first_year: u16,
    years: Years,
    /// The date of the line before as it is written, and the reference for the lines of that day.
    day: [u8; 6],
    reference: Micros,
}

impl Dates {
    const fn new(first_year: u16) -> Self {
        Self { first_year, years: Years::starting(first_year), day: [0; 6], reference: Micros(0) }
    }

    /// The reference that gives the line's stamp its year.
    fn reference(&mut self, line: &[u8]) -> Micros {
        if line.get(..6) == Some(&self.day) {
            return self.reference;
        }
        if let Some(local) = years::stamp(line) {
            let year = self.years.next(&local);
            // any moment of the year behind the day, whatever the zone
            self.reference = Micros(Local { micros: 0, ..local }.at(year, 0).0 + 2 * Micros::DAY);
            self.day = *line.first_chunk().unwrap_or(&[0; 6]);
        }
        self.reference
    }
}

/// Reads a file of lines.
#[derive(Debug)]
pub(crate) struct Text {
    name: String,
    hosts: Hosts,
    zone: Tz,
    dates: Dates,
    /// The time of lines without a stamp.
    unstamped: Micros,
    other: bool,
    /// Whether the last line may still get longer.
    live: bool,
    seen: Option<Arc<Mutex<Seen>>>,
    reader: TextReader,
    lines: Lines,
    /// Lines so far, for messages.
    number: u64,
    in_line: bool,
}

/// What a [`Text`] is made of.
#[derive(Debug)]
pub(crate) struct TextParts {
    pub(crate) name: String,
    pub(crate) hosts: Hosts,
    pub(crate) zone: Tz,
    pub(crate) first_year: u16,
    pub(crate) unstamped: Micros,
    pub(crate) other: bool,
    pub(crate) live: bool,
    pub(crate) seen: Option<Arc<Mutex<Seen>>>,
}

impl Text {
    pub(crate) fn new(parts: TextParts) -> Self {
        let TextParts { name, hosts, zone, first_year, unstamped, other, live, seen } = parts;
        Self {
            name,
            hosts,
            zone,
            dates: Dates::new(first_year),
            unstamped,
            other,
            live,
            seen,
            reader: TextReader::default(),
            lines: Lines::default(),
            number: 0,
            in_line: false,
        }
    }
}

fn day(line: &[u8], reference: Micros) -> i64 {
    match Stamp::parse(line) {
        Some((Stamp::Moment(moment), _)) => moment.0.div_euclid(Micros::DAY),
        Some((Stamp::Local(Local { year: Some(year), month, day, .. }), _)) => {
            Local { year: None, month, day, micros: 0 }.at(year, 0).0.div_euclid(Micros::DAY)
        }
        _ => reference.0.div_euclid(Micros::DAY) - 2,
    }
}

impl Reader for Text {
    fn restart(&mut self) {
        self.dates = Dates::new(self.dates.first_year);
        self.reader = TextReader::default();
        self.lines.restart();
        (self.number, self.in_line) = (0, false);
    }

    fn pass(&mut self, content: &mut Content, position: u64) -> bool {
        let mut last = Vec::new();
        while content.position() < position {
            let left = position - content.position();
            let len = match content.line(MAX_TEXT) {
                Line::None => return false,
                Line::Whole(len) | Line::Unfinished(len) => len,
                Line::Long => {
                    self.number += 1;
                    // a long line is stepped over as one
                    content.skip_line();
                    continue;
                }
            };
            self.number += 1;
            let line = &content.window()[..len];
            self.dates.reference(line);
            if let Some(seen) = &self.seen
                && looks(line)
            {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let day = day(line, self.dates.reference);
                self.lines.is_new(&mut seen, &self.hosts.host, day, line);
            }
            if len as u64 > left {
                self.in_line = true;
                return content.skip(left);
            }
            if len as u64 == left {
                last.extend_from_slice(line);
                self.in_line = !line.ends_with(b"\n");
            }
            content.consume(len);
        }
        // "last message repeated" may come next
        let mut nowhere = Rows::new(1);
        let origin = Origin {
            source: FILE,
            naming: &self.hosts,
            zone: &self.zone,
            reference: self.dates.reference,
            unstamped: self.unstamped,
            lines: false,
        };
        let _ = self.reader.read(&last, &origin, &mut nowhere);
        self.hosts.take_missing();
        content.position() == position
    }

    fn piece(
        &mut self,
        content: &mut Content,
        until: u64,
        rows: &mut Rows,
        tally: &mut Tally,
    ) -> Result<Read, SourceError> {
        let seen = self.seen.clone();
        let mut seen = seen.as_ref().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner));
        let Self { dates, hosts, reader, lines, number, .. } = self;
        let start = content.position();
        for _ in 0..PIECE {
            if content.position() >= until || content.position() - start > PIECE_BYTES {
                return Ok(Read::More(content.position()));
            }
            let (len, long) = match content.line(MAX_TEXT) {
                Line::Whole(len) => (len, false),
                Line::Long => (MAX_TEXT + 1, true),
                Line::Unfinished(_) if self.live && !self.in_line => {
                    tally.skip(BEING_WRITTEN);
                    return Ok(Read::End(content.position()));
                }
                // the rest of it may be there when the file is whole
                Line::Unfinished(_) if content.is_cut() => {
                    tally.skip(CUT);
                    return Ok(Read::End(content.position()));
                }
                Line::Unfinished(len) => (len, false),
                Line::None => return Ok(Read::End(content.position())),
            };
            let line = &content.window()[..len];
            if self.in_line {
                if !line.trim_ascii().is_empty() {
                    tally.skip(REST);
                }
                self.in_line = false;
                if long {
                    content.skip_line()
                } else {
                    content.consume(len)
                }
                continue;
            }
            let reference = dates.reference(line);
            if let Some(seen) = &mut seen
                && looks(line)
                && !lines.is_new(seen, &hosts.host, day(line, reference), line)
            {
                *number += 1;
                tally.skip(SAME_LINE);
                if long {
                    content.skip_line()
                } else {
                    content.consume(len)
                }
                continue;
            }
            let origin = Origin {
                source: FILE,
                naming: &*hosts,
                zone: &self.zone,
                reference,
                unstamped: self.unstamped,
                lines: self.other,
            };
            let Ok(read) = reader.read(line, &origin, rows) else {
                return Ok(Read::Full(content.position()));
            };
            *number += 1;
            match read.what {
                What::Event => (tally.records, tally.events) = (tally.records + 1, tally.events + 1),
                What::Unparsed => (tally.records, tally.unparsed) = (tally.records + 1, tally.unparsed + 1),
                What::Other if self.other => {
                    (tally.records, tally.other) = (tally.records + 1, tally.other + 1)
                }
                What::Other => tally.skip(ANOTHER_SERVICE),
                What::Empty => tally.skip(EMPTY),
            }
            // whose a line of another service is matters only if it is kept
            let row =
                matches!(read.what, What::Event | What::Unparsed) || (self.other && read.what == What::Other);
            if hosts.take_missing() && row {
                return Err(SourceError::NoHost { record: format!("line {number} of {}", self.name) });
            }
            if long { content.skip_line() } else { content.consume(len) }
        }
        Ok(Read::More(content.position()))
    }
}
