//! Sign-ins that were begun and not finished: each for ten minutes, for the browser that began it, and once.
//!
//! There are [`MOST`], and [`OF_ONE`] of one network; one more ends the oldest. So nobody keeps others out by beginning
//! many, unless he begins four thousand from a hundred networks while somebody types his password.

use crate::OidcError;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// How long somebody has at the provider.
const LIFE: Duration = Duration::from_secs(600);
/// How many there are.
const MOST: usize = 4096;
/// How many of one network.
const OF_ONE: usize = 32;

/// A sign-in that was begun.
pub(crate) struct Begun {
    /// SHA-256 of what the browser has in its cookie.
    browser: [u8; 32],
    from: Option<IpAddr>,
    since: Instant,
    /// What the ID token has to repeat.
    pub(crate) nonce: String,
    /// What proves to the provider that whoever has the code has begun.
    pub(crate) verifier: String,
    /// Where the page goes on.
    pub(crate) back: String,
}

/// What goes out of it.
pub(crate) struct Tickets {
    /// For the browser's cookie.
    pub(crate) secret: String,
    /// For the provider, who gives it back to the browser.
    pub(crate) state: String,
    pub(crate) nonce: String,
    /// SHA-256 of the verifier (PKCE, S256).
    pub(crate) challenge: String,
}

/// All of them, by SHA-256 of their states.
#[derive(Default)]
pub(crate) struct Pending(HashMap<[u8; 32], Begun>);

impl Pending {
    /// Begins one.
    pub(crate) fn begin(
        &mut self,
        back: &str,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<Tickets, OidcError> {
        let [secret, state, nonce, verifier] = [random()?, random()?, random()?, random()?];
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
        self.0.retain(|_, begun| now.saturating_duration_since(begun.since) < LIFE);
        if self.0.values().filter(|begun| from.is_some() && begun.from == from).count() >= OF_ONE {
            self.end_oldest(|begun| begun.from == from);
        }
        if self.0.len() >= MOST {
            self.end_oldest(|_| true);
        }
        let begun = Begun {
            browser: digest(&secret),
            from,
            since: now,
            nonce: nonce.clone(),
            verifier,
            back: own(back).into(),
        };
        self.0.insert(digest(&state), begun);
        Ok(Tickets { secret, state, nonce, challenge })
    }

    /// The one of this state, if this browser began it: from now on there is none.
    pub(crate) fn take(&mut self, state: &str, secret: &str, now: Instant) -> Option<Begun> {
        let state = digest(state);
        let begun = self.0.get(&state)?;
        let is_in_time = now.saturating_duration_since(begun.since) < LIFE;
        let is_his = bool::from(begun.browser.ct_eq(&digest(secret)));
        if is_in_time && is_his { self.0.remove(&state) } else { None }
    }

    fn end_oldest(&mut self, of: impl Fn(&Begun) -> bool) {
        let oldest = self.0.iter().filter(|(_, begun)| of(begun)).min_by_key(|(_, begun)| begun.since);
        if let Some(state) = oldest.map(|(state, _)| *state) {
            self.0.remove(&state);
        }
    }
}

/// A place of our own page, or its beginning.
fn own(back: &str) -> &str {
    let is_path = back.starts_with('/') && !back.starts_with("//");
    let is_plain =
        back.len() <= 2048 && !back.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace());
    if is_path && is_plain { back } else { "/" }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// 256 random bits.
fn random() -> Result<String, OidcError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| OidcError::Random)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn one_is_finished_once_by_its_browser_in_time() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let tickets = pending.begin("/explore?q=x", ip(1), now).unwrap();
        let other = pending.begin("/", ip(1), now).unwrap();
        assert_ne!((&tickets.state, &tickets.nonce), (&other.state, &other.nonce));
        for (state, secret) in [
            (&*tickets.state, &*other.secret),
            (&other.state, &tickets.secret),
            ("", &tickets.secret),
            (&tickets.state, ""),
        ] {
            assert!(pending.take(state, secret, now).is_none(), "{state} {secret}");
        }
        let late = now + LIFE;
        assert!(pending.take(&other.state, &other.secret, late).is_none());
        let begun = pending.take(&tickets.state, &tickets.secret, late - Duration::from_secs(1)).unwrap();
        assert_eq!((begun.nonce, begun.back.as_str()), (tickets.nonce, "/explore?q=x"));
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(begun.verifier.as_bytes()));
        assert_eq!((challenge, begun.verifier.len()), (tickets.challenge, 43));
        assert!(pending.take(&tickets.state, &tickets.secret, now).is_none(), "again");
    }

    #[test]
    fn many_are_bounded_and_nobody_is_kept_out() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let at = |n: usize| start + Duration::from_millis(n as u64);
        let his = pending.begin("/", ip(7), at(0)).unwrap();
        for n in 1..=100 {
            pending.begin("/", ip(8), at(n)).unwrap();
        }
        assert_eq!(pending.0.len(), 1 + OF_ONE, "of one network");
        for n in 0..MOST - OF_ONE - 1 {
            pending.begin("/", ip(1000 + n as u32), at(200 + n)).unwrap();
        }
        assert_eq!(pending.0.len(), MOST);
        let last = pending.begin("/", None, at(10_000)).unwrap();
        assert_eq!(pending.0.len(), MOST);
        assert!(pending.take(&his.state, &his.secret, at(10_000)).is_none(), "the oldest went");
        assert!(pending.take(&last.state, &last.secret, at(10_000)).is_some());
        pending.begin("/", None, start + LIFE + Duration::from_secs(60)).unwrap();
        assert_eq!(pending.0.len(), 1, "those that are over went");
    }

    #[test]
    fn only_a_place_of_this_page_is_gone_back_to() {
        for back in ["/", "/explore?q=dport%3A22", "/event/1.2#x"] {
            assert_eq!(own(back), back);
        }
        for back in [
            "",
            "explore",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\nb",
            "/a b",
            "javascript:x",
        ] {
            assert_eq!(own(back), "/", "{back:?}");
        }
        assert_eq!(own(&format!("/{}", "x".repeat(2048))), "/");
    }
}
