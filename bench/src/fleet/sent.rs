//! Events as the agents of their hosts send them: numbered batches, received a moment after they were closed.

use super::world::HOSTS;
use super::{Event, Fleet, Plan};
use arrow_array::RecordBatch;
use bartizan_model::{BatchId, Micros, Seq};

/// From the end of a batch to its receipt: group commit of the spool and the way.
const DELAY: (i64, i64) = (20_000, 80_000);

/// When an agent closes a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batching {
    /// With so many rows.
    pub(crate) rows: usize,
    /// So many microseconds after it began.
    pub(crate) age: i64,
}

impl Batching {
    /// As agents are set when they come: a host that logs a few events a second sends each alone.
    pub(crate) const LIVE: Self = Self { rows: 8192, age: 100_000 };

    /// Batches as busy hosts have them, of 500 rows on average, however few events there are: for loading in bulk.
    pub(crate) fn bulk(plan: Plan) -> Self {
        let per_host = plan.events / HOSTS as f64 / f64::from(plan.days) / Micros::DAY as f64;
        Self { rows: 8192, age: (500.0 / per_host) as i64 }
    }
}

/// One batch on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The place of its host.
    pub(crate) host: u8,
    pub(crate) seq: u64,
    pub(crate) received: Micros,
    pub(crate) events: Vec<Event>,
}

impl Sent {
    /// Its name.
    pub(crate) fn id(&self, fleet: &Fleet) -> BatchId {
        BatchId { stream: fleet.stream(self.host), seq: Seq(self.seq) }
    }

    /// The batch as its agent makes it.
    pub(crate) fn wire(&self) -> RecordBatch {
        super::columns::wire_rows(&self.events)
    }
}

/// The agents. They are given the hours one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Senders {
    batching: Batching,
    last: [u64; HOSTS],
}

impl Senders {
    pub(crate) const fn new(batching: Batching) -> Self {
        Self { batching, last: [0; HOSTS] }
    }

    /// The batches of events that are in order of time, in the order in which the server receives them.
    pub(crate) fn cut(&mut self, events: &[Event]) -> Vec<Sent> {
        let mut open: Vec<Vec<Event>> = vec![Vec::new(); HOSTS];
        let mut sent = Vec::new();
        for event in events {
            let batch = &mut open[usize::from(event.host)];
            let closed = batch.first().is_some_and(|first| event.time - first.time >= self.batching.age);
            if closed || batch.len() >= self.batching.rows {
                sent.push(self.close(std::mem::take(batch)));
            }
            batch.push(*event);
        }
        sent.extend(open.into_iter().filter(|batch| !batch.is_empty()).map(|batch| self.close(batch)));
        sent.sort_by_key(|batch| (batch.received, batch.host, batch.seq));
        sent
    }

    /// `events` is not empty.
    fn close(&mut self, events: Vec<Event>) -> Sent {
        let (first, last) = (events[0], events[events.len() - 1]);
        let seq = &mut self.last[usize::from(first.host)];
        *seq += 1;
        let ended =
            if events.len() >= self.batching.rows { last.time } else { first.time + self.batching.age };
        // spread without another source of randomness
        let spread = last.time.wrapping_mul(0x9e37_79b9).rem_euclid(DELAY.1);
        Sent { host: first.host, seq: *seq, received: Micros(ended + DELAY.0 + spread), events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_event_is_sent_once_and_numbers_have_no_gaps() {
        let plan = Plan { events: 200_000.0, days: 1, seed: 42 };
        let fleet = Fleet::new(plan);
        let bulk = Batching::bulk(plan);
        for batching in [Batching::LIVE, bulk, Batching { rows: 7, age: i64::MAX / 4 }] {
            let mut senders = Senders::new(batching);
            let mut seqs: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
            for hour in 0..2 {
                let events = fleet.hour(hour);
                let sent = senders.cut(&events);
                let mut all: Vec<Event> = sent.iter().flat_map(|s| s.events.clone()).collect();
                all.sort_by_key(|e| (e.time, e.host, e.src, e.dst, e.ports));
                let mut want = events.clone();
                want.sort_by_key(|e| (e.time, e.host, e.src, e.dst, e.ports));
                assert_eq!(all, want);
                assert!(
                    sent.iter().all(|s| s.events.len() <= batching.rows && s.events[0].time < s.received.0)
                );
                assert!(sent.iter().all(|s| s.events.iter().all(|e| e.host == s.host)));
                sent.iter().for_each(|s| seqs.entry(s.host).or_default().push(s.seq));
            }
            for mut numbers in seqs.into_values() {
                numbers.sort_unstable();
                assert!(numbers.iter().copied().eq(1..=numbers.len() as u64));
            }
        }
    }
}
