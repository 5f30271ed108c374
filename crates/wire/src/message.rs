//! The small messages beside the batches: JSON, unknown keys ignored, so that either side may grow.

use crate::error::printable;
use crate::{Configured, Offer};
use bartizan_model::{Epoch, Kind, Lane, Micros, Seq};
use bartizan_pki::SecretHash;
use serde::{Deserialize, Serialize};

/// The version of the protocol that this program speaks. It names the messages, and the kinds and columns of batches.
pub const PROTOCOL_VERSION: u32 = 1;
/// The oldest version that this program still speaks. Programs two versions apart understand one another, so this is
/// never more than two behind.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Versions that a program speaks, as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The newest.
    pub(crate) newest: u32,
    /// The oldest; one that does not say speaks one only.
    pub(crate) oldest: Option<u32>,
}

impl Versions {
    /// What this program speaks.
    pub(crate) const OURS: Self = Self { newest: PROTOCOL_VERSION, oldest: Some(OLDEST_PROTOCOL) };

    fn oldest(self) -> u32 {
        self.oldest.unwrap_or(self.newest).min(self.newest)
    }

    /// The newest version that both sides speak; the newer program speaks as that one did.
    ///
    /// # Errors
    /// In words, if there is none.
    pub(crate) fn common(self, other: Self) -> Result<u32, String> {
        let newest = self.newest.min(other.newest);
        if newest >= self.oldest().max(other.oldest()) {
            return Ok(newest);
        }
        let what = match self.newest < other.newest {
            true => "update the agent",
            false => "update the server",
        };
        Err(format!("the agent speaks protocol {self}, the server {other}: {what}"))
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.oldest() {
            oldest if oldest == self.newest => write!(f, "{oldest}"),
            oldest => write!(f, "{oldest} to {}", self.newest),
        }
    }
}

/// The header in which a server says, as a stream begins, in how many milliseconds its hosts are to come back should it
/// be gone.
pub(crate) const SPREAD_HEADER: &str = "bartizan-spread-ms";

/// Which process of a host speaks: two that hold the same key are told apart by it (fault F22).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Speaker {
    /// Its version.
    pub version: String,
    /// Random for each process. Empty: an agent that does not say.
    pub instance: String,
    /// One life of a machine, as the kernel names it (`/proc/sys/kernel/random/boot_id`). Empty: unknown.
    pub boot: String,
}

/// The first word on a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    #[serde(default)]
    pub(crate) oldest: Option<u32>,
    pub(crate) lane: u8,
    pub(crate) epoch: Epoch,
    pub(crate) agent: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) instance: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) boot: String,
    /// Who does not say it does not understand [`Reply::Configuration`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) configured: Option<Configured>,
}

impl Hello {
    pub(crate) fn new(lane: Lane, epoch: Epoch, speaker: &Speaker, configured: Option<Configured>) -> Self {
        let Speaker { version, instance, boot } = speaker.clone();
        let Versions { newest, oldest } = Versions::OURS;
        let lane = lane.number();
        Self { version: newest, oldest, lane, epoch, agent: version, instance, boot, configured }
    }

    /// Bounded: it is kept while the host is known.
    pub(crate) fn speaker(&self) -> Speaker {
        let short = |text: &str| printable(text).chars().take(64).collect();
        Speaker { version: short(&self.agent), instance: short(&self.instance), boot: short(&self.boot) }
    }
}

/// What a batch is, on its first message.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct BatchMeta {
    pub(crate) kind: Kind,
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
    pub(crate) weight: u64,
    /// The sender's clock when it sent this, microseconds since 1970 (fault F21).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<Waiting>,
}

/// What a host says of itself beside a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its clock as it sent the batch.
    pub clock: Micros,
    /// What waits on it.
    pub waiting: Option<Waiting>,
}

impl From<Micros> for Told {
    fn from(clock: Micros) -> Self {
        Self { clock, waiting: None }
    }
}

/// What waits on a host behind the batch that says it: whatever of its spool is neither acknowledged nor on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Batches that were not sent yet.
    pub batches: u64,
    /// Bytes of the spool's files. They go in steps, so that some are there when nothing waits.
    pub bytes: u64,
    /// When the oldest of the batches was closed, roughly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Micros>,
}

/// What the server says on a stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    Committed(Seq),
    Refused { seq: Seq, permanent: bool, reason: String },
    Configuration(Offer),
}

/// What a new host asks, as the server sees it.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The hash of its token's secret.
    pub token: SecretHash,
    /// Its certificate request, PKCS#10 in DER, unverified.
    pub request: Vec<u8>,
    /// The name that it would like.
    pub name: String,
    /// The version of its agent.
    pub agent_version: String,
    /// Whether it should take the place of a host that has this name.
    pub replace: bool,
}

/// A certificate for a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The name it now has.
    pub name: String,
    /// Its certificate, PEM.
    pub cert_pem: String,
    /// The fleet's authority, PEM.
    pub ca_pem: String,
    /// Good until, microseconds since 1970.
    pub not_after: bartizan_model::Micros,
    /// The server's clock, microseconds since 1970: the difference is the host's offset.
    pub server_time: bartizan_model::Micros,
    /// Port of the agents at the same server.
    pub agent_port: u16,
    /// Whether somebody has to approve of the host before it may send.
    #[serde(default)]
    pub waiting: bool,
}

