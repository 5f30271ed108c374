//! All files of an import: looked into, in order, with their years.

use crate::capture::Capture;
use crate::content::{Content, Line};
use crate::file::{FileSource, Looked, Reader, content_of};
use crate::find::Found;
use crate::format::{Format, SAMPLE};
use crate::records::{Journal, Json};
use crate::seen::Seen;
use crate::text::{Hosts, Text, TextParts};
use crate::unpack::{Limits, Unpacked};
use crate::years::{Scan, Span, first_year};
use crate::zone::Tz;
use bartizan_decode::text::Local;
use bartizan_intake::text::MAX_TEXT;
use bartizan_model::{Kind, Micros};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// How young a file is that may end in the middle of a line.
const LIVE: i64 = 60_000_000;

/// Whose the records are that a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostFrom {
    /// Of the host that the record names.
    #[default]
    Record,
    /// Of the host that the file is called after: `web-01.log.2.gz` is `web-01`'s.
    File,
    /// Of the host that the file's folder is called after.
    Folder,
}

/// How files are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// The host of records that name none.
    pub host: Option<String>,
    /// Where the host comes from.
    pub host_from: HostFrom,
    /// Who delivered the records; empty for nobody.
    pub sender: String,
    /// What is in the files; by their content, if left out.
    pub format: Option<Format>,
    /// The zone of stamps without one.
    pub zone: Tz,
    /// The year of the first stamp of each rotated set.
    pub year: Option<u16>,
    /// Whether lines of other services are kept.
    pub keep_other: bool,
    /// What unpacking may give.
    pub limits: Limits,
    /// The present.
    pub now: Micros,
}

/// Files that can be imported.
#[derive(Debug, Default)]
pub struct Opened {
    /// In the order in which they are to be read.
    pub sources: Vec<FileSource>,
    /// Files that nothing can be read of, with why.
    pub unreadable: Vec<String>,
    /// Files in which nothing is.
    pub empty: Vec<String>,
    /// Lines of all of them, if several may hold the same ones.
    pub seen: Option<Arc<Mutex<Seen>>>,
}

/// One file on its way to a source.
struct File {
    looked: Looked,
    found: Option<Found>,
    modified: Micros,
    span: Option<Span>,
    year: u16,
}

/// Looks into files; `pipe` is what `-` reads.
#[must_use]
pub fn open(found: Vec<Found>, pipe: Option<Box<dyn io::Read + Send>>, options: &Options) -> Opened {
    let mut opened = Opened::default();
    let mut files = Vec::new();
    for found in found {
        let name = found.path.display().to_string();
        match look(&found.path, options) {
            Ok(Some(looked)) => {
                let modified = modified(&found.path).unwrap_or(options.now);
                files.push(File { looked, found: Some(found), modified, span: None, year: 1970 });
            }
            Ok(None) => opened.empty.push(name),
            Err(why) => opened.unreadable.push(format!("{name} cannot be read: {why}")),
        }
    }
    if let Some(pipe) = pipe {
        match Unpacked::new(pipe, options.limits)
            .map_err(|e| e.to_string())
            .and_then(|unpacked| sample("-".into(), Content::new(unpacked, 0), options))
        {
            Ok(Some((mut looked, content))) => {
                looked.content = Some(content);
                files.push(File { looked, found: None, modified: options.now, span: None, year: 1970 });
            }
            Ok(None) => opened.empty.push("-".into()),
            Err(why) => opened.unreadable.push(format!("what comes through the pipe cannot be read: {why}")),
        }
    }
    years(&mut files, options);
    opened.seen = several_sets(&files).then(Arc::default);
    opened.sources = files.into_iter().map(|file| source(file, options, opened.seen.as_ref())).collect();
    if opened.seen.is_some() {
        // side by side in time, so that what was long ago can be forgotten
        opened.sources.sort_by_key(FileSource::first);
    }
    opened
}

fn modified(path: &Path) -> Option<Micros> {
    let since = fs::metadata(path).ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok().map(Micros)
}

fn look(path: &Path, options: &Options) -> Result<Option<Looked>, String> {
    let content = content_of(path, options.limits).map_err(|e| e.to_string())?;
    let Some((mut looked, _)) = sample(path.display().to_string(), content, options)? else {
        return Ok(None);
    };
    looked.path = Some(path.to_owned());
    looked.size = fs::metadata(path).ok().map(|m| m.len());
    Ok(Some(looked))
}

/// What the first bytes say; `None` if there are none.
fn sample(
    name: String,
    mut content: Content,
    options: &Options,
) -> Result<Option<(Looked, Content)>, String> {
    content.fill(SAMPLE);
    let head = &content.window()[..content.window().len().min(SAMPLE)];
    if head.is_empty() {
        return content.take_fault().map_or(Ok(None), |e| Err(e.to_string()));
    }
    let format = match options.format {
        Some(format) => format,
        None => Format::of(head).map_err(str::to_owned)?,
    };
    let head = head.to_vec();
    Ok(Some((Looked { name, path: None, content: None, format, head, size: None }, content)))
}

