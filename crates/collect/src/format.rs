//! What is spoken on a listener: bytes taken apart, onto its desk.
//!
//! A format of connections is a [`Talk`] each, one of datagrams is a function of [`Speech::datagram`]. Both get the
//! open desk, so that many messages cost one lock, and add to it by [`Open::text`], or [`Open::put`] and
//! [`Open::count`].

mod relp;
mod syslog;

use crate::desk::Open;
use crate::sender::Sender;
use crate::settings::{Listener, Speech};
use bartizan_model::Micros;
use std::fmt;

/// One connection's conversation.
pub(crate) trait Talk: Send + Sync {
    /// Takes what can be taken of the bytes that have come and are not done with; how many are done with.
    ///
    /// # Errors
    /// If the connection is of no use any more.
    fn take(
        &mut self,
        bytes: &[u8],
        desk: &mut Open,
        sender: &mut Sender,
        now: Micros,
    ) -> Result<usize, Broken>;

    /// What is left when the other side has ended the connection.
    fn end(&mut self, bytes: &[u8], desk: &mut Open, sender: &mut Sender, now: Micros) {
        let _ = (bytes, desk, sender, now);
    }

    /// Moves the answers to what was taken, in order, to `out`. They are given when all that was taken is durable.
    fn answers(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Whether the other side has said that this is all.
    fn is_over(&self) -> bool {
        false
    }

    /// What is said when the server stops.
    fn farewell(&self) -> &'static [u8] {
        b""
    }
}

/// Why a connection is of no use any more.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Speech {
    /// The word of the `source` column.
    pub(crate) const fn source(self) -> &'static str {
        match self {
            Self::SyslogUdp | Self::SyslogTcp | Self::SyslogTls | Self::Relp => "syslog",
        }
    }

    /// Whether senders wait for answers.
    pub(crate) const fn answers(self) -> bool {
        matches!(self, Self::Relp)
    }

    /// A conversation on a new connection.
    pub(crate) fn talk(self, settings: &Listener) -> Box<dyn Talk> {
        match self {
            Self::Relp => Box::new(relp::Relp::new(settings.max_message)),
            _ => Box::new(syslog::Messages::new(settings.max_message)),
        }
    }

    /// Takes one datagram.
    pub(crate) fn datagram(self, bytes: &[u8], desk: &mut Open, sender: &mut Sender, now: Micros) {
        let max = desk.settings().max_message;
        desk.text(&bytes[..bytes.len().min(max)], bytes.len() > max, sender, now);
    }
}
