//! `bartizan import`: sources are opened here, read by this thread, and delivered by another one ([`deliver`]).
//!
//! Invariants:
//! - Every record that was read is counted: rows, unparsed, skipped by reason. If that does not add up, the command
//!   says so and fails.
//! - What was delivered is kept until the server has committed it, within [`deliver::KEPT`]; so a server that dies is
//!   no reason to read anything again.
//! - A batch ends at every position that some table has reached already; so no row is sent to a table twice.

mod deliver;
mod dry;
mod progress;
mod sources;
mod summary;

use crate::args::{ConnectionArgs, ImportArgs};
use crate::client::Client;
use crate::connection::Connection;
use crate::failure::{Failure, talk};
use crate::render::Style;
use anyhow::anyhow;
use bartizan_intake::{Read, Rows, Source, SourceError};
use bartizan_model::Kind;
use bartizan_wire::Encoder;
use bytes::Bytes;
use deliver::{Batch, Delivery, Opened};
use progress::Bar;
use sources::{Given, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use summary::{One, Summary};

/// Rows of a batch. Equal rows pack so well that the server would take a bigger batch for a bomb.
const BATCH: usize = 32 << 10;
/// Rows that a piece may add.
const PIECE: usize = 16 << 10;
/// Bytes of a source that one batch is made of, and if much of it is kept as it stands.
const BATCH_BYTES: (u64, u64) = (8 << 20, 2 << 20);

pub(crate) fn import(connection: &ConnectionArgs, args: ImportArgs, style: Style) -> Result<(), Failure> {
    let (sources, output, quiet, dry) = (sources::open(&args)?, args.output, args.quiet, args.dry_run);
    let mut summary = Summary::new(&sources);
    let bar = Bar::new(&sources.given, quiet);
    let done = if dry {
        dry::run(sources, &mut summary, &bar, output)
    } else {
        let client = Client::new(Connection::find(connection)?)?;
        run(sources, client, &mut summary, &bar)
    };
    bar.finish();
    done?;
    if !summary.adds_up() {
        return Err(Failure::Error(anyhow!(
            "the numbers do not add up, which is a fault of this program: {summary:?}"
        )));
    }
    if !quiet || !summary.is_whole() {
        talk(&summary.text(dry, style));
    }
    if output == crate::args::ImportOutput::Json {
        writeln!(std::io::stdout(), "{}", summary.json())?;
    }
    if summary.is_whole() { Ok(()) } else { Err(Failure::Partial("something could not be read".to_owned())) }
}

/// A source on its way.
struct Going {
    given: Given,
    opened: Opened,
    /// Up to where each table has it, or will when all is delivered.
    reached: BTreeMap<Kind, u64>,
    one: One,
}

fn run(sources: Sources, client: Client, summary: &mut Summary, bar: &Bar) -> Result<(), Failure> {
    let delivery = Delivery::start(client)?;
    let together = sources.seen.is_some();
    let mut waiting = Vec::new();
    for given in sources.given {
        let Some(going) = stopped(&delivery, begin(&delivery, given, summary))? else { continue };
        if together {
            waiting.push(going);
        } else {
            stopped(&delivery, go(&delivery, going, summary, bar))?;
        }
    }
    // lines that were imported before are known by now, whichever file they were in
    let mut delivered = BTreeSet::new();
    for mut going in waiting {
        // a copy of a file that was read meanwhile goes on where that one ended
        if delivered.contains(&going.opened.import) {
            let Some(again) = stopped(&delivery, begin(&delivery, going.given, summary))? else { continue };
            going = again;
        }
        delivered.insert(going.opened.import.clone());
        stopped(&delivery, go(&delivery, going, summary, bar))?;
    }
    if let Some(seen) = &sources.seen {
        summary.forgotten = seen.lock().map_or(0, |seen| seen.forgotten());
    }
    bar.say("waiting for the server to write");
    delivery.finish()
}

/// What a step came to; if the delivery is over, why it is.
fn stopped<T>(delivery: &Delivery, step: Result<T, Failure>) -> Result<T, Failure> {
    match step {
        Err(Failure::ClosedPipe) => Err(delivery.failure()),
        other => other,
    }
}

/// Opens a source at the server and steps to where it is to go on. `None` if there is nothing more to be had of it.
fn begin(delivery: &Delivery, mut given: Given, summary: &mut Summary) -> Result<Option<Going>, Failure> {
    let mut variant = 0;
    loop {
        let opened = delivery.open(&*given.source, variant)?;
        let mut one = One::new(&*given.source, &opened.import);
        match resume(&mut *given.source, &opened) {
            Ok(true) => {
                one.position = opened.position();
                one.resumed = one.position > 0;
                let reached = opened.marks.iter().map(|(kind, at)| (*kind, *at)).collect();
                return Ok(Some(Going { given, opened, reached, one }));
            }
            // another source that begins in the same way
            Ok(false) => variant = opened.variant + 1,
            Err(error) => {
                summary.unreadable(one, &error);
                return Ok(None);
            }
        }
    }
}

/// Whether a source is the one that was imported under this identity, as far as that went. It is at the position to
/// go on from then.
fn resume(source: &mut dyn Source, opened: &Opened) -> Result<bool, SourceError> {
    let position = opened.position();
    for (at, digest) in opened.checks.iter().filter(|(at, _)| *at <= position) {
        source.seek(*at)?;
        if source.trail().is_some_and(|trail| trail != *digest) {
            return Ok(false);
        }
    }
    source.seek(position)?;
    Ok(true)
}

/// Reads a source to its end and delivers its rows.
fn go(delivery: &Delivery, mut going: Going, summary: &mut Summary, bar: &Bar) -> Result<(), Failure> {
    let mut encoder = Encoder::default();
    let mut rows = Rows::new(BATCH + PIECE);
    let mut from = going.one.position;
    let mut unparsed = 0;
    loop {
        // a batch ends where a table is already: rows before that are there, rows behind it are not
        let until = going.reached.values().copied().filter(|at| *at > from).min().unwrap_or(u64::MAX);
        let one = &mut going.one;
        let read = match going.given.source.read(until, &mut rows, &mut one.tally) {
            Ok(read) => read,
            Err(SourceError::NoHost { record }) => return Err(no_host(&record)),
            Err(error) => {
                summary.unreadable(going.one, &error);
                return Ok(());
            }
        };
        let at = read.position();
        one.position = at;
        bar.at(&*going.given.source, one.tally.records);
        if delivery.is_stopped() {
            return Err(Failure::ClosedPipe);
        }
        let kept = (one.tally.unparsed - unparsed) * 8 > rows.len() as u64;
        let bytes = if kept { BATCH_BYTES.1 } else { BATCH_BYTES.0 };
        let is_file = going.given.is_file && at - from >= bytes;
        let ended = matches!(read, Read::End(_));
        if !ended && rows.len() < BATCH && !is_file && at != until && !matches!(read, Read::Full(_)) {
            continue;
        }
        if matches!(read, Read::Full(_)) && rows.is_empty() {
            return Err(Failure::Error(anyhow!("a record of {} finds no room", one.name)));
        }
        if at <= from && !rows.is_empty() {
            return Err(Failure::Error(anyhow!("{} gave records and stayed at {at}", one.name)));
        }
        unparsed = one.tally.unparsed;
        let digest = going.given.source.trail();
        send(delivery, &mut going, &mut encoder, &mut rows, at, digest)?;
        from = at;
        if ended {
            let Going { one, opened, .. } = going;
            delivery.end(
                &opened.import,
                at,
                summary::totals(&one.tally),
                !one.tally.unreadable.is_empty(),
            )?;
            summary.sources.push(one);
            return Ok(());
        }
    }
}

fn send(
    delivery: &Delivery,
    going: &mut Going,
    encoder: &mut Encoder,
    rows: &mut Rows,
    at: u64,
    digest: Option<[u8; 32]>,
) -> Result<(), Failure> {
    let mut batches: BTreeMap<Kind, _> = rows.finish().into_iter().collect();
    going.one.saw(batches.values());
    for (kind, reached) in &mut going.reached {
        let batch = batches.remove(kind);
        if at <= *reached {
            continue;
        }
        let body = match batch {
            Some(batch) => {
                Bytes::copy_from_slice(encoder.encode(&batch).map_err(|e| Failure::Error(e.into()))?)
            }
            None => Bytes::new(),
        };
        let import = going.opened.import.clone();
        delivery.batch(Batch { import, kind: *kind, from: *reached, seq: at, digest, body })?;
        *reached = at;
    }
    if let Some(kind) = batches.keys().next() {
        return Err(Failure::Error(anyhow!("{} gave {kind}, which it should not", going.one.name)));
    }
    Ok(())
}

fn no_host(record: &str) -> Failure {
    Failure::Usage(format!(
        "{record} does not say its host: give --host NAME, or --host-from file or folder if that is called after it"
    ))
}
