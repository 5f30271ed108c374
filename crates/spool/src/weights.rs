//! Weights of two sorts in one number.

use bartizan_model::Kind;

/// What a number of the spool's weights stands for: events, which losses are told of one by one, and rows of flows,
/// counters and rulesets. The spool adds weights up without knowing that, so that both are in one number: events
/// in the low 40 bits, the others above. A hole of more than 10^12 events, or of more than 16 million other rows,
/// is told wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Events, or lost ones that are reported.
    pub events: u64,
    /// Rows of other kinds.
    pub others: u64,
}

impl Weights {
    const BITS: u32 = 40;

    /// Both parts of a weight.
    #[must_use]
    pub const fn of(weight: u64) -> Self {
        Self { events: weight & ((1 << Self::BITS) - 1), others: weight >> Self::BITS }
    }

    /// The part that a record of a kind has.
    #[must_use]
    pub const fn of_kind(self, kind: Kind) -> u64 {
        match kind {
            Kind::Events | Kind::Losses => self.events,
            Kind::Flows | Kind::Counters | Kind::Rulesets | Kind::Lines => self.others,
        }
    }

    /// A record's weight as the spool adds it up.
    #[must_use]
    pub const fn pack(kind: Kind, weight: u64) -> u64 {
        match kind {
            Kind::Events | Kind::Losses => weight,
            Kind::Flows | Kind::Counters | Kind::Rulesets | Kind::Lines => weight << Self::BITS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_two_sorts_are_one_sum() {
        let records = [
            (Kind::Events, 8192),
            (Kind::Flows, 70),
            (Kind::Losses, 5),
            (Kind::Counters, 3),
            (Kind::Events, 1),
        ];
        let sum =
            records.iter().fold(0_u64, |sum, (kind, weight)| sum.wrapping_add(Weights::pack(*kind, *weight)));
        assert_eq!(Weights::of(sum), Weights { events: 8198, others: 73 });
        for (kind, weight) in records {
            assert_eq!(Weights::of(Weights::pack(kind, weight)).of_kind(kind), weight);
        }
        // a cumulative weight may wrap: the difference is the same
        let before = u64::MAX - 10;
        assert_eq!(Weights::of(before.wrapping_add(sum).wrapping_sub(before)), Weights::of(sum));
    }
}
