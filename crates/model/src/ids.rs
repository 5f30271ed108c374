use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

impl ParseIdError {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.chars().take(80).collect() }
    }
}

/// A host's identity: the first 16 bytes of the SHA-256 of its public key (SubjectPublicKeyInfo, DER).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(Uuid);

impl HostId {
    /// The id from its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostId({self})")
    }
}

impl FromStr for HostId {
    type Err = ParseIdError;

    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        Uuid::try_parse(s).map(Self).map_err(|_| ParseIdError::new("host id", s))
    }
}

/// One of a host's few ordered sequences of batches.
///
/// A host has several so that live rows need not wait behind a backlog: what piled up in one lane is sent
/// at leisure while new rows use another. Batches of one lane are in order; lanes know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lane(u8);

impl Lane {
    /// Lanes whose batches wait on the host's disk.
    pub const DISK: [Self; 4] = [Self(0), Self(1), Self(2), Self(3)];
    /// The lane whose batches wait in memory, used while the disk fails. Its epoch is new at each start.
    pub const MEMORY: Self = Self(15);

    /// The lane of a number, if it is one.
    #[must_use]
    pub fn from_number(n: u8) -> Option<Self> {
        (n < 4 || n == 15).then_some(Self(n))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// One life of a spool. A new one starts when a spool is made, so that sequence numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The number of a batch in its stream and epoch; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first batch.
    pub const ZERO: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Batches of a stream that its sender may have on the way, sent and not yet acknowledged.
pub const IN_FLIGHT: u64 = 64;

/// One life of one stream: host, lane and epoch. High-water marks are kept per stream life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// Whose.
    pub host: HostId,
    /// Which of its lanes.
    pub lane: Lane,
    /// Which life of the lane.
    pub epoch: Epoch,
}

/// `HOST/LANE/EPOCH`, epoch in hex: the `appId` of a Delta `txn` action and the `stream` column.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{:016x}", self.host, self.lane.0, self.epoch.0)
    }
}

impl FromStr for StreamId {
    type Err = ParseIdError;

    fn from_str(s: &str) -> Result<Self, ParseIdError> {
        let parse = || {
            let mut parts = s.split('/');
            let id = Self {
                host: parts.next()?.parse().ok()?,
                lane: Lane::from_number(parts.next()?.parse().ok()?)?,
                epoch: Epoch(u64::from_str_radix(parts.next()?, 16).ok()?),
            };
            parts.next().is_none().then_some(id)
        };
        parse().ok_or_else(|| ParseIdError::new("stream", s))
    }
}

/// The name of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// Its stream.
    pub stream: StreamId,
    /// Its number there.
    pub seq: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_prints_and_parses() {
        let id = StreamId { host: HostId::from_bytes([7; 16]), lane: Lane::DISK[2], epoch: Epoch(0xfeed) };
        assert_eq!(id.to_string(), "07070707070707070707070707070707/2/000000000000feed");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in
            ["", "x/1/2", "07070707070707070707070707070707/9/1", "07070707070707070707070707070707/1/1/1"]
        {
            assert!(bad.parse::<StreamId>().is_err(), "{bad}");
        }
    }
}
