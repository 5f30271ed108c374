//! The agent's share of the machine: processor time and memory. Above it capture pauses, the kernel's buffer fills,
//! and what the kernel drops then is a hole in the sequence with a reason of its own.

use bartizan_model::Reason;
use bartizan_netfilter::process_time;
use std::thread;
use std::time::{Duration, Instant};

/// Processor time is compared with the share over stretches of this length.
const STRETCH: Duration = Duration::from_secs(1);
/// What may be used before the first pause of a stretch.
const HEAD_START: Duration = Duration::from_millis(20);
/// One pause, at most: whoever wants to stop waits no longer.
const PAUSE: Duration = Duration::from_millis(100);
/// Memory is looked at this often.
const LOOK: Duration = Duration::from_millis(100);

/// What this process may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Hundredths of one processor; 0: any.
    pub(crate) cpu_percent: u32,
    /// Bytes of resident memory; 0: any.
    pub(crate) memory: u64,
}

/// Watches what it uses.
#[derive(Debug)]
pub(crate) struct Share {
    limits: Limits,
    since: Instant,
    used_before: Duration,
    looked: Instant,
    over_memory: bool,
    /// Why capture paused since its socket was last found empty.
    paused: Option<Reason>,
}

impl Share {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            limits,
            since: now,
            used_before: process_time(),
            looked: now,
            over_memory: false,
            paused: None,
        }
    }

    /// Other limits, from now on.
    pub(crate) fn set(&mut self, limits: Limits) {
        if self.limits != limits {
            *self = Self { paused: self.paused, ..Self::new(limits) };
        }
    }

    /// Pauses while more is used than allowed; called for each datagram.
    pub(crate) fn keep(&mut self) {
        if self.limits.memory > 0 && self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.over_memory = resident().is_some_and(|bytes| bytes > self.limits.memory);
        }
        if self.over_memory {
            self.paused = Some(Reason::MemoryCap);
            thread::sleep(PAUSE.min(LOOK));
        }
        if self.limits.cpu_percent > 0 {
            let used = process_time().saturating_sub(self.used_before);
            let pause = pause(used, self.since.elapsed(), self.limits.cpu_percent);
            if !pause.is_zero() {
                self.paused = Some(Reason::CpuShare);
                thread::sleep(pause.min(PAUSE));
            }
            if self.since.elapsed() >= STRETCH && pause <= PAUSE {
                self.since = Instant::now();
                self.used_before = process_time();
            }
        }
    }

    /// The socket is empty: what is lost from here on has another reason.
    pub(crate) fn emptied(&mut self) {
        self.paused = None;
    }

    /// Why there is a hole, if that is because of a pause.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.paused
    }
}

/// How long to pause so that what was used is within the share of the time that passed.
fn pause(used: Duration, passed: Duration, percent: u32) -> Duration {
    let used = used.saturating_sub(HEAD_START);
    (used * 100 / percent).saturating_sub(passed)
}

/// Bytes of memory of this process; `None` where that cannot be read.
fn resident() -> Option<u64> {
    const PAGE: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_makes_the_share_even() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(10), ms(0), 10), ms(0), "the head start");
        assert_eq!(pause(ms(70), ms(100), 10), ms(400));
        assert_eq!(pause(ms(70), ms(500), 10), ms(0));
        assert_eq!(pause(ms(220), ms(100), 200), ms(0), "two processors");
    }

    #[test]
    fn pauses_name_their_reason_until_the_socket_is_empty() {
        let mut share = Share::new(Limits { cpu_percent: 0, memory: 1 });
        share.looked = share.looked.checked_sub(LOOK).unwrap();
        share.keep();
        assert_eq!(share.reason(), Some(Reason::MemoryCap));
        share.emptied();
        assert_eq!(share.reason(), None);
    }

    #[test]
    fn other_limits_count_at_once_and_a_hole_keeps_its_reason() {
        let over = Limits { cpu_percent: 0, memory: 1 };
        let mut share = Share::new(over);
        share.looked = share.looked.checked_sub(LOOK).unwrap();
        share.keep();
        share.set(over);
        assert!(share.over_memory, "the same limits change nothing");
        share.set(Limits::default());
        assert!(!share.over_memory);
        assert_eq!(share.reason(), Some(Reason::MemoryCap));
    }
}
