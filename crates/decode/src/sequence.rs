//! Holes in the kernel's numbering of what it logs to a group.

/// Counts the packets that the kernel numbered and that never came, per group.
///
/// The kernel numbers the packets of a group from 0 when the group is bound with `NFULNL_CFG_F_SEQ`, and the
/// number of a packet that does not fit in the socket's buffer is used up: a hole is an exact loss.
/// - A group that was not announced is taken as it comes: its first packet sets where the count starts.
/// - After [`rebound`](Self::rebound) the group starts at 0: what was lost before its first packet counts.
/// - Numbers wrap at 2^32. One that went back (under half the range) is a restart that nobody announced:
///   nothing is missing, and the count goes on from it.
///
/// What is lost after the last packet that came is not visible here; the rule's counter tells.
#[derive(Clone, Debug, Default)]
pub struct SequenceTracker {
    /// Group and the number that comes next; a host has a handful of groups.
    groups: Vec<(u16, u32)>,
}

impl SequenceTracker {
    /// Knowing no group.
    #[must_use]
    pub const fn new() -> Self {
        Self { groups: Vec::new() }
    }

    /// The group was bound anew: its next number is 0.
    pub fn rebound(&mut self, group: u16) {
        self.expect(group, 0);
    }

    /// A packet of the group came. Returns how many are missing before it.
    #[inline]
    pub fn feed(&mut self, group: u16, seq: u32) -> u32 {
        let next = seq.wrapping_add(1);
        let Some((_, expected)) = self.groups.iter_mut().find(|(g, _)| *g == group) else {
            self.groups.push((group, next));
            return 0;
        };
        let missing = seq.wrapping_sub(*expected);
        *expected = next;
        if missing > u32::MAX / 2 { 0 } else { missing }
    }

    fn expect(&mut self, group: u16, next: u32) {
        match self.groups.iter_mut().find(|(g, _)| *g == group) {
            Some((_, expected)) => *expected = next,
            None => self.groups.push((group, next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_counted_per_group() {
        let mut t = SequenceTracker::new();
        assert_eq!(t.feed(1, 100), 0, "the first packet sets the start");
        assert_eq!(t.feed(1, 101), 0);
        assert_eq!(t.feed(2, 7), 0);
        assert_eq!(t.feed(1, 105), 3);
        assert_eq!(t.feed(2, 8), 0);
        assert_eq!(t.feed(2, 10), 1);
    }

    #[test]
    fn numbers_wrap() {
        let mut t = SequenceTracker::new();
        t.feed(0, u32::MAX - 1);
        assert_eq!(t.feed(0, u32::MAX), 0);
        assert_eq!(t.feed(0, 0), 0);
        t.feed(0, u32::MAX - 1);
        assert_eq!(t.feed(0, 2), 3);
    }

    #[test]
    fn a_bound_group_starts_at_zero() {
        let mut t = SequenceTracker::new();
        t.rebound(5);
        assert_eq!(t.feed(5, 0), 0);
        assert_eq!(t.feed(5, 41), 40);
        t.rebound(5);
        assert_eq!(t.feed(5, 0), 0);
        t.rebound(5);
        assert_eq!(t.feed(5, 12), 12, "lost before the first that came");
    }

    #[test]
    fn a_restart_that_nobody_announced_loses_nothing() {
        let mut t = SequenceTracker::new();
        t.feed(5, 1_000_000);
        assert_eq!(t.feed(5, 0), 0);
        assert_eq!(t.feed(5, 2), 1);
    }
}
