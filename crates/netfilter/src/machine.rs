//! What this thread and this machine's processors are doing.

use crate::sys;
use std::{thread, time::Duration};

/// Longer than a packet takes through the rules, where nothing better can be had.
const GRACE: Duration = Duration::from_millis(100);

/// Waits until every packet that was on its way through the rules when this was called has left them.
///
/// A packet goes through the rules that were there when it came to them. The kernel runs it under RCU, and
/// `membarrier` waits for the end of all that runs so. A kernel or sandbox without it is given a tenth of a
/// second, which is long and proves nothing; so is a machine with one processor, where `membarrier` returns at
/// once although a packet may have been put aside.
pub fn wait_for_packets() {
    let one = thread::available_parallelism().is_ok_and(|n| n.get() == 1);
    if one || sys::grace_period().is_err() {
        thread::sleep(GRACE);
    }
}

/// The processor time that this thread has used.
#[must_use]
pub fn thread_time() -> Duration {
    sys::thread_time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_waiting_takes_none() {
        let before = thread_time();
        wait_for_packets();
        thread::sleep(Duration::from_millis(50));
        let waited = thread_time() - before;
        let mut n = 0_u64;
        while thread_time() - before < Duration::from_millis(100) {
            n = std::hint::black_box(n + 1);
        }
        assert!(waited < Duration::from_millis(50), "{waited:?}");
    }
}