/// [`Enrolment`] on the wire.
#[derive(Serialize, Deserialize)]
pub(crate) struct EnrolCall {
    pub(crate) version: u32,
    #[serde(default)]
    pub(crate) oldest: Option<u32>,
    pub(crate) token: String,
    /// DER in base64.
    pub(crate) request: String,
    pub(crate) name: String,
    pub(crate) agent: String,
    #[serde(default)]
    pub(crate) replace: bool,
}

/// What a host sends to renew.
#[derive(Serialize, Deserialize)]
pub(crate) struct RenewCall {
    pub(crate) version: u32,
    #[serde(default)]
    pub(crate) oldest: Option<u32>,
    /// DER in base64.
    pub(crate) request: String,
    pub(crate) agent: String,
}

/// Whether a message says whose it is. No agent does; who somebody is, is in its certificate.
pub(crate) fn says_whose(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Whose {
        host: Option<serde::de::IgnoredAny>,
        host_id: Option<serde::de::IgnoredAny>,
        name: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice(json)
        .is_ok_and(|Whose { host, host_id, name }| host.is_some() || host_id.is_some() || name.is_some())
}

pub(crate) fn to_json(value: &impl Serialize) -> bytes::Bytes {
    serde_json::to_vec(value).expect("structs of numbers and texts can be written as JSON").into()
}

pub(crate) fn from_json<'a, T: Deserialize<'a>>(what: &str, json: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|e| printable(&format!("{what} cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_speak_is_spoken() {
        let speaks = |newest, oldest| Versions { newest, oldest };
        let same = |agent: Versions, server: Versions| agent.common(server).ok();
        // an agent of before versions had a range, a newer one that still knows how, and one that does not
        assert_eq!(same(speaks(1, None), Versions::OURS), Some(1));
        assert_eq!(same(speaks(3, Some(1)), speaks(1, Some(1))), Some(1));
        assert_eq!(same(speaks(2, Some(1)), speaks(4, Some(2))), Some(2));
        assert_eq!(same(speaks(4, Some(2)), speaks(2, Some(1))), Some(2));
        assert_eq!(same(speaks(1, Some(9)), Versions::OURS), Some(1), "what makes no sense is one version");
        let words = |agent: Versions, server| agent.common(server).unwrap_err();
        assert_eq!(
            words(speaks(4, Some(2)), speaks(1, Some(1))),
            "the agent speaks protocol 2 to 4, the server 1: update the server"
        );
        assert_eq!(
            words(speaks(1, None), speaks(4, Some(2))),
            "the agent speaks protocol 1, the server 2 to 4: update the agent"
        );
        const { assert!(OLDEST_PROTOCOL + 2 >= PROTOCOL_VERSION, "two versions apart") }
    }

    /// What the agents of versions that were given away say, byte by byte: it is understood for ever.
    #[test]
    fn what_older_agents_say_is_understood() {
        const HELLO: &[u8] = br#"{"version":1,"lane":0,"epoch":7,"agent":"0.1.0"}"#;
        let hello: Hello = from_json("it", HELLO).unwrap();
        assert_eq!((hello.version, hello.oldest, hello.speaker().instance.as_str()), (1, None, ""));
        const META: &[u8] = br#"{"kind":"events","epoch":7,"seq":9,"weight":3}"#;
        let meta: BatchMeta = from_json("it", META).unwrap();
        assert_eq!(
            (meta.kind, meta.seq, meta.clock, meta.waiting.is_none()),
            (Kind::Events, Seq(9), None, true)
        );
        const ENROL: &[u8] = br#"{"version":1,"token":"x","request":"","name":"web-01","agent":"0.1.0"}"#;
        let call: EnrolCall = from_json("it", ENROL).unwrap();
        assert!(!call.replace && call.oldest.is_none());
        // and what newer ones say beside it is passed over
        let newer = String::from_utf8_lossy(HELLO).replacen('{', r#"{"features":["x"],"oldest":1,"#, 1);
        assert_eq!(from_json::<Hello>("it", newer.as_bytes()).unwrap().oldest, Some(1));
    }

    #[test]
    fn a_message_that_says_whose_it_is_is_told_from_those_that_do_not() {
        let hello =
            Hello::new(Lane::MEMORY, Epoch(3), &Speaker { version: "1".into(), ..Speaker::default() }, None);
        assert!(!says_whose(&to_json(&hello)));
        let meta = BatchMeta {
            kind: Kind::Events,
            epoch: Epoch(3),
            seq: Seq(1),
            weight: 1,
            clock: Some(Micros(1)),
            waiting: Some(Waiting::default()),
        };
        assert!(!says_whose(&to_json(&meta)));
        for claim in [r#""host":"web-2""#, r#""host_id":[1]"#, r#""name":{"a":1}"#] {
            let whole =
                String::from_utf8(to_json(&meta).to_vec()).unwrap().replacen('{', &format!("{{{claim},"), 1);
            assert!(
                from_json::<BatchMeta>("it", whole.as_bytes()).is_ok() && says_whose(whole.as_bytes()),
                "{whole}"
            );
        }
    }
}