/// Finds the year of each file's first stamp, from the newest file of a set to the oldest.
fn years(files: &mut [File], options: &Options) {
    for file in files.iter_mut().filter(|f| f.looked.format == Format::Syslog) {
        file.span = match &file.looked.path {
            Some(path) => span(path, options.limits),
            None => head_span(&file.looked.head),
        };
    }
    let mut next: Option<usize> = None;
    for at in (0..files.len()).rev() {
        let Some(span) = files[at].span else { continue };
        let newer = next.filter(|n| same_set(&files[at], &files[*n]));
        let mut before = files[at].modified;
        if let Some((year, month, day)) = files[at].found.as_ref().and_then(Found::rotated_on) {
            before = before.min(Local { year: None, month, day, micros: 0 }.at(year, 0));
        }
        if let Some(newer) = newer
            && let Some(later) = files[newer].span
        {
            before = before.min(later.first.at(files[newer].year, 0));
        }
        files[at].year = first_year(&span, before);
        next = Some(at);
    }
    if let Some(year) = options.year {
        from_year(files, year);
    }
}

/// The years if the first stamp of each set is of this year.
fn from_year(files: &mut [File], year: u16) {
    let mut before: Option<(usize, Local, u16)> = None;
    for at in 0..files.len() {
        let Some(span) = files[at].span else { continue };
        files[at].year = match before.filter(|(n, ..)| same_set(&files[at], &files[*n])) {
            Some((_, last, year)) => {
                let mut years = crate::years::Years::starting(year);
                years.next(&last);
                years.next(&span.first)
            }
            None => year,
        };
        before = Some((at, span.last, files[at].year + span.years));
    }
}

fn same_set(a: &File, b: &File) -> bool {
    matches!((&a.found, &b.found), (Some(a), Some(b)) if a.same_set(b))
}

/// Whether there are files of lines of more than one set.
fn several_sets(files: &[File]) -> bool {
    let mut text = files.iter().filter(|f| f.looked.format == Format::Syslog);
    let Some(first) = text.next() else { return false };
    text.any(|file| !same_set(first, file))
}

/// The stamps of a file without year, if its first lines have such.
fn span(path: &Path, limits: Limits) -> Option<Span> {
    let mut content = content_of(path, limits).ok()?;
    content.fill(SAMPLE);
    let head = &content.window()[..content.window().len().min(SAMPLE)];
    head_span(head)?;
    let mut scan = Scan::default();
    loop {
        match content.line(MAX_TEXT) {
            Line::Whole(len) | Line::Unfinished(len) => {
                scan.line(&content.window()[..len]);
                content.consume(len);
            }
            Line::Long => content.skip_line(),
            Line::None => return scan.finish(),
        }
    }
}

fn head_span(head: &[u8]) -> Option<Span> {
    let mut scan = Scan::default();
    head.split_inclusive(|b| *b == b'\n').for_each(|line| scan.line(line));
    scan.finish()
}

fn source(file: File, options: &Options, seen: Option<&Arc<Mutex<Seen>>>) -> FileSource {
    let File { looked, found, modified, span, year } = file;
    let (host, believed) = match (options.host_from, &found) {
        (HostFrom::File, Some(found)) => (called_after(&found.path, true), false),
        (HostFrom::Folder, Some(found)) => (called_after(&found.path, false), false),
        _ => (None, true),
    };
    let host = host.or_else(|| options.host.clone()).unwrap_or_default();
    let hosts = Hosts::new(host, believed, options.sender.clone());
    let name = looked.name.clone();
    let first = span.map(|s| s.first.at(year, 0)).or_else(|| first_moment(&looked.head));
    let mut kinds = vec![Kind::Events];
    let reader: Box<dyn Reader> = match looked.format {
        Format::Pcap => Box::new(Capture::new(name, hosts)),
        Format::Journal => Box::new(Journal::new(name, hosts, options.keep_other)),
        Format::UlogdJson => Box::new(Json::ulogd(name, hosts, options.zone.clone(), modified)),
        Format::Ecs => Box::new(Json::ecs(name, hosts, options.zone.clone(), modified)),
        Format::Syslog => Box::new(Text::new(TextParts {
            name,
            hosts,
            zone: options.zone.clone(),
            first_year: year,
            unstamped: modified,
            other: options.keep_other,
            live: found.as_ref().is_some_and(Found::is_current) && options.now.0 - modified.0 < LIVE,
            seen: seen.map(Arc::clone),
        })),
    };
    if looked.format == Format::UlogdJson {
        kinds.extend([Kind::Flows, Kind::Counters]);
    }
    if options.keep_other && matches!(looked.format, Format::Syslog | Format::Journal) {
        kinds.push(Kind::Lines);
    }
    let mut source = FileSource::new(looked, options.limits, kinds, reader);
    source.set_first(first);
    source
}

/// The moment of the first line that has a whole stamp.
fn first_moment(head: &[u8]) -> Option<Micros> {
    use bartizan_decode::text::Stamp;
    head.split(|b| *b == b'\n').find_map(|line| match Stamp::parse(line)?.0 {
        Stamp::Moment(moment) => Some(moment),
        Stamp::Local(local) => local.year.map(|year| local.at(year, 0)),
    })
}

/// A host's name out of a file's.
fn called_after(path: &Path, file: bool) -> Option<String> {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = if file { whole.file_name() } else { whole.parent()?.file_name() }?;
    let name = name.to_str()?;
    if !file {
        return Some(name.to_owned());
    }
    let found = crate::find::stem(path)?;
    let host = found.strip_suffix(".log").unwrap_or(&found);
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests;
