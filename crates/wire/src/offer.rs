//! The configuration of a host, as its server offers it and as the host says what became of it.
//!
//! Only texts and numbers pass here: what a text means, and whether it may be said at all, is the agent's to judge.

use crate::error::printable;
use serde::{Deserialize, Serialize};

/// Versions, keys and parts of one message that are kept.
const MOST: usize = 64;
/// Letters of a reason.
const WHY: usize = 500;
/// Letters of a key.
const KEY: usize = 64;

/// All that a server says of a host's configuration: parts, of which the later ones count over those before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The most general one first. None: the host's own configuration alone counts.
    pub parts: Vec<Part>,
}

/// A text that is kept at the server under a number, which names it for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number.
    pub version: u64,
    /// Whom it is for: `*`, `group:NAME` or `host:NAME`.
    pub target: String,
    /// TOML.
    pub text: String,
}

impl Offer {
    /// The numbers of its parts, which name it.
    #[must_use]
    pub fn versions(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.version).collect()
    }
}

/// What an agent says of what it was offered, as it opens a stream. One that says nothing is offered nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configured {
    /// The parts that count there.
    pub versions: Vec<u64>,
    /// What it did not take, or gave up.
    pub refused: Option<NotTaken>,
    /// Keys that the server says otherwise, and the host itself decides.
    pub held: Vec<String>,
    /// Keys that count when the agent is started anew.
    pub after_restart: Vec<String>,
}

/// An offer that does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotTaken {
    /// Its parts.
    pub versions: Vec<u64>,
    /// Why.
    pub why: String,
    /// Whether it would be tried again.
    pub again: bool,
}

impl Configured {
    /// As it may be kept: bounded, and without what a terminal would obey.
    pub(crate) fn bounded(mut self) -> Self {
        let keys = |keys: Vec<String>| -> Vec<String> {
            keys.iter().take(MOST).map(|key| printable(key).chars().take(KEY).collect()).collect()
        };
        self.versions.truncate(MOST);
        if let Some(refused) = &mut self.refused {
            refused.versions.truncate(MOST);
            refused.why = printable(&refused.why).chars().take(WHY).collect();
        }
        Self { held: keys(self.held), after_restart: keys(self.after_restart), ..self }
    }
}

/// What a host is known to have, for as long as its stream is open.
#[derive(Debug)]
pub(crate) struct Has {
    versions: Vec<u64>,
    never: Option<Vec<u64>>,
}

impl Has {
    pub(crate) fn new(configured: &Configured) -> Self {
        let never = configured.refused.as_ref().filter(|refused| !refused.again);
        Self { versions: configured.versions.clone(), never: never.map(|refused| refused.versions.clone()) }
    }

    /// Whether an offer is worth saying; it counts as said then.
    pub(crate) fn lacks(&mut self, offer: &Offer) -> bool {
        let versions = offer.versions();
        if self.versions == versions || self.never.as_ref() == Some(&versions) {
            return false;
        }
        self.versions = versions;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(versions: &[u64]) -> Offer {
        let part = |version: &u64| Part { version: *version, target: "*".into(), text: String::new() };
        Offer { parts: versions.iter().map(part).collect() }
    }

    #[test]
    fn an_offer_is_said_once_and_one_that_was_refused_for_good_never() {
        let refused = |again| Some(NotTaken { versions: vec![7], why: String::new(), again });
        let configured =
            |again| Configured { versions: vec![3], refused: refused(again), ..Configured::default() };
        let mut has = Has::new(&configured(false));
        assert!(!has.lacks(&offer(&[3])) && !has.lacks(&offer(&[7])));
        assert!(has.lacks(&offer(&[3, 7])) && !has.lacks(&offer(&[3, 7])));
        assert!(has.lacks(&offer(&[])), "nothing is an offer, too");
        assert!(Has::new(&configured(true)).lacks(&offer(&[7])));
    }

    #[test]
    fn what_is_kept_of_a_host_has_bounds() {
        let configured = Configured {
            versions: vec![1; 1000],
            refused: Some(NotTaken { versions: vec![1; 1000], why: "\u{1b}[2J".repeat(1000), again: true }),
            held: vec!["k".repeat(1000); 1000],
            after_restart: vec![],
        }
        .bounded();
        let refused = configured.refused.unwrap();
        assert_eq!((configured.versions.len(), refused.versions.len(), configured.held.len()), (64, 64, 64));
        assert!(refused.why.chars().count() <= WHY && !refused.why.contains('\u{1b}'));
        assert_eq!(configured.held[0].len(), KEY);
    }
}
