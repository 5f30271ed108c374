//! The control channel: what the opener tells the worker to do, and what the worker has to say.

use super::channel::Channel;
use std::io;

/// From the opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Make durable what there is, and end.
    Stop,
    /// Read the configuration anew.
    Reload,
}

/// From the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Capturing, or done with a reload.
    Ready,
    /// Something moved, or there was nothing to do.
    Progress,
    /// A line of state.
    State(String),
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Link(Channel);

impl Order {
    pub(crate) fn to_bytes(self) -> [u8; 1] {
        match self {
            Self::Stop => *b"S",
            Self::Reload => *b"R",
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"S" => Some(Self::Stop),
            b"R" => Some(Self::Reload),
            _ => None,
        }
    }
}

impl Notice {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ready => b"r".to_vec(),
            Self::Progress => b"p".to_vec(),
            Self::State(line) => [b"s", line.as_bytes()].concat(),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"r" => Some(Self::Ready),
            b"p" => Some(Self::Progress),
            [b's', line @ ..] => String::from_utf8(line.to_vec()).ok().map(Self::State),
            _ => None,
        }
    }
}

impl Link {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Waits for the next order; `None` when the opener is gone.
    pub(crate) fn order(&self) -> io::Result<Option<Order>> {
        loop {
            match self.0.recv()? {
                None => return Ok(None),
                Some(message) => match Order::from_bytes(&message.bytes) {
                    Some(order) => return Ok(Some(order)),
                    None => tracing::warn!("an order that is none"),
                },
            }
        }
    }

    /// Tells the opener.
    pub(crate) fn tell(&self, notice: &Notice) {
        if let Err(error) = self.0.send(&notice.to_bytes(), &[]) {
            tracing::debug!(%error, "the opener was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_notices_read_back_and_nothing_else_is_one() {
        for order in [Order::Stop, Order::Reload] {
            assert_eq!(Order::from_bytes(&order.to_bytes()), Some(order));
        }
        for notice in [Notice::Ready, Notice::Progress, Notice::State("5 events".into())] {
            assert_eq!(Notice::from_bytes(&notice.to_bytes()), Some(notice));
        }
        assert_eq!((Order::from_bytes(b"SS"), Notice::from_bytes(b"")), (None, None));
        assert_eq!(Notice::from_bytes(b"s\xff"), None);
    }
}
