//! The threads on which tails look at what arrives.
//!
//! Every row is looked at for each filter, so many tails are much work; but a tail that is late only shows later, or counts
//! what it did not see, while a row that is not taken in keeps a host waiting. So all of them stand back far behind whatever
//! takes rows in, and share what is left of the processors. They are not idle threads (`SCHED_IDLE`): those cost taking in
//! hardly less, and showed nothing for as long as anything else kept the processors busy.

use bartizan_query::Background;
use tokio::runtime::Handle;

/// How far they stand back: a processor that both want is theirs for a thirtieth of the time.
const NICE: i32 = 15;

/// Runs tails.
#[derive(Debug)]
pub struct Onlookers(Background);

impl Onlookers {
    /// With so many threads.
    ///
    /// # Errors
    /// If there can be no threads.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        Ok(Self(Background::new("tail", threads, NICE)?))
    }

    /// Where tails are begun.
    pub(crate) fn handle(&self) -> &Handle {
        self.0.handle()
    }
}
