//! What each sender delivered, of each host: for `bartizan senders`.
//!
//! Each desk counts by itself ([`Tallies`]) and adds what it counted to all ([`Counts`]) with the rows it hands over.
//! In memory; the server keeps a copy in its catalog, written every few seconds, from which [`Counts::load`] goes on.
//! The number of entries is bounded: whoever invents names is counted under `*`.

use bartizan_model::Micros;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Entries of one desk, and of all.
const PLACES: usize = 4096;
const ENTRIES: usize = 16_384;
/// The host of those that there is no room for.
const REST: &str = "*";

/// Whose messages, who delivered them, and as what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery {
    /// The host that wrote them.
    pub host: String,
    /// Who delivered them: an address, or the name of a certificate.
    pub sender: String,
    /// A word of the `source` column.
    pub source: String,
}

/// How many messages, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages that came, those over the rate included.
    pub messages: u64,
    /// Of them, events, flows and counters that were understood.
    pub rows: u64,
    /// Events that were not fully understood.
    pub unparsed: u64,
    /// Messages of other services.
    pub other: u64,
    /// Of those, kept in `lines`.
    pub kept: u64,
    /// Messages that were cut because they were too long.
    pub cut: u64,
    /// Messages that were dropped because the sender's rate was over.
    pub over: u64,
    /// When the first came.
    pub first: Micros,
    /// When the last came.
    pub last: Micros,
}

impl Count {
    fn add(&mut self, more: &Self) {
        if self.messages == 0 {
            self.first = more.first;
        }
        for (sum, n) in [
            (&mut self.messages, more.messages),
            (&mut self.rows, more.rows),
            (&mut self.unparsed, more.unparsed),
            (&mut self.other, more.other),
            (&mut self.kept, more.kept),
            (&mut self.cut, more.cut),
            (&mut self.over, more.over),
        ] {
            *sum = sum.saturating_add(n);
        }
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
    }
}

/// All counts.
#[derive(Debug, Default)]
pub struct Counts(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    entries: BTreeMap<Delivery, (Count, bool)>,
}

impl Counts {
    /// Goes on from what an earlier life counted.
    pub fn load(&self, entries: impl IntoIterator<Item = (Delivery, Count)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (delivery, count) in entries {
            all.entries.entry(delivery).or_default().0.add(&count);
        }
    }

    /// Every entry.
    #[must_use]
    pub fn all(&self) -> Vec<(Delivery, Count)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entries.iter().map(|(delivery, (count, _))| (delivery.clone(), *count)).collect()
    }

    /// The entries that changed since this was asked last.
    #[must_use]
    pub fn changed(&self) -> Vec<(Delivery, Count)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = all.entries.iter_mut().filter(|(_, (_, changed))| *changed);
        changed
            .map(|(delivery, (count, changed))| {
                *changed = false;
                (delivery.clone(), *count)
            })
            .collect()
    }

    fn add<'a>(&self, counted: impl Iterator<Item = (&'a Delivery, &'a Count)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (delivery, more) in counted {
            let entry = match all.entries.get_mut(delivery) {
                Some(entry) => entry,
                None => {
                    let room = all.entries.len() < ENTRIES;
                    let delivery = if room { delivery.clone() } else { rest(&delivery.source) };
                    all.entries.entry(delivery).or_default()
                }
            };
            entry.0.add(more);
            entry.1 = true;
        }
    }
}

fn rest(source: &str) -> Delivery {
    Delivery { host: REST.into(), sender: REST.into(), source: source.into() }
}

/// What one desk counted since it last said.
#[derive(Debug)]
pub(crate) struct Tallies {
    source: &'static str,
    places: HashMap<(Box<str>, Box<str>), usize>,
    entries: Vec<(Delivery, Count)>,
}

impl Tallies {
    pub(crate) fn new(source: &'static str) -> Self {
        Self { source, places: HashMap::new(), entries: vec![(rest(source), Count::default())] }
    }

    /// Where a host's messages from a sender are counted. Places last as long as the desk.
    pub(crate) fn place(&mut self, host: &str, sender: &str) -> usize {
        let key = (host.into(), sender.into());
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        if self.entries.len() > PLACES {
            return 0;
        }
        let place = self.entries.len();
        let delivery = Delivery { host: host.into(), sender: sender.into(), source: self.source.into() };
        self.entries.push((delivery, Count::default()));
        self.places.insert(key, place);
        place
    }

    /// The count of a place, to which a message is added that came now.
    pub(crate) fn message(&mut self, place: usize, now: Micros) -> &mut Count {
        let place = if place < self.entries.len() { place } else { 0 };
        let count = &mut self.entries[place].1;
        if count.messages == 0 {
            count.first = now;
        }
        count.messages += 1;
        count.last = now;
        count
    }

    /// What was counted since it was last handed over.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&Delivery, &Count)> {
        self.entries.iter().filter(|(_, count)| count.messages > 0).map(|(d, c)| (d, c))
    }

    /// Adds all to the common counts, and begins anew.
    pub(crate) fn hand_over(&mut self, to: &Counts) {
        to.add(self.counted());
        for (_, count) in &mut self.entries {
            *count = Count::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn desks_add_up_and_what_changed_is_told_once() {
        let counts = Counts::default();
        let mut desks = [Tallies::new("syslog"), Tallies::new("syslog")];
        for (at, desk) in (1..).zip(&mut desks) {
            let place = desk.place("gw", "192.0.2.1");
            assert_eq!(desk.place("gw", "192.0.2.1"), place);
            desk.message(place, Micros(at * 10)).rows += 1;
            desk.message(place, Micros(at * 10 + 1)).other += 1;
            desk.hand_over(&counts);
            desk.hand_over(&counts);
        }
        let changed = counts.changed();
        let expected =
            Count { messages: 4, rows: 2, other: 2, first: Micros(10), last: Micros(21), ..Count::default() };
        let delivery = Delivery { host: "gw".into(), sender: "192.0.2.1".into(), source: "syslog".into() };
        assert_eq!(changed, [(delivery, expected)]);
        assert!(counts.changed().is_empty());

        let next = Counts::default();
        next.load(counts.all());
        assert!(next.changed().is_empty(), "the catalog has it already");
        desks[0].message(1, Micros(50)).rows += 1;
        desks[0].hand_over(&next);
        assert_eq!(next.all()[0].1, Count { messages: 5, rows: 3, last: Micros(50), ..expected });
    }

    #[test]
    fn invented_names_are_counted_together() {
        let (counts, mut desk) = (Counts::default(), Tallies::new("syslog"));
        for n in 0..2 * PLACES {
            let place = desk.place(&n.to_string(), "192.0.2.1");
            desk.message(place, Micros(1));
        }
        desk.hand_over(&counts);
        let all = counts.all();
        assert_eq!(all.len(), PLACES + 1);
        let sum: u64 = all.iter().map(|(_, count)| count.messages).sum();
        assert_eq!(sum, 2 * PLACES as u64);
        assert_eq!(all[0].0, rest("syslog"));
    }
}
