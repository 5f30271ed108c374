//! The journal: `journalctl` as a child that follows it, restarted with pauses, from the last entry that was read.
//!
//! A position is `journald CURSOR`. Reading starts *at* the cursor, not behind it: an entry that is still there
//! comes first and is skipped. When another one comes first, rotation or a vacuum took ours: everything that is
//! left is read once, and the gap is counted. The journal's numbers count entries of all kinds, so that the
//! number is an upper bound, as everywhere here. What journald itself missed of the kernel's log it says in an
//! entry of its own, which is counted too.

use super::clock::{LogClock, ago};
use super::{Lines, Stopped};
use crate::open::Open;
use bartizan_decode::text::journal::{Entry, Reader};
use bartizan_model::Micros;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two starts of the child: at first, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// A cursor that so many children in a row ended with, without an entry, is given up.
const TRIES: u32 = 3;
/// A child that lived that long did not end because of its cursor.
const ALIVE: Duration = Duration::from_secs(10);
const READ: usize = 64 << 10;

const GONE: &str = "journal: entries, of netfilter or not, that were removed before they were read";
const MISSED: &str = "journal: messages of the kernel that journald missed";
/// `SD_MESSAGE_JOURNAL_MISSED`.
const MISSED_ID: &[u8] = b"e9bf28e6e834481bb6f48f548ad13606";

const FIELDS: [&str; 8] = [
    "__CURSOR",
    "MESSAGE",
    "_TRANSPORT",
    "SYSLOG_FACILITY",
    "MESSAGE_ID",
    "__REALTIME_TIMESTAMP",
    "__MONOTONIC_TIMESTAMP",
    "_SOURCE_MONOTONIC_TIMESTAMP",
];

/// Reads entries.
pub(super) struct Journal {
    open: Arc<dyn Open>,
    /// Of the last entry that was read.
    cursor: Option<String>,
    lines: Lines,
    clock: LogClock,
}

/// What the first entry of a child should be.
enum First {
    /// The newest one, when there is no cursor yet: it says where the journal ends.
    Skip,
    /// The one of a cursor, which was read.
    Expect(String),
    /// Whatever comes.
    Any,
}

impl Journal {
    pub(super) fn new(open: Arc<dyn Open>, position: Option<Arc<str>>, lines: Lines) -> Self {
        let cursor = position.as_deref().and_then(|p| p.strip_prefix("journald ")).map(str::to_owned);
        Self { open, cursor, lines, clock: LogClock::new(Instant::now()) }
    }

    pub(super) fn run(mut self) {
        let (mut pause, mut tries) = (PAUSE, 0);
        while !self.lines.stopped() {
            let started = Instant::now();
            let before = self.cursor.clone();
            match self.open.journal(self.cursor.as_deref()) {
                Ok(child) => {
                    if self.follow(&child) == Err(Stopped) {
                        break;
                    }
                    tracing::warn!("journalctl ended; it is started again");
                }
                Err(error) => tracing::error!(%error, "cannot start journalctl; trying again"),
            }
            let progress = self.cursor != before || started.elapsed() >= ALIVE;
            (tries, pause) = if progress { (0, PAUSE) } else { (tries + 1, (pause * 2).min(MOST_PAUSE)) };
            if tries >= TRIES
                && let Some(cursor) = self.cursor.take()
            {
                tracing::error!(
                    cursor,
                    "journalctl does not go on from this cursor; reading what comes from now on"
                );
                if self.lines.lost(1, String::new(), GONE).is_err() {
                    break;
                }
                tries = 0;
            }
            self.sleep(pause);
        }
        self.lines.finish();
    }

    fn sleep(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.lines.stopped() && self.lines.idle().is_ok() {
            std::thread::sleep(super::NAP);
        }
    }

    /// Reads what a child says, to its end.
    fn follow(&mut self, child: &OwnedFd) -> Result<(), Stopped> {
        let (mut reader, mut buffer) = (Reader::default(), vec![0; READ]);
        let mut first = self.cursor.clone().map_or(First::Skip, First::Expect);
        loop {
            if self.lines.stopped() {
                return Err(Stopped);
            }
            let wanted = Timespec::try_from(self.lines.patience()).unwrap_or_default();
            match poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&wanted)) {
                Ok(0) => self.lines.idle()?,
                _ => match rustix::io::read(child, &mut buffer[..]) {
                    Ok(0) => return Ok(()),
                    Ok(length) => reader.push(&buffer[..length]),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                    Err(_) => return Ok(()),
                },
            }
            while let Some(entry) = reader.next_entry() {
                self.entry(&entry, &mut first)?;
            }
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, first: &mut First) -> Result<(), Stopped> {
        let [cursor, message, transport, facility, id, realtime, monotonic, logged] = entry.fields(FIELDS);
        let Some(cursor) = cursor.and_then(|c| std::str::from_utf8(c).ok()) else { return Ok(()) };
        let position = format!("journald {cursor}");
        match std::mem::replace(first, First::Any) {
            First::Any => {}
            First::Skip => {
                self.cursor = Some(cursor.to_owned());
                return self.lines.read_to(position);
            }
            First::Expect(last) if last == cursor => return Ok(()),
            First::Expect(last) => {
                let gap = missing(&last, cursor);
                if gap > 0 {
                    self.lines.lost(gap, format!("journald {last}"), GONE)?;
                }
            }
        }
        let micros = |field: Option<&[u8]>| field.and_then(Entry::micros).map(|m| m.0);
        let received = micros(realtime).map_or_else(bartizan_clock::now, Micros);
        let time = match micros(logged).zip(micros(monotonic)) {
            // journald may have been late
            Some((logged, monotonic)) => {
                self.clock.fresh(logged, monotonic, Instant::now());
                ago(received, self.clock.age(logged, monotonic))
            }
            None => received,
        };
        self.cursor = Some(cursor.to_owned());
        match (transport, id, message) {
            (Some(b"driver"), Some(MISSED_ID), Some(message)) => {
                let count =
                    message.split(|b| *b == b' ').find_map(|w| std::str::from_utf8(w).ok()?.parse().ok());
                return self.lines.lost(count.unwrap_or(1), position, MISSED);
            }
            (Some(b"kernel"), _, Some(message)) if facility.is_none_or(|f| f == b"0") => {
                let age = u64::try_from(bartizan_clock::now().0.saturating_sub(time.0)).unwrap_or(0);
                self.lines.message(message, time, Duration::from_micros(age))?;
            }
            _ => {}
        }
        self.lines.read_to(position)
    }
}

/// How many entries stood between two cursors; 1 when nobody can say.
fn missing(last: &str, next: &str) -> u64 {
    let part =
        |cursor: &str, name: &str| cursor.split(';').find_map(|p| p.strip_prefix(name).map(str::to_owned));
    let number = |cursor| part(cursor, "i=").and_then(|i| u64::from_str_radix(&i, 16).ok());
    match (number(last), number(next)) {
        (Some(last_i), Some(next_i)) if part(last, "s=") == part(next, "s=") => {
            next_i.saturating_sub(last_i + 1)
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_between_cursors() {
        assert_eq!(missing("s=a;i=f;b=1", "s=a;i=10;b=1"), 0);
        assert_eq!(missing("s=a;i=f;b=1", "s=a;i=20;b=1"), 16);
        assert_eq!(missing("s=a;i=f", "s=b;i=1"), 1);
        assert_eq!(missing("nonsense", "s=b;i=1"), 1);
    }
}
