//! How far an import is: a bar on a terminal, a line now and then elsewhere.

use super::sources::Given;
use crate::failure::talk;
use bartizan_intake::{Progress, Source, Unit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Shows how far an import is.
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
    lines: bool,
    /// Bytes of all files, if there are only files.
    total: Option<u64>,
    /// Units of sources that are done, and the one that is being read.
    before: Cell<u64>,
    last: Cell<(usize, u64)>,
    records: Cell<(u64, u64)>,
    told: Cell<Instant>,
}

impl Bar {
    pub(crate) fn new(given: &[Given], quiet: bool) -> Self {
        let total = given.iter().map(|g| {
            let Progress { total, unit, .. } = g.source.progress();
            total.filter(|_| unit == Unit::Bytes || given.len() == 1)
        });
        let total = total.sum::<Option<u64>>();
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
            let rows = given.iter().all(|g| g.source.progress().unit == Unit::Rows);
            let template = match (total, rows) {
                (None, _) => "{spinner} {msg}",
                (_, true) => "[{bar:30}] {pos}/{len} rows, {per_sec}, {eta} left  {msg}",
                (_, false) => "[{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left  {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        let now = Cell::new(Instant::now());
        Self {
            bar,
            lines: !terminal && !quiet,
            total,
            before: Cell::new(0),
            last: Cell::new((0, 0)),
            records: Cell::new((0, 0)),
            told: now,
        }
    }

    /// A source is here, and so many of its records were read.
    pub(crate) fn at(&self, source: &dyn Source, records: u64) {
        let Progress { done, .. } = source.progress();
        let identity = source.name().as_ptr() as usize;
        let (last, units) = self.last.get();
        let (before, now) = self.records.get();
        if last == identity {
            self.records.set((before, records));
        } else {
            self.before.set(self.before.get() + units);
            self.records.set((before + now, records));
        }
        self.last.set((identity, done));
        let records = self.records.get().0 + self.records.get().1;
        if let Some(bar) = &self.bar {
            bar.set_position(self.before.get() + done);
            bar.set_message(format!("{records} records"));
        }
        if self.lines && self.told.get().elapsed() >= LINE {
            self.told.set(Instant::now());
            let all = self.before.get() + done;
            let part = self.total.filter(|t| *t > 0).map(|t| format!(", {} %", all.saturating_mul(100) / t));
            talk(&format!("{records} records read{}", part.unwrap_or_default()));
        }
    }

    /// What is being done now.
    pub(crate) fn say(&self, what: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
        }
    }

    /// The bar is gone.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
