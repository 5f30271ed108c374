//! ulogd2's JSON: one record a line, or a datagram.

use super::{Broken, Talk};
use crate::desk::{Became, Open};
use crate::sender::Sender;
use crate::settings::Listener;
use bartizan_intake::text::Naming as _;
use bartizan_intake::ulogd::{JsonReader, Pushed, Sums, Told, What};
use bartizan_model::Micros;
use std::sync::Arc;

/// A reader as the settings want it.
pub(super) fn reader(settings: &Listener) -> JsonReader {
    let sums = if settings.totals { Sums::of_totals() } else { Sums::default() };
    JsonReader::of_sums(sums)
}

/// One connection's records.
pub(super) struct Records {
    reader: Box<JsonReader>,
    max: usize,
    /// In the middle of a line that was too long.
    skipping: bool,
}

impl Records {
    pub(super) fn new(settings: &Listener) -> Self {
        Self { reader: Box::new(reader(settings)), max: settings.max_message, skipping: false }
    }
}

impl Talk for Records {
    fn take(
        &mut self,
        bytes: &[u8],
        desk: &mut Open,
        sender: &mut Sender,
        now: Micros,
    ) -> Result<usize, Broken> {
        let mut rest = bytes;
        loop {
            let (line, whole) = match rest.iter().position(|b| *b == b'\n') {
                Some(end) => (end + 1, true),
                None if rest.len() > self.max => (rest.len(), false),
                None => return Ok(bytes.len() - rest.len()),
            };
            let text = &rest[..line.min(self.max)];
            if !std::mem::replace(&mut self.skipping, !whole) {
                records(&mut self.reader, text, line > self.max, desk, sender, now);
            }
            rest = &rest[line..];
        }
    }

    fn end(&mut self, bytes: &[u8], desk: &mut Open, sender: &mut Sender, now: Micros) {
        if !self.skipping {
            records(&mut self.reader, bytes, false, desk, sender, now);
        }
    }
}

/// The records of a line, mostly one.
pub(super) fn records(
    reader: &mut JsonReader,
    text: &[u8],
    cut: bool,
    desk: &mut Open,
    sender: &mut Sender,
    now: Micros,
) {
    let settings = Arc::clone(desk.shared_settings());
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        if !desk.admits(sender, now) {
            return;
        }
        let whose = sender.who.whose("");
        let told = Told { source: settings.speech.source(), whose, received: now, zone: &settings.zone };
        let Some(piece) = desk.put(rest.len(), |rows| reader.read(rest, true, rows, &told)) else { return };
        rest = rest[piece.len..].trim_ascii_start();
        let became = match piece.what {
            What::Record(Pushed::Unmoved) => Became::Other,
            What::Record(_) => Became::Row,
            What::Unparsed => Became::Unparsed,
            What::Nothing => return,
        };
        desk.count(became, cut, sender, now);
    }
}
