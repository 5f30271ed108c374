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
use bartizan_decode::text::{Envelope, Local, Stamp};
use bartizan_history::years::{Scan, Years, first_year};
use bartizan_history::{Format as History, HostFrom, Limits, Options, Tz, Unpacked};
use bartizan_intake::text::{MAX_TEXT, Named, Origin, TextReader, What};
use bartizan_intake::{Read as Ended, Rows, Source as _, Tally};
use bartizan_model::{Kind, Micros};
use bartizan_prefix::Dialects;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Rows that are written at once at most.
const ROWS: usize = 8192;
/// Bytes by which a format is recognised, and how many are waited for.
const SAMPLE: usize = 64 << 10;
const SMALL_SAMPLE: usize = 64;
/// Bytes of a line in which its stamp is looked for.
const LONGEST_HEADER: usize = 256;

type Input = Box<dyn Read + Send>;

pub(crate) fn parse(args: ParseArgs, style: Style) -> Result<(), Failure> {
    let dialects = super::prefix::dialects(args.prefixes.as_deref())?;
    let mut parse = Parse {
        zone: match args.zone.as_deref() {
            Some(name) => Tz::named(name).map_err(|e| Failure::Usage(e.to_string()))?,
            None => Tz::system(),
        },
        year: args.year,
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
    year: Option<u16>,
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
            return self.read(|| Ok(Box::new(io::stdin())), "stdin", now, format);
        }
        let name = for_terminal(&path.display().to_string()).into_owned();
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(format!("there is no file {name}")),
            _ => Failure::Error(anyhow!(error).context(format!("cannot read {name}"))),
        };
        let about = std::fs::metadata(path).map_err(cannot)?;
        if about.is_dir() {
            return Err(Failure::Error(anyhow!("{name} is a folder: name its files, such as {name}/*.log")));
        }
        let written = about.modified().ok().and_then(|t| jiff::Timestamp::try_from(t).ok());
        let written = written.map_or_else(bartizan_clock::now, |t| Micros(t.as_microsecond()));
        let open = || -> Result<Input, Failure> { Ok(Box::new(File::open(path).map_err(cannot)?)) };
        if self.year.is_none() && about.is_file() {
            let year = first_year_of(open()?, written);
            return self.dated(year, |parse| parse.read(open, &name, written, format));
        }
        self.read(open, &name, written, format)
    }

    /// Does something while stamps have their years from a first one on.
    fn dated(
        &mut self,
        year: Option<u16>,
        work: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.year = year;
        let done = work(self);
        self.year = None;
        done
    }

    /// Reads a stream to its end, whatever is in it and however it is packed.
    fn read(
        &mut self,
        open: impl FnOnce() -> Result<Input, Failure>,
        name: &str,
        written: Micros,
        format: ParseFormat,
    ) -> Result<(), Failure> {
        let cannot = || format!("cannot read {name}");
        let mut content = Unpacked::new(open()?, Limits::default()).with_context(cannot)?;
        // one read and no more, so that a slow pipe is not waited for
        let mut head = vec![0; SAMPLE];
        let mut len = content.read(&mut head).with_context(cannot)?;
        while len < SMALL_SAMPLE {
            match content.read(&mut head[len..]).with_context(cannot)? {
                0 => break,
                more => len += more,
            }
        }
        head.truncate(len);
        let format = match format {
            ParseFormat::Auto => match History::of(&head) {
                Ok(format) => format,
                // what is no text may have lines all the same: they are counted, as any others
                Err(why) if why.starts_with("it is no text") => History::Syslog,
                Err(why) => return Err(Failure::Error(anyhow!("{name} cannot be read: {why}"))),
            },
            ParseFormat::Syslog => History::Syslog,
            ParseFormat::Journal => History::Journal,
            ParseFormat::UlogdJson => History::UlogdJson,
            ParseFormat::Ecs => History::Ecs,
            ParseFormat::Pcap => History::Pcap,
        };
        let content = io::Cursor::new(head).chain(content);
        match format {
            History::Syslog => self.lines(content, name, written),
            format => self.records(Box::new(content), name, format),
        }
    }

    /// Records of another format than lines.
    fn records(&mut self, content: Input, name: &str, format: History) -> Result<(), Failure> {
        let options = Options {
            host: Some(NOBODY.to_owned()),
            host_from: HostFrom::Record,
            sender: String::new(),
            format: Some(format),
            zone: self.zone.clone(),
            year: self.year,
            keep_other: false,
            limits: Limits::default(),
            now: bartizan_clock::now(),
        };
        let opened = bartizan_history::open(Vec::new(), Some(content), &options);
        if let Some(why) = opened.unreadable.first() {
            return Err(Failure::Error(anyhow!("{name}: {why}")));
        }
        let mut tally = Tally::default();
        for mut source in opened.sources {
            loop {
                let read = source.read(u64::MAX, &mut self.rows, &mut tally);
                write(&mut self.rows, &self.dialects, &mut self.buffer, &mut self.out)?;
                match read.with_context(|| format!("cannot read {name}"))? {
                    Ended::End(_) => break,
                    Ended::More(_) | Ended::Full(_) => self.out.flush()?,
                }
            }
        }
        self.counts.lines += tally.records;
        self.counts.events += tally.events + tally.flows + tally.counters;
        self.counts.unparsed += tally.unparsed;
        self.counts.other += tally.other + tally.skips();
        match tally.unreadable.first() {
            Some(why) => Err(Failure::Error(anyhow!("{name}: {why}"))),
            None => Ok(()),
        }
    }

    /// Lines of text.
    fn lines(&mut self, from: impl Read, name: &str, written: Micros) -> Result<(), Failure> {
        let naming = Named { host: NOBODY, sender: "", believed: true };
        let mut reader = TextReader::default();
        let mut lines = Lines::new(from, MAX_TEXT);
        let mut years = self.year.map(Years::starting);
        let mut reference = written;
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
            if let Some(years) = &mut years
                && let Some(Stamp::Local(local)) =
                    Envelope::parse(&line[..line.len().min(LONGEST_HEADER)]).0.stamp
                && local.year.is_none()
            {
                // any moment behind the day in its year, whatever the zone
                reference =
                    Micros(Local { micros: 0, ..local }.at(years.next(&local), 0).0 + 2 * Micros::DAY);
            }
            let origin = Origin {
                source: "file",
                naming: &naming,
                zone: &self.zone,
                reference,
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

/// The year of a file's first stamp without one, when its last line was written before a moment.
fn first_year_of(file: Input, written: Micros) -> Option<u16> {
    let mut lines = Lines::new(Unpacked::new(file, Limits::default()).ok()?, LONGEST_HEADER);
    let mut scan = Scan::default();
    let mut number = 0_u64;
    loop {
        match lines.next() {
            Piece::Line(line, _) => {
                scan.line(line);
                number += 1;
            }
            Piece::Wait => {
                // a file whose first lines all say their years is not read twice
                if number > 1000 && !scan.any() {
                    return None;
                }
                lines.fill().ok()?;
            }
            Piece::End => break,
        }
    }
    scan.finish().map(|span| first_year(&span, written))
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
