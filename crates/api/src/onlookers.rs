//! The threads on which tails look at what arrives.
//!
//! Each tail looks at every row, so many tails are much work; but a tail that is late only shows later, or counts what
//! it did not see, while a row that is not taken in keeps a host waiting. So all of them have what nobody else wants of the
//! processors. A lesser priority alone is not enough: whoever takes rows in waits for a moment again and again, and would
//! find a tail in its place each time.

use bartizan_query::{Background, Rank};

/// Runs tails.
#[derive(Debug)]
pub struct Onlookers(Background);

impl Onlookers {
    /// With so many threads.
    ///
    /// # Errors
    /// If there can be no threads.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        Ok(Self(Background::new("tail", threads, Rank::Last)?))
    }

    pub(crate) fn spawn(&self, tail: impl Future<Output = ()> + Send + 'static) {
        self.0.handle().spawn(tail);
    }
}
