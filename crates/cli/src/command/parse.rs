//! `bartizan parse`: what an import would make of files, without a server.
//!
//! Streams: one piece of a file is read, written and forgotten before the next. What is printed is printed as soon
//! as what it is of was read, so that it can stand in a pipe behind `tail -f`.

use crate::args::{ParseArgs, ParseFormat, ParseOutput};
use crate::columns::{Column, Look};
use crate::escape::{for_terminal, json_lines_for_terminal};
use crate::failure::{Failure, talk};
use crate::lines::{Lines, Piece};
use crate::render::{Format, Rows as Table, Style};
use crate::told::{EVENT, NOBODY, UNKNOWN, json_lines};
use anyhow::{Context as _, anyhow};
use bartizan_intake::Rows;
use bartizan_intake::text::{MAX_TEXT, Named, Origin, TextReader, What, Zone};
use bartizan_model::{Kind, Micros};
use bartizan_prefix::Dialects;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Rows that are written at once at most.
const ROWS: usize = 8192;

pub(crate) fn parse(args: ParseArgs, style: Style) -> Result<(), Failure> {
    let dialects = super::prefix::dialects(args.prefixes.as_deref())?;
    let mut parse = Parse {
        zone: zone(args.zone.as_deref())?,
        dialects,
        rows: Rows::new(ROWS),
        out: Out::new(args.output, style),
        counts: Counts::default(),
        buffer: Vec::new(),
    };
    let stdin = [Path::new("-").to_owned()];
    let files = if args.files.is_empty() { &stdin } else { args.files.as_slice() };
    let mut first = None;
    for path in files {
        match parse.file(path, args.format) {
            Ok(()) => {}
            Err(Failure::ClosedPipe) => return Err(Failure::ClosedPipe),
            Err(failure) => {
                // the others are read all the same; the first failure is what the command ends with
                if let Some(before) = first.replace(failure) {
                    if let Some(failure) = &first {
                        failure.print(style.colour_stderr);
                    }
                    first = Some(before);
                }
            }
        }
    }
    parse.out.finish()?;
    if !args.quiet {
        talk(&parse.counts.summary());
    }
    first.map_or(Ok(()), Err)
}

struct Parse {
    zone: Tz,
    dialects: Dialects,
    rows: Rows,
    out: Out,
    counts: Counts,
    buffer: Vec<u8>,
}

/// Each record is in exactly one of the last three.
#[derive(Debug, Default)]
struct Counts {
    lines: u64,
    events: u64,
    unparsed: u64,
    other: u64,
    cut: u64,
}

impl Counts {
    fn summary(&self) -> String {
        let Self { lines, events, unparsed, other, cut } = self;
        let cut = if *cut == 0 { String::new() } else { format!(" ({cut} lines were too long and cut)") };
        format!("{lines} lines: {events} events, {unparsed} unparsed, {other} other{cut}")
    }
}

impl Parse {
    fn file(&mut self, path: &Path, format: ParseFormat) -> Result<(), Failure> {
        if path == Path::new("-") {
            let now = bartizan_clock::now();
            return self.read(io::stdin().lock(), "stdin", now, format);
        }
        let name = for_terminal(&path.display().to_string()).into_owned();
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(format!("there is no file {name}")),
            _ => Failure::Error(anyhow!(error).context(format!("cannot read {name}"))),
        };
        let file = File::open(path).map_err(cannot)?;
        let about = file.metadata().map_err(cannot)?;
        if about.is_dir() {
            return Err(Failure::Error(anyhow!("{name} is a folder: name its files, such as {name}/*.log")));
        }
        let written = about.modified().ok().and_then(|t| jiff::Timestamp::try_from(t).ok());
        let written = written.map_or_else(bartizan_clock::now, |t| Micros(t.as_microsecond()));
        self.read(file, &name, written, format)
    }

    /// Reads a stream to its end, whatever is in it.
    fn read(
        &mut self,
        from: impl Read,
        name: &str,
        written: Micros,
        format: ParseFormat,
    ) -> Result<(), Failure> {
        match format {
            ParseFormat::Auto | ParseFormat::Syslog => self.lines(from, name, written),
            other => Err(Failure::Usage(format!("{name}: format {other:?} cannot be read"))),
        }
    }

    /// Lines of text.
    fn lines(&mut self, from: impl Read, name: &str, written: Micros) -> Result<(), Failure> {
        let naming = Named { host: NOBODY, sender: "", believed: true };
        let mut reader = TextReader::default();
        let mut lines = Lines::new(from, MAX_TEXT);
        loop {
            let (line, long) = match lines.next() {
                Piece::Line(line, long) => (line, long),
                Piece::Wait => {
                    write(&mut self.rows, &self.dialects, &mut self.buffer, &mut self.out)?;
                    self.out.flush()?;
                    lines.fill().with_context(|| format!("cannot read {name}"))?;
                    continue;
                }
                Piece::End => break,
            };
            let origin = Origin {
                source: "file",
                naming: &naming,
                zone: &self.zone,
                reference: written,
                unstamped: UNKNOWN,
                lines: false,
            };
            let read = match reader.read(line, &origin, &mut self.rows) {
                Ok(read) => read,
                Err(_) => {
                    write(&mut self.rows, &self.dialects, &mut self.buffer, &mut self.out)?;
                    let full = |_| Failure::Error(anyhow!("there is no room for a row"));
                    reader.read(line, &origin, &mut self.rows).map_err(full)?
                }
            };
            self.counts.lines += 1;
            self.counts.cut += u64::from(read.cut || long);
            match read.what {
                What::Event => self.counts.events += 1,
                What::Unparsed => self.counts.unparsed += 1,
                What::Other | What::Empty => self.counts.other += 1,
            }
        }
        write(&mut self.rows, &self.dialects, &mut self.buffer, &mut self.out)
    }
}

