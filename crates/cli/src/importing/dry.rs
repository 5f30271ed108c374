//! `--dry-run`: everything is read, nothing is sent, and no server is asked.

use super::progress::Bar;
use super::sources::Sources;
use super::summary::{One, Summary};
use super::{BATCH, PIECE, no_host};
use crate::args::ImportOutput;
use crate::failure::Failure;
use crate::told::json_lines;
use bartizan_intake::{Read, Rows, SourceError};
use bartizan_prefix::Dialects;
use std::io::Write as _;

/// Rows that are shown of each source.
const SHOWN: usize = 3;
/// Sources of which rows are shown.
const SOURCES: usize = 5;

pub(crate) fn run(
    sources: Sources,
    summary: &mut Summary,
    bar: &Bar,
    output: ImportOutput,
) -> Result<(), Failure> {
    let dialects = Dialects::default();
    let mut text = Vec::new();
    for (number, mut given) in sources.given.into_iter().enumerate() {
        let mut one = One::new(&*given.source, "");
        let mut rows = Rows::new(BATCH + PIECE);
        let mut shown = if number < SOURCES { SHOWN } else { 0 };
        loop {
            let read = match given.source.read(u64::MAX, &mut rows, &mut one.tally) {
                Ok(read) => read,
                Err(SourceError::NoHost { record }) => return Err(no_host(&record)),
                Err(error) => {
                    summary.unreadable(one, &error);
                    break;
                }
            };
            one.position = read.position();
            bar.at(&*given.source, one.tally.records);
            let ended = matches!(read, Read::End(_));
            if ended || rows.len() >= BATCH || matches!(read, Read::Full(_)) {
                let batches = rows.finish();
                one.saw(batches.iter().map(|(_, batch)| batch));
                for (kind, batch) in &batches {
                    let some = shown.min(batch.num_rows());
                    json_lines(*kind, &batch.slice(0, some), &dialects, &mut text)?;
                    shown -= some;
                }
            }
            if ended {
                summary.sources.push(one);
                break;
            }
        }
    }
    if let Some(seen) = &sources.seen {
        summary.forgotten = seen.lock().map_or(0, |seen| seen.forgotten());
    }
    if output == ImportOutput::Text {
        bar.finish();
        let text = String::from_utf8_lossy(&text);
        write!(std::io::stdout(), "{}", crate::escape::json_lines_for_terminal(&text))?;
    }
    Ok(())
}
