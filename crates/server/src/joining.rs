//! What is done for strangers who say that they have a join token, within bounds.
//!
//! A token costs a look into the catalog; one that is good, a signature to verify, one to make, and some writes. So:
//! - a network that comes with tokens that do not exist has to wait, as with wrong passwords ([`Attempts`]);
//! - a few enrolments are worked on at one time, more wait for their turn, and who comes beyond that is to come again.
//!
//! Whoever has a good token waits for the guesses of nobody but his own network.

use bartizan_people::Attempts;
use bartizan_wire::Refusal;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Enrolments that are worked on at one time.
const AT_WORK: usize = 4;
/// Those and the ones that wait for their turn: some seconds of work.
const INSIDE: usize = 512;

/// Gives turns.
#[derive(Debug)]
pub(crate) struct Joining {
    guesses: Mutex<Attempts>,
    inside: Semaphore,
    at_work: Semaphore,
}

/// A turn; the work is done while it lives.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _inside: SemaphorePermit<'a>,
    _work: SemaphorePermit<'a>,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Too many tokens of this network did not exist.
    Guesses(Duration),
    /// Too many want to join.
    Busy,
}

impl Turned {
    /// The reason, for those who count.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Guesses(_) => "guesses",
            Self::Busy => "busy",
        }
    }

    /// The same for who is turned away.
    pub(crate) fn refusal(self) -> Refusal {
        Refusal::retry(match self {
            Self::Guesses(wait) => format!(
                "too many join tokens of your network are unknown here: try again in {} seconds",
                wait.as_secs() + 1
            ),
            Self::Busy => "too many hosts are joining: try again in a moment".to_owned(),
        })
    }
}

impl Default for Joining {
    fn default() -> Self {
        Self { guesses: Mutex::default(), inside: Semaphore::new(INSIDE), at_work: Semaphore::new(AT_WORK) }
    }
}

impl Joining {
    fn guesses(&self) -> MutexGuard<'_, Attempts> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of somebody from there.
    pub(crate) async fn turn(&self, from: IpAddr, now: Instant) -> Result<Turn<'_>, Turned> {
        if let Some(wait) = self.guesses().waits(Some(from), now) {
            return Err(Turned::Guesses(wait));
        }
        let inside = self.inside.try_acquire().map_err(|_| Turned::Busy)?;
        let work = self.at_work.acquire().await.map_err(|_| Turned::Busy)?;
        Ok(Turn { _inside: inside, _work: work })
    }

    /// Notes a token that does not exist.
    pub(crate) fn guessed(&self, from: IpAddr, now: Instant) {
        self.guesses().failed(Some(from), None, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn who_guesses_waits_and_nobody_else() {
        let (joining, now) = (Joining::default(), Instant::now());
        for _ in 0..10 {
            assert!(joining.turn(ip("192.0.2.1"), now).await.is_ok());
            joining.guessed(ip("192.0.2.1"), now);
        }
        let turned = joining.turn(ip("192.0.2.1"), now).await.unwrap_err();
        assert_eq!(turned, Turned::Guesses(Duration::from_secs(60)));
        assert!(turned.refusal().reason.ends_with("in 61 seconds"), "{}", turned.refusal());
        assert!(joining.turn(ip("192.0.2.2"), now).await.is_ok());
        assert!(joining.turn(ip("192.0.2.1"), now + Duration::from_secs(60)).await.is_ok());
    }

    #[tokio::test]
    async fn a_few_are_worked_on_more_wait_and_the_rest_comes_again() {
        let (joining, now) = (Joining::default(), Instant::now());
        let mut working = Vec::new();
        for _ in 0..AT_WORK {
            working.push(joining.turn(ip("192.0.2.1"), now).await.unwrap());
        }
        let mut waiting: Vec<_> =
            (AT_WORK..INSIDE).map(|_| Box::pin(joining.turn(ip("192.0.2.1"), now))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert_eq!(joining.turn(ip("192.0.2.2"), now).await.unwrap_err(), Turned::Busy);
        working.pop();
        assert!(waiting[0].as_mut().now_or_never().is_some_and(|turn| turn.is_ok()));
        drop((working, waiting));
        assert_eq!(
            (joining.inside.available_permits(), joining.at_work.available_permits()),
            (INSIDE, AT_WORK)
        );
    }
}