/// Writes the rows so far.
fn write(rows: &mut Rows, dialects: &Dialects, buffer: &mut Vec<u8>, out: &mut Out) -> Result<(), Failure> {
    for (kind, batch) in rows.finish() {
        buffer.clear();
        json_lines(kind, &batch, dialects, buffer)?;
        out.rows(kind, buffer)?;
    }
    Ok(())
}

/// A time zone by its name or its offset; this machine's without one.
fn zone(name: Option<&str>) -> Result<Tz, Failure> {
    let Some(name) = name else { return Ok(Tz(TimeZone::system())) };
    let offset = || {
        let sign = if name.starts_with('-') { -1 } else { 1 };
        let digits: String = name.strip_prefix(['+', '-'])?.chars().filter(|c| *c != ':').collect();
        let number = digits.parse::<i32>().ok().filter(|_| matches!(digits.len(), 2 | 4))?;
        let (hours, minutes) = if digits.len() == 4 { (number / 100, number % 100) } else { (number, 0) };
        jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(TimeZone::fixed)
    };
    let zone = TimeZone::get(name).ok().or_else(offset);
    zone.map(Tz)
        .ok_or_else(|| Failure::Usage(format!("{name:?} is no time zone: write Europe/Berlin, UTC, +01:00")))
}

struct Tz(TimeZone);

impl Zone for Tz {
    fn offset(&self, shown: i64) -> i32 {
        let shown = jiff::Timestamp::from_second(shown).map(|t| jiff::tz::Offset::UTC.to_datetime(t));
        let moment = shown.ok().and_then(|at| self.0.to_ambiguous_timestamp(at).compatible().ok());
        moment.map_or(0, |moment| self.0.to_offset(moment).seconds())
    }
}

/// Where rows are written.
enum Out {
    Ndjson(io::BufWriter<io::Stdout>),
    Csv(Box<Table<io::BufWriter<io::Stdout>>>),
}

impl Out {
    fn new(output: ParseOutput, style: Style) -> Self {
        let out = io::BufWriter::with_capacity(1 << 16, io::stdout());
        let look = |name: &str, key: &str| match name {
            "in_if" | "out_if" => Look::Text,
            name => Column { name: key.into(), ..Column::of(Kind::Events, name) }.look,
        };
        let column = |(name, key): &(&str, &str)| Column { name: (*key).into(), look: look(name, key) };
        match output {
            ParseOutput::Ndjson => Self::Ndjson(out),
            ParseOutput::Csv => {
                let columns = EVENT.iter().map(column).collect();
                Self::Csv(Box::new(Table::new(Format::Csv, columns, style, TimeZone::UTC, out)))
            }
        }
    }

    fn rows(&mut self, kind: Kind, lines: &[u8]) -> Result<(), Failure> {
        let text = std::str::from_utf8(lines).context("rows are JSON")?;
        match self {
            Self::Ndjson(out) => Ok(out.write_all(json_lines_for_terminal(text).as_bytes())?),
            Self::Csv(table) if kind == Kind::Events => {
                text.lines().try_for_each(|line| table.line(line))?;
                Ok(())
            }
            Self::Csv(_) => Err(Failure::Usage(format!("{kind} are written as ndjson only"))),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Ndjson(out) => Ok(out.flush()?),
            Self::Csv(table) => Ok(table.flush()?),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Ndjson(mut out) => Ok(out.flush()?),
            Self::Csv(table) => Ok((*table).finish()?),
        }
    }
}
