//! Watching the ruleset of one namespace: a thread that lists it at the start and after every change.
//!
//! The kernel tells of changes, and who made them. A listing costs more than a change: at most two a second are
//! made, fewer where they take long, and always one after the last change; what came and went between two
//! listings is said in a note. A listing counts for a generation only if the kernel's number is the same before
//! and behind it. iptables-legacy tells of nothing: where it has rules, they are compared every few seconds.
//!
//! The content of a ruleset is sent once by each process; when it becomes active again, only that is said.
//!
//! On failure: a listing that fails is said once, and tried again; events have no rules meanwhile. One that
//! cannot be read is kept as text, and said once.

use crate::counters::Current;
use crate::generations::Listed;
use crate::kernel::Kernel;
use crate::listing;
use crate::open::Open;
use crate::recorder::Captured;
use crate::source::NetnsId;
use crate::table::{batch, i32s, i64s, texts, times};
use arrow_array::RecordBatch;
use bartizan_model::{Kind, Micros};
use bartizan_netfilter::{Change, NetfilterError, Netns, Notice, RulesetMonitor, wait_for_packets};
use bartizan_ruleset::{Attribution, Form, Listing, Ruleset};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of text in one row.
const PART: usize = 256 << 10;
/// Between two listings.
const PAUSE: Duration = Duration::from_millis(500);
/// A listing that took long is followed by a pause so many times as long.
const SHARE: u32 = 10;
/// After the first change, for those that come with it.
const GATHER: Duration = Duration::from_millis(20);
/// Looks at iptables-legacy: where it has rules, and where it has none yet.
const LEGACY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// Again after a listing that failed.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest wait.
const NAP: Duration = Duration::from_millis(500);
/// Listings in a row that a change may spoil.
const ATTEMPTS: u32 = 3;
/// Changes that are remembered for the note, and generations whose content was sent.
const REMEMBERED: usize = 64;
const SENT: usize = 4096;
/// Bytes of a note.
const NOTE: usize = 4096;

