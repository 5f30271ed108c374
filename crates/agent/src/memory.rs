//! The memory lane: where batches wait while the spool's disk is full or broken.
//!
//! Its epoch is new at each start of the agent, because its numbers do not survive the process; whatever it
//! holds when the process dies is found again as `not delivered` against the rules' counters.
//!
//! Known gap: that the server has some of its rows is in no account on the disk before the disk works again. A process that
//! dies before that counts them as lost, and so it does with what the server has and has not acknowledged yet: the ledger
//! then says too much, never too little.

use bartizan_model::{Epoch, Kind, Seq};
use std::collections::VecDeque;
use std::sync::Arc;

/// One batch in memory.
#[derive(Clone, Debug)]
pub(crate) struct MemoryRecord {
    pub(crate) seq: Seq,
    pub(crate) kind: Kind,
    pub(crate) weight: u64,
    pub(crate) payload: Arc<[u8]>,
}

/// A bounded queue of batches.
#[derive(Debug)]
pub(crate) struct MemoryLane {
    epoch: Epoch,
    last: Seq,
    acknowledged: Seq,
    records: VecDeque<MemoryRecord>,
    bytes: u64,
    limit: u64,
}

impl MemoryLane {
    pub(crate) fn new(epoch: Epoch, limit: u64) -> Self {
        Self { epoch, last: Seq::ZERO, acknowledged: Seq::ZERO, records: VecDeque::new(), bytes: 0, limit }
    }

    /// Another limit; what is there stays.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Records and bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.records.len() as u64, self.bytes)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Take a batch; `None` when there is no room for it.
    pub(crate) fn push(&mut self, kind: Kind, weight: u64, payload: &[u8]) -> Option<Seq> {
        let size = payload.len() as u64;
        if self.bytes.saturating_add(size) > self.limit {
            return None;
        }
        self.last = self.last.next();
        self.bytes += size;
        self.records.push_back(MemoryRecord { seq: self.last, kind, weight, payload: payload.into() });
        Some(self.last)
    }

    /// The first batch after a number.
    pub(crate) fn read(&self, after: Seq) -> Option<MemoryRecord> {
        self.records.iter().find(|r| r.seq > after).cloned()
    }

    /// The server has everything up to a number.
    pub(crate) fn acknowledge(&mut self, upto: Seq) {
        self.acknowledged = self.acknowledged.max(upto.min(self.last));
        while self.records.front().is_some_and(|r| r.seq <= upto) {
            if let Some(record) = self.records.pop_front() {
                self.bytes -= record.payload.len() as u64;
            }
        }
    }

    /// The number up to which the server has everything.
    pub(crate) fn acknowledged(&self) -> Seq {
        self.acknowledged
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_no_more_than_its_limit_and_forgets_what_is_acknowledged() {
        let mut lane = MemoryLane::new(Epoch(1), 10);
        assert_eq!(lane.push(Kind::Events, 1, &[0; 6]), Some(Seq(1)));
        assert_eq!(lane.push(Kind::Events, 1, &[0; 6]), None);
        assert_eq!(lane.push(Kind::Losses, 1, &[0; 4]), Some(Seq(2)));
        assert_eq!(lane.read(Seq(1)).map(|r| r.seq), Some(Seq(2)));
        lane.acknowledge(Seq(1));
        assert_eq!(lane.push(Kind::Events, 1, &[0; 6]), Some(Seq(3)));
        lane.acknowledge(Seq(9));
        assert!(lane.is_empty() && lane.bytes == 0);
    }
}
