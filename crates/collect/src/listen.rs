//! Sockets: what a listener needs to be heard, and the ends of its senders.

mod connections;
mod datagrams;
mod drops;
mod local;
mod talk;
mod tls;

pub(crate) use connections::{Connections, bind as bind_tcp};
pub(crate) use datagrams::{Datagrams, bind as bind_udp};
pub(crate) use local::Local;
pub(crate) use tls::acceptor;

use crate::agents::Agents;
use crate::desk::Desk;
use crate::ledger::Ledger;
use crate::rate::Rates;
use crate::sender::Sender;
use crate::settings::Listener;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// When `stop` is true, or nobody is left who could make it so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// What all senders of a listener share.
pub(crate) struct Place {
    pub(crate) settings: Arc<Listener>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) rates: Rates,
    /// The spool takes nothing.
    pub(crate) stuck: Arc<AtomicBool>,
}

impl Place {
    /// Somebody who delivers here.
    pub(crate) fn sender(&self, address: IpAddr, certificate: Option<&str>) -> Sender {
        let allowance = self.rates.of(address.to_canonical(), bartizan_clock::now());
        Sender::new(address, certificate, &self.settings, &self.agents, allowance)
    }
}