/// Why a listing failed.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error("cannot ask nf_tables")]
    Ask(#[from] NetfilterError),
    #[error("cannot run the listing tools")]
    Run(#[from] std::io::Error),
    #[error("no listing tool is installed: nft, iptables-save")]
    NoTool,
    #[error("the ruleset changed during every attempt to list it")]
    KeepsChanging,
}

/// The watch over one namespace.
pub(crate) struct Watch {
    pub(crate) open: Arc<dyn Open>,
    pub(crate) netns: Netns,
    pub(crate) number: NetnsId,
    pub(crate) recorder: SyncSender<Captured>,
    /// Where the active ruleset is put for whoever else wants it.
    pub(crate) current: Current,
    pub(crate) stop: Arc<AtomicBool>,
}

/// Its state.
struct Watching {
    watch: Watch,
    monitor: Option<RulesetMonitor>,
    kernel: Kernel,
    changes: Vec<Change>,
    /// Changes that were not remembered, or of which nothing was told.
    untold: bool,
    sent: HashSet<String>,
    legacy: Vec<(Form, String)>,
    legacy_looked: Instant,
    warned: bool,
    last: Option<(u32, String)>,
}

/// The recorder has gone.
struct Stopped;

impl Watch {
    /// Lists and watches until it is told to stop.
    pub(crate) fn run(self) {
        let monitor = match self.open.changes(&self.netns) {
            Ok(monitor) => Some(monitor),
            Err(error) => {
                tracing::warn!(netns = self.netns.name, %error, "changes of the ruleset are not told; it is compared instead");
                None
            }
        };
        let kernel = Kernel::new(&self.open, &self.netns);
        let mut watching = Watching {
            watch: self,
            monitor,
            kernel,
            changes: Vec::new(),
            untold: false,
            sent: HashSet::new(),
            legacy: Vec::new(),
            legacy_looked: Instant::now(),
            warned: false,
            last: None,
        };
        // without a recorder it ends as well
        let _: Result<(), Stopped> = watching.work();
    }
}

impl Watching {
    fn work(&mut self) -> Result<(), Stopped> {
        let mut due = Some(Instant::now());
        let mut not_before = Instant::now();
        while !self.watch.stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if due.is_some_and(|due| due.max(not_before) <= now) {
                let listed = self.list();
                let took = now.elapsed();
                not_before = Instant::now() + PAUSE.saturating_sub(took).max(took * SHARE);
                due = match listed {
                    Ok(listed) => {
                        self.warned = false;
                        self.watch.recorder.send(listed).map_err(|_| Stopped)?;
                        None
                    }
                    Err(ListError::KeepsChanging) => Some(not_before),
                    Err(error) => {
                        self.failed(&error)?;
                        Some(Instant::now() + AGAIN)
                    }
                };
                continue;
            }
            let wait = due.map_or(NAP, |due| due.max(not_before).saturating_duration_since(now).min(NAP));
            if self.wait(wait) || self.legacy_changed() {
                due.get_or_insert(Instant::now() + GATHER);
            }
        }
        Ok(())
    }

    /// Waits for a change; whether there was one.
    fn wait(&mut self, wait: Duration) -> bool {
        let Some(monitor) = &mut self.monitor else {
            thread::sleep(wait);
            return self.number_changed();
        };
        match monitor.recv(wait) {
            Ok(Notice::Change(change)) => {
                self.remember(change);
                true
            }
            Ok(Notice::Overrun) => {
                self.untold = true;
                true
            }
            Ok(Notice::Idle | Notice::Stopped) => false,
            Err(error) => {
                tracing::warn!(netns = self.watch.netns.name, %error, "changes of the ruleset are no longer told");
                self.monitor = None;
                true
            }
        }
    }

    fn remember(&mut self, change: Change) {
        match self.changes.len() < REMEMBERED {
            true => self.changes.push(change),
            false => self.untold = true,
        }
    }

    /// Without a monitor the number tells.
    fn number_changed(&mut self) -> bool {
        let Ok(number) = self.kernel.generation() else { return false };
        self.last.as_ref().is_some_and(|(last, _)| *last != number)
    }

    fn legacy_changed(&mut self) -> bool {
        let every = if self.legacy.is_empty() { LEGACY.1 } else { LEGACY.0 };
        if self.legacy_looked.elapsed() < every {
            return false;
        }
        self.legacy_looked = Instant::now();
        listing::legacy(&*self.watch.open, &self.watch.netns).is_ok_and(|now| now != self.legacy)
    }

    fn failed(&mut self, error: &ListError) -> Result<(), Stopped> {
        if !std::mem::replace(&mut self.warned, true) {
            let (netns, cause) = (&self.watch.netns.name, std::error::Error::source(error));
            let cause = cause.map(ToString::to_string);
            tracing::warn!(netns, %error, cause, "the ruleset cannot be listed; events have no rules");
        }
        let unlisted = Captured::Unlisted { netns: self.watch.number };
        self.watch.recorder.send(unlisted).map_err(|_| Stopped)
    }

    /// Lists the ruleset as it is now, and sends its rows.
    fn list(&mut self) -> Result<Captured, ListError> {
        for _ in 0..ATTEMPTS {
            let number = self.kernel.generation()?;
            wait_for_packets();
            let from = Instant::now();
            let listing = listing::read(&*self.watch.open, &self.watch.netns)?;
            if listing.0.is_empty() {
                return Err(ListError::NoTool);
            }
            if self.kernel.generation()? != number {
                continue;
            }
            // notices of what is in the listing already
            while let Some(monitor) = &mut self.monitor
                && let Ok(Notice::Change(change)) = monitor.recv(Duration::ZERO)
            {
                self.remember(change);
            }
            let is_legacy = |form: Form| matches!(form, Form::IptablesLegacySave | Form::Ip6tablesLegacySave);
            self.legacy = listing.0.iter().filter(|(form, _)| is_legacy(*form)).cloned().collect();
            self.legacy_looked = Instant::now();
            let ruleset = Arc::new(Ruleset::read(&listing));
            self.tell(number, &ruleset, &listing);
            let current = Some((number, Arc::clone(&ruleset)));
            *self.watch.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
            let attribution = Attribution::new(Arc::clone(&ruleset));
            let listed = Listed { kernel: number, from, ruleset, attribution };
            return Ok(Captured::Listed { netns: self.watch.number, listed: Box::new(listed) });
        }
        Err(ListError::KeepsChanging)
    }

    /// Sends the rows of a ruleset, if that is news.
    fn tell(&mut self, number: u32, ruleset: &Ruleset, listing: &Listing) {
        let (changes, untold) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.untold));
        let last = self.last.replace((number, ruleset.generation().to_owned()));
        let same = last.as_ref().is_some_and(|(_, generation)| generation == ruleset.generation());
        let before = last.map(|(number, _)| number);
        if same && before == Some(number) {
            return;
        }
        if self.sent.len() >= SENT {
            self.sent.clear();
        }
        let new = self.sent.insert(ruleset.generation().to_owned());
        if new && !ruleset.notes().is_empty() {
            let (netns, notes) = (&self.watch.netns.name, ruleset.notes().join("; "));
            tracing::warn!(netns, notes, "the ruleset is not fully understood");
        }
        let by = changes.iter().rev().find(|change| change.generation == number);
        let activation = Activation {
            time: bartizan_clock::now(),
            netns: &self.watch.netns.name,
            ruleset,
            number,
            pid: by.and_then(|change| change.pid),
            process: by.map(|change| change.process.as_str()),
            note: note(ruleset, before, number, &changes, untold, !self.legacy.is_empty()),
        };
        let rows = activation.rows(if new { &listing.0 } else { &[] });
        drop(self.watch.recorder.send(Captured::Batch { kind: Kind::Rulesets, batch: rows, mark: None }));
    }
}

