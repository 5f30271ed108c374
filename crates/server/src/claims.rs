//! Which process of a host may send, when there may be more than one: a machine that was cloned with its key
//! (fault F22).
//!
//! A process says who it is: a random instance, and the boot id of its machine. While the streams of one process are
//! open, and answer pings:
//! - another boot id is another machine: it is refused, to try again later, and keeps its rows;
//! - another instance of the same boot is the agent restarted: it takes over at once. The instance before is out for
//!   good: if it comes again while its successor lives, both live, and it is refused like another machine.
//!
//! Nothing is mixed up meanwhile: every process writes under epochs of its own, and what two copies of one spool have
//! in common is the same batch with the same name.
//!
//! In memory only: after a restart of the server, whoever comes first holds the claim.

use bartizan_model::{HostId, Micros};
use bartizan_wire::{Claim, Refusal, Speaker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Instances that are remembered as replaced, of each host.
const RETIRED: usize = 32;

/// Who holds each host's claim.
#[derive(Debug, Default)]
pub(crate) struct Claims(Arc<Mutex<BTreeMap<HostId, Holder>>>);

#[derive(Debug)]
struct Holder {
    speaker: Speaker,
    /// Open streams of it.
    streams: usize,
    lost: watch::Sender<bool>,
    retired: VecDeque<String>,
    /// When another process was last refused.
    clone_seen: Option<Micros>,
    /// Grows whenever all open streams are ended, so that those count no more when they are gone at last.
    round: u64,
}

/// Gives a stream's part of the claim back.
struct Held {
    holders: Arc<Mutex<BTreeMap<HostId, Holder>>>,
    host: HostId,
    round: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = holders.get_mut(&self.host)
            && holder.round == self.round
        {
            holder.streams = holder.streams.saturating_sub(1);
        }
    }
}

impl Claims {
    /// One more stream of a process of a host.
    pub(crate) fn claim(&self, host: HostId, speaker: Speaker, now: Micros) -> Result<Claim, Refusal> {
        if speaker.instance.is_empty() {
            // An agent that does not say who it is: as before there were claims.
            let never = watch::Sender::new(false);
            return Ok(Claim { lost: never.subscribe(), held: Box::new(never) });
        }
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = holders.entry(host).or_insert_with(|| Holder {
            speaker: speaker.clone(),
            streams: 0,
            lost: watch::Sender::new(false),
            retired: VecDeque::new(),
            clone_seen: None,
            round: 0,
        });
        if holder.speaker.instance != speaker.instance {
            let restarted =
                holder.speaker.boot == speaker.boot && !holder.retired.contains(&speaker.instance);
            if holder.streams > 0 && !restarted {
                holder.clone_seen = Some(now);
                return Err(Refusal::retry(
                    "another machine is sending with this host's key (a clone?): on one of the two remove `identity` from the agent's directory and enrol it again",
                ));
            }
            holder.succeed(speaker);
        }
        holder.streams += 1;
        let held = Held { holders: Arc::clone(&self.0), host, round: holder.round };
        Ok(Claim { lost: holder.lost.subscribe(), held: Box::new(held) })
    }

    /// Ends the open streams of a host; its process may ask for new ones.
    pub(crate) fn end(&self, host: HostId) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = holders.get_mut(&host) {
            holder.end();
        }
    }

    /// When a second process of a host was last refused.
    pub(crate) fn clone_seen(&self, host: HostId) -> Option<Micros> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host).and_then(|holder| holder.clone_seen)
    }
}

impl Holder {
    fn end(&mut self) {
        self.lost.send_replace(true);
        self.lost = watch::Sender::new(false);
        self.streams = 0;
        self.round += 1;
    }

    fn succeed(&mut self, speaker: Speaker) {
        self.end();
        self.retired.retain(|instance| *instance != speaker.instance);
        let before = std::mem::replace(&mut self.speaker, speaker);
        self.retired.push_back(before.instance);
        if self.retired.len() > RETIRED {
            self.retired.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostId = HostId::from_bytes([1; 16]);

    fn speaker(instance: &str, boot: &str) -> Speaker {
        Speaker { version: "1".into(), instance: instance.into(), boot: boot.into() }
    }

    fn claim(claims: &Claims, instance: &str, boot: &str) -> Option<Claim> {
        match claims.claim(HOST, speaker(instance, boot), Micros(5)) {
            Ok(claim) => Some(claim),
            Err(refusal) => {
                assert_eq!(refusal.kind, bartizan_wire::RefusalKind::Retry);
                None
            }
        }
    }

    #[test]
    fn another_machine_waits_until_the_first_is_gone() {
        let claims = Claims::default();
        let (one, two) = (claim(&claims, "a", "boot1").unwrap(), claim(&claims, "a", "boot1").unwrap());
        assert!(claim(&claims, "b", "boot2").is_none());
        assert_eq!(claims.clone_seen(HOST), Some(Micros(5)));
        assert!(!*one.lost.borrow());
        drop(one);
        assert!(claim(&claims, "b", "boot2").is_none(), "a stream is still open");
        drop(two);
        let held = claim(&claims, "b", "boot2").unwrap();
        assert!(claim(&claims, "a", "boot1").is_none(), "now the first one waits");
        assert!(!*held.lost.borrow());
        assert!(claims.claim(HostId::from_bytes([2; 16]), speaker("x", "boot2"), Micros(5)).is_ok());
    }

    #[test]
    fn a_restarted_agent_takes_over_and_the_one_before_is_out() {
        let claims = Claims::default();
        let first = claim(&claims, "a", "boot").unwrap();
        let second = claim(&claims, "b", "boot").unwrap();
        assert!(*first.lost.borrow() && !*second.lost.borrow());
        assert_eq!(claims.clone_seen(HOST), None);
        // The streams of the first end later: that is no end of the second's.
        drop(first);
        assert!(claim(&claims, "a", "boot").is_none(), "both live: a copy on the same machine");
        assert_eq!(claims.clone_seen(HOST), Some(Micros(5)));
        drop(second);
        assert!(claim(&claims, "a", "boot").is_some());
    }

    #[test]
    fn streams_that_were_ended_count_no_more() {
        let claims = Claims::default();
        let ended = claim(&claims, "a", "boot").unwrap();
        claims.end(HOST);
        assert!(*ended.lost.borrow());
        let again = claim(&claims, "a", "boot").unwrap();
        drop(ended);
        assert!(!*again.lost.borrow());
        assert!(claim(&claims, "b", "other boot").is_none(), "one stream is open");
        claims.end(HostId::from_bytes([9; 16]));
    }

    #[test]
    fn agents_that_do_not_say_are_let_in() {
        let claims = Claims::default();
        let (first, second) = (claim(&claims, "", "").unwrap(), claim(&claims, "", "").unwrap());
        assert!(!*first.lost.borrow() && !*second.lost.borrow());
        assert_eq!(claims.clone_seen(HOST), None);
    }
}
