use std::collections::BTreeMap;

/// What became of the records that were read: each is counted in exactly one of the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records: lines, packets, entries, rows of a table.
    pub records: u64,
    /// Events that were fully understood.
    pub events: u64,
    /// Events of which something was not understood: rows too, with their text in `raw`.
    pub unparsed: u64,
    /// Flows.
    pub flows: u64,
    /// Counters.
    pub counters: u64,
    /// Lines of other services that were kept.
    pub other: u64,
    /// Records that gave no row, by why: `another service`, `the same line in another file`.
    pub skipped: BTreeMap<&'static str, u64>,
    /// What could not be read at all, in words; not records.
    pub unreadable: Vec<String>,
}

impl Tally {
    /// Counts a record that gives no row.
    pub fn skip(&mut self, why: &'static str) {
        self.records += 1;
        *self.skipped.entry(why).or_default() += 1;
    }

    /// Rows that the records gave.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.events + self.unparsed + self.flows + self.counters + self.other
    }

    /// Records that gave none.
    #[must_use]
    pub fn skips(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Whether every record became something.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.records == self.rows() + self.skips()
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.events += other.events;
        self.unparsed += other.unparsed;
        self.flows += other.flows;
        self.counters += other.counters;
        self.other += other.other;
        for (why, count) in &other.skipped {
            *self.skipped.entry(why).or_default() += count;
        }
        self.unreadable.extend(other.unreadable.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_once() {
        let mut tally = Tally { records: 3, events: 1, unparsed: 1, flows: 1, ..Tally::default() };
        tally.skip("another service");
        assert!(tally.adds_up());
        let mut sum = Tally { unreadable: vec!["x.gz ends early".into()], ..Tally::default() };
        sum.add(&tally);
        sum.add(&tally);
        assert_eq!((sum.records, sum.rows(), sum.skips(), sum.adds_up()), (8, 6, 2, true));
        sum.records += 1;
        assert!(!sum.adds_up());
    }
}