/// What people should know of a ruleset and of how it came.
fn note(
    ruleset: &Ruleset,
    before: Option<u32>,
    number: u32,
    changes: &[Change],
    untold: bool,
    legacy: bool,
) -> String {
    let mut notes = ruleset.notes().to_vec();
    let missed = before.map_or(0, |before| number.wrapping_sub(before).wrapping_sub(1));
    if before.is_some_and(|before| before != number) && missed > 0 && missed < u32::MAX / 2 {
        let makers: Vec<String> = changes
            .iter()
            .filter(|change| change.generation != number)
            .map(|change| {
                let pid = change.pid.map(|pid| format!(" {pid}")).unwrap_or_default();
                format!("{} by {}{pid}", change.generation, change.process)
            })
            .collect();
        let all = if untold { ", and others" } else { "" };
        notes.push(format!("{missed} came and went before they could be listed: {}{all}", makers.join(", ")));
    }
    if legacy {
        notes.push("iptables-legacy tells of no changes: they are found up to 5 seconds late".into());
    }
    let mut note = notes.join("; ");
    note.truncate(note.floor_char_boundary(NOTE));
    note
}

/// A ruleset that became active.
struct Activation<'a> {
    time: Micros,
    netns: &'a str,
    ruleset: &'a Ruleset,
    number: u32,
    pid: Option<u32>,
    process: Option<&'a str>,
    note: String,
}

impl Activation<'_> {
    /// Its rows: one for each part of each text; one alone when no text is told.
    fn rows(&self, texts_of: &[(Form, String)]) -> RecordBatch {
        let mut parts: Vec<Option<(Form, usize, usize, &str)>> = Vec::new();
        for (form, text) in texts_of {
            let cut = cut(text);
            let all = cut.len();
            parts.extend(cut.into_iter().enumerate().map(|(at, part)| Some((*form, at, all, part))));
        }
        if parts.is_empty() {
            parts.push(None);
        }
        let rows = parts.len();
        let number = |n: usize| i32::try_from(n).ok();
        let all = |text: Option<&str>| texts(std::iter::repeat_n(text.filter(|t| !t.is_empty()), rows));
        batch(Kind::Rulesets, |name| match name {
            "time" => Some(times(std::iter::repeat_n(Some(self.time), rows))),
            "netns" => Some(all(Some(self.netns))),
            "generation" => Some(all(Some(self.ruleset.generation()))),
            "kernel_generation" => Some(i64s(std::iter::repeat_n(Some(self.number.into()), rows))),
            "pid" => Some(i64s(std::iter::repeat_n(self.pid.map(i64::from), rows))),
            "process" => Some(all(self.process)),
            "form" => Some(texts(parts.iter().map(|p| p.map(|p| p.0.as_str())))),
            "part" => Some(i32s(parts.iter().map(|p| number(p.as_ref()?.1)))),
            "parts" => Some(i32s(parts.iter().map(|p| number(p.as_ref()?.2)))),
            "content" => Some(texts(parts.iter().map(|p| p.map(|p| p.3)))),
            "note" => Some(all(Some(&self.note))),
            _ => None,
        })
    }
}

/// A text in parts, cut between characters; an empty one is one part.
fn cut(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > PART {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;

    #[test]
    fn texts_are_cut_between_characters_and_lose_nothing() {
        // an odd number of bytes before them, so that a part would end within one
        let text = format!("x{}", "ä".repeat(PART));
        let parts = cut(&text);
        assert_eq!((parts.len(), parts.concat()), (3, text.clone()));
        assert!(parts.iter().all(|part| part.len() <= PART));
        assert_eq!(cut(""), [""]);
    }

    #[test]
    fn an_activation_is_a_row_for_each_part_or_one_without_text() {
        let listing = Listing(vec![(Form::Nft, "x".repeat(PART + 1)), (Form::NftJson, "{}".into())]);
        let ruleset = Ruleset::read(&listing);
        let activation = Activation {
            time: Micros(5),
            netns: "",
            ruleset: &ruleset,
            number: 7,
            pid: Some(8),
            process: Some("nft"),
            note: String::new(),
        };
        let rows = activation.rows(&listing.0);
        assert_eq!(rows.num_rows(), 3);
        assert!(rows.column_by_name("netns").is_none() && rows.column_by_name("note").is_none());
        let form = rows.column_by_name("form").unwrap().as_dictionary::<Int32Type>();
        assert_eq!(form.keys().values(), &[0, 0, 1]);
        let rows = activation.rows(&[]);
        assert_eq!((rows.num_rows(), rows.column_by_name("content")), (1, None));
    }

    #[test]
    fn generations_that_were_never_listed_are_said() {
        let change = |generation, pid| Change { generation, pid, process: "nft".into() };
        let ruleset = Ruleset::default();
        let note =
            |before, number, changes: &[Change]| super::note(&ruleset, before, number, changes, false, false);
        assert_eq!(note(None, 7, &[]), "");
        assert_eq!(note(Some(6), 7, &[change(7, Some(1))]), "");
        assert_eq!(
            note(Some(5), 8, &[change(6, Some(1)), change(7, None), change(8, Some(3))]),
            "2 came and went before they could be listed: 6 by nft 1, 7 by nft"
        );
    }
}
