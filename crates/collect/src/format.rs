//! What is spoken on a listener: bytes taken apart, onto its desk.
//!
//! A format of connections is a [`Talk`] each, those of datagrams are [`Datagrams`]. Both get the
//! open desk, so that many messages cost one lock, and add to it by [`Open::text`], or [`Open::put`] and
//! [`Open::count`].

mod netflow;
mod relp;
mod syslog;
mod ulogd;

use crate::desk::Open;
use crate::sender::Sender;
use crate::settings::{Listener, Speech};
use bartizan_intake::ipfix::Exports;
use bartizan_intake::ulogd::JsonReader;
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
            Self::UlogdTcp | Self::UlogdTls | Self::UlogdUdp | Self::UlogdUnix => "ulogd",
            Self::Netflow => "netflow",
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
            Self::UlogdTcp | Self::UlogdTls | Self::UlogdUnix => Box::new(ulogd::Records::new(settings)),
            _ => Box::new(syslog::Messages::new(settings.max_message)),
        }
    }
}

/// The datagrams of a listener, with what one of them needs of those before.
pub(crate) enum Datagrams {
    Syslog,
    Ulogd(Box<JsonReader>),
    Netflow(Exports),
}

impl Datagrams {
    pub(crate) fn new(settings: &Listener) -> Self {
        match settings.speech {
            Speech::UlogdUdp => Self::Ulogd(Box::new(ulogd::reader(settings))),
            Speech::Netflow => Self::Netflow(Exports::default()),
            _ => Self::Syslog,
        }
    }

    /// Takes one datagram.
    pub(crate) fn take(&mut self, bytes: &[u8], desk: &mut Open, sender: &mut Sender, now: Micros) {
        let max = desk.settings().max_message;
        let (text, cut) = (&bytes[..bytes.len().min(max)], bytes.len() > max);
        match self {
            Self::Syslog => desk.text(text, cut, sender, now),
            Self::Ulogd(reader) => ulogd::records(reader, text, cut, desk, sender, now),
            // half a message would be taken for a damaged one
            Self::Netflow(exports) => netflow::datagram(exports, bytes, desk, sender, now),
        }
    }
}
