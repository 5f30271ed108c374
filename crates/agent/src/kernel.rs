//! Questions to one namespace's nf_tables; the socket is opened when it is first needed, and anew after an error.

use crate::open::Open;
use bartizan_decode::conntrack::Flow;
use bartizan_netfilter::{CounterReading, NetfilterError, Netns, Nftables};
use bartizan_ruleset::LogRule;
use std::sync::Arc;

/// Somebody to ask.
pub(crate) struct Kernel {
    open: Arc<dyn Open>,
    netns: Netns,
    socket: Option<Nftables>,
}

impl Kernel {
    pub(crate) fn new(open: &Arc<dyn Open>, netns: &Netns) -> Self {
        Self { open: Arc::clone(open), netns: netns.clone(), socket: None }
    }

    /// The rules that log to a group, with their counters.
    pub(crate) fn log_rules(&mut self) -> Result<Vec<LogRule>, NetfilterError> {
        self.ask(Nftables::log_rules)
    }

    /// The number of the ruleset, behind any change that is being made; 0 where nf_tables is not there.
    pub(crate) fn generation(&mut self) -> Result<u32, NetfilterError> {
        self.ask(Nftables::settled_generation).map(|number| number.unwrap_or(0))
    }

    /// Every counter.
    pub(crate) fn counters(&mut self) -> Result<Vec<CounterReading>, NetfilterError> {
        self.ask(Nftables::counters)
    }

    /// Gives every tracked connection to `each`; false when the list was not whole.
    pub(crate) fn connections(&mut self, each: impl FnMut(&Flow<'_>)) -> Result<bool, NetfilterError> {
        self.ask(|nftables| nftables.connections(0, each))
    }

    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Nftables) -> Result<T, NetfilterError>,
    ) -> Result<T, NetfilterError> {
        let socket = match &mut self.socket {
            Some(open) => open,
            None => self.socket.insert(self.open.nftables(&self.netns)?),
        };
        let answer = question(socket);
        if answer.is_err() {
            self.socket = None;
        }
        answer
    }
}
