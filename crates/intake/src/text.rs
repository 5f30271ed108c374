//! Lines of text to rows: firewall lines become events, others are given back or kept as lines.
//!
//! [`TextReader`] is one sender's (a connection, an address, a file): it knows the sender's last firewall line, for
//! which `last message repeated 3 times` stands.
//!
//! Invariants:
//! - Every line gives exactly one of [`What`]; an event that did not fully parse is a row too, with `raw`.
//! - Memory is bounded by [`MAX_TEXT`]: a longer line is cut there, read as far as it goes, and said to be cut.
//! - A row's time is what the line says. RFC 3164 stamps have neither year nor zone: the zone is given
//!   ([`Zone`]), and the year is the one that puts the stamp nearest to the reference moment, but not more than
//!   [`AHEAD`] behind it. A line without a stamp has the time that is given for such lines.

mod wrapped;

use crate::rows::{Other, Rows};
use crate::whose::Whose;
use bartizan_decode::columns::Full;
use bartizan_decode::text::{Line, Local, Message, Stamp};
use bartizan_model::Micros;
use std::borrow::Cow;

/// Bytes of a line that are looked at. The kernel writes under 1 KiB, a batch of rows keeps 64 KiB of it in `raw`.
pub const MAX_TEXT: usize = 64 << 10;
/// How far a stamp without a year may be behind the reference: clocks and zones differ.
pub const AHEAD: i64 = Micros::DAY;
/// Bytes of a line that is remembered; the memory that a sender costs.
const MAX_REMEMBERED: usize = 4 << 10;
/// Bytes of a host's name that are kept; DNS allows 253.
const MAX_HOST: usize = 255;

/// The zone of clocks that do not say theirs.
pub trait Zone {
    /// How many seconds such a clock was ahead of UTC when it showed so many seconds since 1970.
    fn offset(&self, shown: i64) -> i32;
}

/// So many seconds ahead of UTC, all year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed(pub i32);

impl Zone for Fixed {
    fn offset(&self, _: i64) -> i32 {
        self.0
    }
}

/// Whose the lines of a sender are.
pub trait Naming {
    /// Whose a line is that names this host; empty where it names none.
    fn whose<'a>(&'a self, named: &'a str) -> Whose<'a>;

    /// Whether a name that a line gave, which is not the host's, is to be kept in `extra`.
    fn keeps(&self, named: &str) -> bool {
        let _ = named;
        false
    }

    /// A stamp after this cannot be true: the row has the time of lines without a stamp, and the stamp in `extra`.
    fn latest(&self) -> Micros {
        Micros(i64::MAX)
    }
}

/// The host is who the line says, where it says it and is believed.
#[derive(Clone, Copy, Debug)]
pub struct Named<'n> {
    /// The host of lines that name none, and of all lines if they are not believed.
    pub host: &'n str,
    /// Who delivers them, where that is told apart; empty for nobody.
    pub sender: &'n str,
    /// Whether lines are believed.
    pub believed: bool,
}

impl Naming for Named<'_> {
    fn whose<'a>(&'a self, named: &'a str) -> Whose<'a> {
        let host = if self.believed && !named.is_empty() { named } else { self.host };
        Whose { host, sender: self.sender }
    }
}

/// Where lines come from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// A word of the `source` column.
    pub source: &'static str,
    /// Whose they are.
    pub naming: &'a dyn Naming,
    /// The zone of stamps without one.
    pub zone: &'a dyn Zone,
    /// By which the year of stamps without one is found: when the line came, or the file was last written.
    pub reference: Micros,
    /// The time of lines without a stamp.
    pub unstamped: Micros,
    /// Whether lines of other services become rows of `lines`.
    pub lines: bool,
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A firewall's, understood.
    Event,
    /// A firewall's, not fully understood: a row with `raw`.
    Unparsed,
    /// Another service's.
    Other,
    /// Nothing stood in it.
    Empty,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it was.
    pub what: What,
    /// It was longer than [`MAX_TEXT`].
    pub cut: bool,
}

/// Reads the lines of one sender.
#[derive(Debug, Default)]
pub struct TextReader {
    /// The last line, if it was a firewall's; for repetitions.
    last: Vec<u8>,
}

impl TextReader {
    /// Takes one line, with or without its end, and adds the row that it makes, if any.
    ///
    /// # Errors
    /// When there is no room in the rows, or those so far have another source: take them first, then give the line
    /// again.
    #[inline]
    pub fn read(&mut self, text: &[u8], from: &Origin<'_>, rows: &mut Rows) -> Result<Read, Full> {
        let cut = text.len() > MAX_TEXT;
        let text = &text[..text.len().min(MAX_TEXT)];
        if wrapped::begins(text)
            && let Some(what) = self.wrapped(text, from, rows)?
        {
            return Ok(Read { what, cut });
        }
        let what = match Line::parse(text) {
            Some(line) => {
                if line.problem.is_some()
                    && let Some(what) = self.wrapped(text, from, rows)?
                {
                    return Ok(Read { what, cut });
                }
                let what = push(&line, line.envelope.stamp, from, rows)?;
                self.last.clear();
                if text.len() <= MAX_REMEMBERED {
                    self.last.extend_from_slice(text);
                }
                what
            }
            None => self.other(text, from, rows)?,
        };
        Ok(Read { what, cut })
    }

