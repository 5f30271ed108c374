//! `/dev/kmsg`: one record a read, each with a number. A hole in the numbers is what the kernel overwrote.
//!
//! A position is `kmsg BOOT SEQ`: the boot's id and the number of the last record that was read.

use super::clock::{LogClock, ago};
use super::{Lines, Stopped};
use crate::open::Open;
use anyhow::Context as _;
use bartizan_decode::text::kmsg::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// A record is never longer.
const RECORD: usize = 16 << 10;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const OVERWRITTEN: &str =
    "kernel log: messages, of netfilter or not, that were overwritten before they were read";

/// Reads records.
pub(super) struct Kmsg {
    log: OwnedFd,
    boot: String,
    /// The number that comes next.
    next: Option<u64>,
    lines: Lines,
    clock: LogClock,
}

impl Kmsg {
    /// Opens the log behind a position.
    pub(super) fn open(open: &dyn Open, position: Option<Arc<str>>, lines: Lines) -> anyhow::Result<Self> {
        let boot =
            std::fs::read_to_string(BOOT_ID).context("cannot tell which boot this is")?.trim().to_owned();
        let log = open.kmsg().context("cannot open /dev/kmsg; it needs root, or CAP_SYSLOG")?;
        let position = position.as_deref().and_then(parse);
        let next = match position {
            Some((of, seq)) if of == boot => Some(seq + 1),
            // another boot: all of this one is new
            Some(_) => Some(0),
            None => None,
        };
        seek(&log, SeekFrom::Start(0)).context("cannot find the place in /dev/kmsg")?;
        Ok(Self { log, boot, next, lines, clock: LogClock::new(Instant::now()) })
    }

    pub(super) fn run(mut self) {
        match self.read() {
            Ok(Stopped) => {}
            Err(error) => tracing::error!(%error, "reading /dev/kmsg ended"),
        }
        self.lines.finish();
    }

    /// Reads until it is told to stop.
    fn read(&mut self) -> Result<Stopped, Errno> {
        let mut buffer = vec![0; RECORD];
        let mut waited = false;
        if self.next.is_none() && self.skip(&mut buffer)? == Err(Stopped) {
            return Ok(Stopped);
        }
        while !self.lines.stopped() {
            let told = match rustix::io::read(&self.log, &mut buffer[..]) {
                Ok(length) => self.record(&buffer[..length], std::mem::take(&mut waited)),
                Err(Errno::AGAIN) => {
                    waited = true;
                    let told = self.lines.idle();
                    self.wait();
                    told
                }
                // overwritten while it was read: the next record's number tells how many
                Err(Errno::PIPE | Errno::INTR) => Ok(()),
                Err(error) => return Err(error),
            };
            if told.is_err() {
                break;
            }
        }
        Ok(Stopped)
    }

    /// Steps over everything that is there: the first time, only what comes is asked for.
    fn skip(&mut self, buffer: &mut [u8]) -> Result<Result<(), Stopped>, Errno> {
        loop {
            match rustix::io::read(&self.log, &mut *buffer) {
                Ok(length) => {
                    let record = Record::parse(&buffer[..length]);
                    self.next = record.map(|record| record.seq + 1).or(self.next);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let position = self.next.and_then(|next| next.checked_sub(1)).map(|seq| print(&self.boot, seq));
        Ok(position.map_or(Ok(()), |position| self.lines.read_to(position)))
    }

    fn wait(&self) {
        let wanted = Timespec::try_from(self.lines.patience()).unwrap_or_default();
        let _ = poll(&mut [PollFd::new(&self.log, PollFlags::IN)], Some(&wanted));
    }

    fn record(&mut self, bytes: &[u8], waited: bool) -> Result<(), Stopped> {
        let Some(record) = Record::parse(bytes) else {
            tracing::warn!("a record of /dev/kmsg is not as it should be");
            return Ok(());
        };
        let next = self.next.unwrap_or(record.seq);
        if record.seq < next {
            return Ok(());
        }
        if record.seq > next {
            self.lines.lost(record.seq - next, print(&self.boot, record.seq - 1), OVERWRITTEN)?;
        }
        self.next = Some(record.seq + 1);
        if record.is_kernel() {
            let stamp = i64::try_from(record.micros).unwrap_or(i64::MAX);
            let monotonic = monotonic();
            if waited {
                self.clock.fresh(stamp, monotonic, Instant::now());
            }
            let age = self.clock.age(stamp, monotonic);
            self.lines.message(&record.text, ago(bartizan_clock::now(), age), age)?;
        }
        self.lines.read_to(print(&self.boot, record.seq))
    }
}

/// Microseconds of the monotonic clock.
fn monotonic() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

fn print(boot: &str, seq: u64) -> String {
    format!("kmsg {boot} {seq}")
}

/// The boot and the number of the last record that was read.
fn parse(position: &str) -> Option<(&str, u64)> {
    let (boot, seq) = position.strip_prefix("kmsg ")?.split_once(' ')?;
    Some((boot, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_print_and_parse() {
        assert_eq!(parse(&print("b-1", 7)), Some(("b-1", 7)));
        for other in ["", "kmsg", "kmsg b", "kmsg b x", "journald s=1;i=2"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
