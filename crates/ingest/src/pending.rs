//! Which batches of each stream are not committed yet, and so how far the sender may be told to forget.

use bartizan_model::{Kind, Seq};
use std::collections::BTreeMap;

/// The batches of one stream between receipt and commit.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    acknowledged: Seq,
    waiting: BTreeMap<Seq, Kind>,
}

impl Pending {
    /// A batch came, or came again.
    pub(crate) fn received(&mut self, seq: Seq, kind: Kind) {
        if seq > self.acknowledged {
            self.waiting.insert(seq, kind);
        }
    }

    /// How many wait, and what the first of them, which holds the others back, is.
    pub(crate) fn waiting(&self) -> (usize, Option<Kind>) {
        (self.waiting.len(), self.waiting.values().next().copied())
    }

    /// Marks moved: `committed` tells a table's mark. Returns the number up to which all is committed (IN-1).
    pub(crate) fn advance(&mut self, committed: impl Fn(Kind) -> Seq) -> Seq {
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() > committed(*first.get()) {
                break;
            }
            self.acknowledged = *first.key();
            first.remove();
        }
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_lags_holds_the_acknowledgement_back() {
        let mut p = Pending::default();
        p.received(Seq(1), Kind::Events);
        p.received(Seq(2), Kind::Losses);
        p.received(Seq(3), Kind::Events);
        let marks = |events, losses| move |k| if k == Kind::Events { Seq(events) } else { Seq(losses) };
        assert_eq!(p.waiting(), (3, Some(Kind::Events)));
        assert_eq!(p.advance(marks(0, 0)), Seq(0));
        assert_eq!(p.advance(marks(3, 0)), Seq(1));
        assert_eq!(p.waiting(), (2, Some(Kind::Losses)));
        assert_eq!(p.advance(marks(3, 2)), Seq(3));
    }

    #[test]
    fn a_resent_batch_is_acknowledged_by_the_mark_it_already_has() {
        let mut p = Pending::default();
        p.received(Seq(7), Kind::Events);
        assert_eq!(p.advance(|_| Seq(9)), Seq(7));
        p.received(Seq(6), Kind::Events);
        assert_eq!(p.advance(|_| Seq(9)), Seq(7));
        assert!(p.waiting.is_empty());
    }
}