    /// A firewall's line inside of a JSON object.
    #[cold]
    fn wrapped(&mut self, text: &[u8], from: &Origin<'_>, rows: &mut Rows) -> Result<Option<What>, Full> {
        let Some(wrapped) = wrapped::unwrap(text) else { return Ok(None) };
        let Some(line) = wrapped.line(text) else { return self.other(text, from, rows).map(Some) };
        let what = push(&line, line.envelope.stamp, from, rows)?;
        self.last.clear();
        Ok(Some(what))
    }

    /// A line that is no firewall's, unless it stands for one.
    #[cold]
    fn other(&mut self, text: &[u8], from: &Origin<'_>, rows: &mut Rows) -> Result<What, Full> {
        if text.trim_ascii().is_empty() {
            return Ok(What::Empty);
        }
        let message = Message::parse(text);
        if let Some(more) = message.repeats()
            && let Some(mut line) = Line::parse(&self.last)
            && more > 0
            && (message.envelope.host.is_none() || message.envelope.host == line.envelope.host)
        {
            line.envelope.repeated = more;
            let stamp = message.envelope.stamp.or(line.envelope.stamp);
            return push(&line, stamp, from, rows);
        }
        let named = name(message.envelope.host);
        let whose = from.naming.whose(&named);
        if from.lines {
            let other = Other {
                time: time(message.envelope.stamp, from).0,
                source: from.source,
                priority: message.envelope.priority,
                program: message.program,
                text: message.text,
            };
            rows.other(&other, whose)?;
        }
        self.last.clear();
        Ok(What::Other)
    }
}

#[inline]
fn push(line: &Line<'_>, stamp: Option<Stamp>, from: &Origin<'_>, rows: &mut Rows) -> Result<What, Full> {
    let named = name(line.envelope.host);
    let whose = from.naming.whose(&named);
    let (time, strange) = time(stamp, from);
    if strange.is_none() && !from.naming.keeps(&named) {
        rows.line(line, time, from.source, whose)?;
    } else {
        noted(line, time, strange, &named, from, whose, rows)?;
    }
    Ok(if line.problem.is_none() { What::Event } else { What::Unparsed })
}

/// A row with what was not believed in `extra`.
#[cold]
fn noted(
    line: &Line<'_>,
    time: Micros,
    strange: Option<Micros>,
    named: &str,
    from: &Origin<'_>,
    whose: Whose<'_>,
    rows: &mut Rows,
) -> Result<(), Full> {
    let stamp = strange.map(|stamp| stamp.0.to_string());
    let mut notes: Vec<(&[u8], &[u8])> = Vec::with_capacity(2);
    if from.naming.keeps(named) {
        notes.push((b"named", named.as_bytes()));
    }
    if let Some(stamp) = &stamp {
        notes.push((b"stamp", stamp.as_bytes()));
    }
    let mut line = line.clone();
    line.notes = &notes;
    rows.line(&line, time, from.source, whose)
}

/// A host's name as a line has it; whatever a terminal or a table could trip over is replaced.
pub(crate) fn name(host: Option<&[u8]>) -> Cow<'_, str> {
    let Some(host) = host else { return Cow::Borrowed("") };
    let host = &host[..host.len().min(MAX_HOST)];
    match std::str::from_utf8(host) {
        Ok(name) if !name.contains(char::is_control) => Cow::Borrowed(name),
        _ => String::from_utf8_lossy(host).replace(char::is_control, "\u{fffd}").into(),
    }
}

/// The time of a row, and the stamp that is not believed, if it is not.
#[inline]
fn time(stamp: Option<Stamp>, from: &Origin<'_>) -> (Micros, Option<Micros>) {
    let stamp = match stamp {
        Some(Stamp::Moment(moment)) => moment,
        Some(Stamp::Local(local)) => moment(&local, from.zone, from.reference),
        None => return (from.unstamped, None),
    };
    if stamp > from.naming.latest() { (from.unstamped, Some(stamp)) } else { (stamp, None) }
}

/// The moment of a stamp without zone, and mostly without year.
#[must_use]
pub fn moment(local: &Local, zone: &dyn Zone, reference: Micros) -> Micros {
    let at = |year: u16| {
        let shown = local.at(year, 0).0.div_euclid(1_000_000);
        local.at(year, zone.offset(shown))
    };
    if let Some(year) = local.year {
        return at(year);
    }
    let year = year_of(Micros(reference.0.saturating_add(AHEAD)));
    // the last one that is not too late; 29 February is only in some years
    let latest = (0..=8)
        .map(|back| year.saturating_sub(back))
        .find(|year| exists(local, *year) && at(*year).0 <= reference.0.saturating_add(AHEAD));
    at(latest.unwrap_or(year))
}

fn exists(local: &Local, year: u16) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    leap || (local.month, local.day) != (2, 29)
}

/// The year in which a moment is, UTC.
fn year_of(moment: Micros) -> u16 {
    let days = moment.0.div_euclid(Micros::DAY);
    let guess = 1970 + days.div_euclid(366);
    let mut year = u16::try_from(guess.clamp(0, 9998)).unwrap_or_default();
    let first = |year| Local { year: None, month: 1, day: 1, micros: 0 }.at(year, 0);
    while year < 9999 && first(year + 1) <= moment {
        year += 1;
    }
    year
}

#[cfg(test)]
mod tests;
