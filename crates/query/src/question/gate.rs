//! Turns: only so many questions work at one time, and askers take turns, so that one who asks twenty large
//! questions does not keep the others waiting for all of them.
//!
//! Invariants:
//! - One asker never holds all permits, unless there is but one.
//! - A permit that becomes free goes to the next asker, in a ring, who waits and may have it.
//! - Whoever stops waiting, or drops a permit, leaves nothing behind.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Where questions wait.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    held_by: BTreeMap<u64, usize>,
    waiting: BTreeMap<u64, VecDeque<oneshot::Sender<Permit>>>,
    last: u64,
}

/// May work until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Option<Arc<Gate>>,
    asker: u64,
}

impl Gate {
    pub(crate) fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { permits: permits.max(1), state: Mutex::default() })
    }

    /// Waits for a permit.
    pub(crate) async fn enter(self: &Arc<Self>, asker: u64) -> Permit {
        let mine = {
            let mut state = self.state();
            let (give, mine) = oneshot::channel();
            state.waiting.entry(asker).or_default().push_back(give);
            self.hand_out(&mut state);
            mine
        };
        // The sender is kept until a permit went through it, so that this cannot fail; if it did, nobody counts.
        mine.await.unwrap_or(Permit { gate: None, asker })
    }

    fn leave(self: &Arc<Self>, asker: u64) {
        let mut state = self.state();
        state.held -= 1;
        if let Some(held) = state.held_by.get_mut(&asker) {
            *held -= 1;
            if *held == 0 {
                state.held_by.remove(&asker);
            }
        }
        self.hand_out(&mut state);
    }

    fn hand_out(self: &Arc<Self>, state: &mut State) {
        let most = self.permits.saturating_sub(1).max(1);
        while state.held < self.permits {
            let may = |asker: &u64| state.held_by.get(asker).copied().unwrap_or(0) < most;
            let after =
                state.waiting.range((std::ops::Bound::Excluded(state.last), std::ops::Bound::Unbounded));
            let before = state.waiting.range(..=state.last);
            let Some(asker) = after.chain(before).map(|(asker, _)| *asker).find(may) else { return };
            let Some(queue) = state.waiting.get_mut(&asker) else { return };
            let next = queue.pop_front();
            if queue.is_empty() {
                state.waiting.remove(&asker);
            }
            let Some(next) = next else { continue };
            let permit = Permit { gate: Some(Arc::clone(self)), asker };
            match next.send(permit) {
                Ok(()) => {
                    state.held += 1;
                    *state.held_by.entry(asker).or_default() += 1;
                    state.last = asker;
                }
                // It waits no more, and this permit was never counted.
                Err(mut permit) => permit.gate = None,
            }
        }
    }

    /// Nothing that can panic runs while the state is half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.leave(self.asker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn askers_take_turns_and_nobody_has_all() {
        let gate = Gate::new(2);
        let first = gate.enter(1).await;
        assert!(gate.enter(1).now_or_never().is_none(), "the last permit is for somebody else");
        let other = gate.enter(2).now_or_never().unwrap();
        let mut waiting: Vec<_> = [1, 1, 1, 3, 2].map(|who| (who, Box::pin(gate.enter(who)))).into();
        for (_, enter) in &mut waiting {
            assert!(enter.as_mut().now_or_never().is_none());
        }
        // One that goes away while it waits takes nothing with it.
        drop(waiting.remove(1));
        let mut order = Vec::new();
        let mut held = vec![first, other];
        while !waiting.is_empty() {
            held.remove(0);
            let ready = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(i, (who, enter))| enter.as_mut().now_or_never().map(|permit| (i, *who, permit)));
            let (i, who, permit) = ready.unwrap();
            order.push(who);
            held.push(permit);
            drop(waiting.remove(i));
        }
        assert_eq!(order, [3, 1, 2, 1]);
        drop(held);
        let state = gate.state();
        assert!(state.held == 0 && state.held_by.is_empty() && state.waiting.is_empty(), "{state:?}");
    }
}
