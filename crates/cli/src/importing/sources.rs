//! What is to be imported: files, a pipe, databases.

use crate::args::ImportArgs;
use crate::failure::Failure;
use bartizan_history::{FindError, Format, HostFrom, Limits, Opened, Options, Seen, Tz, expand};
use bartizan_intake::Source;
use bartizan_ulogdb::{Database, Place, Told, UlogdbError};
use std::sync::{Arc, Mutex};

/// A source, and whether it is a file.
pub(crate) struct Given {
    pub(crate) source: Box<dyn Source>,
    pub(crate) is_file: bool,
}

/// All sources of an import, in the order in which they are read.
pub(crate) struct Sources {
    pub(crate) given: Vec<Given>,
    /// Files that could not be opened, in words.
    pub(crate) unreadable: Vec<String>,
    /// Files with nothing in them.
    pub(crate) empty: Vec<String>,
    pub(crate) seen: Option<Arc<Mutex<Seen>>>,
    /// What was found in databases, in words.
    pub(crate) notes: Vec<String>,
}

pub(crate) fn open(args: &ImportArgs) -> Result<Sources, Failure> {
    let (urls, files): (Vec<_>, Vec<_>) = args.sources.iter().cloned().partition(|text| Place::is_url(text));
    let Opened { sources, unreadable, empty, seen } = open_files(args, files)?;
    let mut given: Vec<_> =
        sources.into_iter().map(|file| Given { source: Box::new(file) as _, is_file: true }).collect();
    let mut notes = Vec::new();
    for url in urls {
        given.extend(open_database(args, &url, &mut notes)?);
    }
    Ok(Sources { given, unreadable, empty, seen, notes })
}

fn open_files(args: &ImportArgs, files: Vec<String>) -> Result<Opened, Failure> {
    if files.is_empty() {
        return Ok(Opened::default());
    }
    let usage = |text: String| Failure::Usage(text);
    let format = match args.format.as_str() {
        "auto" => None,
        text => Some(text.parse::<Format>().map_err(usage)?),
    };
    let zone = match &args.zone {
        Some(text) => Tz::named(text).map_err(|e| usage(e.to_string()))?,
        None => Tz::system(),
    };
    let host_from = match args.host_from.as_deref() {
        None => HostFrom::Record,
        Some("file") => HostFrom::File,
        Some("folder") => HostFrom::Folder,
        Some(other) => return Err(usage(format!("--host-from is file or folder for files, not {other:?}"))),
    };
    if args.host.as_ref().is_some_and(|host| host.is_empty() || host.len() > 255) {
        return Err(usage("--host is the name of a host".to_owned()));
    }
    let options = Options {
        host: args.host.clone(),
        host_from,
        sender: args.sender.clone(),
        format,
        zone,
        year: args.year,
        keep_other: args.keep_other,
        limits: Limits { ratio: args.max_ratio.max(1), bytes: args.max_size.saturating_mul(1 << 30) },
        now: bartizan_clock::now(),
    };
    let (pipes, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file == "-");
    let found = expand(&files).map_err(|error| match error {
        FindError::Nothing(_) => Failure::NotFound(error.to_string()),
        FindError::Folder(_) | FindError::Pattern { .. } => Failure::Usage(error.to_string()),
    })?;
    let pipe = (!pipes.is_empty()).then(|| Box::new(std::io::stdin()) as _);
    Ok(bartizan_history::open(found, pipe, &options))
}

/// The tables of a database that can be imported; a dry run says what they are.
fn open_database(args: &ImportArgs, url: &str, notes: &mut Vec<String>) -> Result<Vec<Given>, Failure> {
    let told = Told {
        host: args.host.clone(),
        host_from: args.host_from.clone(),
        sender: args.sender.clone(),
        tables: args.table.clone(),
        name: args.name.clone(),
    };
    let failure = |error: UlogdbError| match error {
        UlogdbError::Place(_) | UlogdbError::Shape(_) => Failure::Usage(error.to_string()),
        error => Failure::Error(error.into()),
    };
    let place = Place::new(url, args.password_file.as_deref()).map_err(failure)?;
    let database = Database::open(&place, &told).map_err(failure)?;
    let mut given = Vec::new();
    for table in database.tables() {
        let source = database.source(table, &told).map_err(failure)?;
        if args.dry_run {
            let rows = database.glance(table).map_err(failure)?.rows;
            let (form, order) = (table.form().as_str(), table.order());
            notes.push(format!("{}: {form}, {rows} rows, read {order}", source.name()));
        }
        given.push(Given { source: Box::new(source), is_file: false });
    }
    if args.dry_run {
        let others: Vec<_> = database.others().iter().map(|(table, _)| table.as_str()).collect();
        if !others.is_empty() {
            notes.push(format!("{}: no records of ulogd in {}", database.shown(), others.join(", ")));
        }
    }
    Ok(given)
}
