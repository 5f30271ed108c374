//! The numbers that the kernel gives the packets of a group (`NFULA_SEQ`, per socket, from 0).

/// Watches the numbers of one bound socket's packets for holes.
///
/// The kernel numbers a packet when it puts it into the group's queue, so that what the socket's buffer could
/// not take is a hole of exactly as many numbers. What is missing behind the last packet shows only with the
/// next one, or against the rules' counters ([`crate::Account`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    next: u32,
}

impl Sequence {
    /// For a socket bound just now: its first packet has number 0.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: 0 }
    }

    /// Takes the number of the next packet, and tells how many packets are missing before it.
    ///
    /// Numbers wrap at 2^32. `None`: the number went back, which the kernel never does on one socket; the
    /// packet's number is taken as the new position and nothing is known of losses there.
    #[must_use]
    pub const fn packet(&mut self, seq: u32) -> Option<u32> {
        let gap = seq.wrapping_sub(self.next);
        self.next = seq.wrapping_add(1);
        if gap > u32::MAX / 2 { None } else { Some(gap) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_counted_from_the_first_packet_and_over_the_wrap() {
        let mut s = Sequence::new();
        assert_eq!(s.packet(3), Some(3));
        assert_eq!(s.packet(4), Some(0));
        assert_eq!(s.packet(7), Some(2));
        let mut s = Sequence { next: u32::MAX };
        assert_eq!(s.packet(u32::MAX), Some(0));
        assert_eq!(s.packet(0), Some(0));
        let mut s = Sequence { next: u32::MAX - 1 };
        assert_eq!(s.packet(2), Some(4));
        assert_eq!(s.packet(1), None);
        assert_eq!(s.packet(2), Some(0));
    }
}
