//! What this process and this machine's processors are doing.

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

/// The processor time that this process has used.
#[must_use]
pub fn process_time() -> Duration {
    sys::process_time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        wait_for_packets();
        let before = process_time();
        let mut n = 0_u64;
        while process_time() - before < Duration::from_millis(20) {
            n = std::hint::black_box(n + 1);
        }
        assert!(n > 0);
    }
}
