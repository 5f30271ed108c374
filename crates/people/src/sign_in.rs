//! Signing in: with a name and a password, or with a token.

use crate::attempts::network;
use crate::password::Busy;
use crate::{People, PeopleError, Principal, PrincipalKind, second, secret};
use data_encoding::HEXLOWER;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Somebody tries.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// Who he says he is.
    pub user: &'a str,
    /// His password.
    pub password: &'a str,
    /// A code of his second factor.
    pub code: Option<&'a str>,
    /// From where.
    pub from: Option<IpAddr>,
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("user", &self.user).field("from", &self.from).finish_non_exhaustive()
    }
}

/// Why nobody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such user, or that is not the password or the code: which of them is not said.
    #[error("that is not known")]
    Wrong,
    /// The password is right, and a code is wanted as well.
    #[error("a code of the second factor is wanted")]
    CodeNeeded,
    /// There were too many wrong ones; try again after this time.
    #[error("too many wrong attempts")]
    TooMany(Duration),
    /// Too many sign in at this moment.
    #[error("too many sign in at this moment; try again in a few seconds")]
    Busy,
}

impl From<Busy> for Refused {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl People {
    /// Who has this token. Takes the same time for every token that nobody has: what is looked up is its hash.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<Principal> {
        let digest = secret::digest(token);
        if bool::from(self.local.ct_eq(&digest)) {
            return Some(Principal::local());
        }
        let known = self.known();
        known.tokens.get(&digest).and_then(|token| known.holder(token, self.now()))
    }

    /// Under which name a session of somebody is kept. Whoever signs in with the token of the server's directory does it
    /// as long as that token is there: another one, and his sessions end.
    #[must_use]
    pub fn maker(&self, who: &Principal) -> String {
        match who.kind {
            PrincipalKind::Local => self.local_name(),
            PrincipalKind::User | PrincipalKind::Token => who.name.clone(),
        }
    }

    fn local_name(&self) -> String {
        format!("local:{}", HEXLOWER.encode(&self.local[..8]))
    }

    /// Who made a session, if he may still ask.
    #[must_use]
    pub fn principal(&self, name: &str) -> Option<Principal> {
        if name.starts_with("local") && name == self.local_name() {
            return Some(Principal::local());
        }
        let known = self.known();
        match name.strip_prefix("token:") {
            Some(token) => known.token_named(token).and_then(|token| known.holder(token, self.now())),
            None => known.person(name, self.now()),
        }
    }

    /// Nothing, unless somebody has to wait because he tried too much.
    ///
    /// # Errors
    /// [`Refused::TooMany`], with the time.
    pub fn may_try(&self, from: Option<IpAddr>, now: Instant) -> Result<(), Refused> {
        self.attempts().waits(from, now).map_or(Ok(()), |wait| Err(Refused::TooMany(wait)))
    }

    /// Notes that somebody tried, and was wrong, where passwords and tokens are not checked here.
    pub fn tried(&self, from: Option<IpAddr>, now: Instant) {
        self.attempts().failed(from, None, now);
    }

    /// Who signs in with a token. Who has tried many wrong ones has to wait; when many have, from many addresses, only
    /// they wait, and a right one still counts.
    ///
    /// # Errors
    /// Why nobody does.
    pub fn sign_in_with_token(
        &self,
        token: &str,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<Principal, Refused> {
        if let Some(wait) = self.attempts().waits(from, now) {
            return Err(Refused::TooMany(wait));
        }
        match self.holder(token) {
            Some(principal) => Ok(principal),
            None => Err(self.attempts().failed(from, None, now).map_or(Refused::Wrong, Refused::TooMany)),
        }
    }

    /// Who signs in with a password.
    ///
    /// # Errors
    /// Why nobody does; [`PeopleError::Catalog`] if it cannot be noted that a code was used.
    pub async fn sign_in(&self, attempt: SignIn<'_>, now: Instant) -> Result<Principal, PeopleError> {
        let SignIn { user: name, password, code, from } = attempt;
        let user = self.known().user(name).filter(|user| !user.disabled).cloned();
        let place = from.map(|from| network(from).to_string());
        let is_stranger = user
            .as_ref()
            .and_then(|user| user.network.as_ref())
            .is_none_or(|known| Some(known) != place.as_ref());
        let account: String = name.to_ascii_lowercase().chars().take(64).collect();
        {
            let attempts = self.attempts();
            let waits = attempts.waits(from, now);
            let waits =
                waits.or_else(|| is_stranger.then(|| attempts.stranger_waits(&account, now)).flatten());
            if let Some(wait) = waits {
                return Err(Refused::TooMany(wait).into());
            }
        }
        let hash = user.as_ref().and_then(|user| user.password.as_deref());
        let is_right = self.hashing.verify(password, hash).await.map_err(Refused::from)?;
        let wrong = || {
            let wait = self.attempts().failed(from, Some(&account), now);
            PeopleError::Refused(wait.map_or(Refused::Wrong, Refused::TooMany))
        };
        let Some(user) = user.filter(|_| is_right) else { return Err(wrong()) };
        let mut step = user.totp_step;
        if let Some(secret) = &user.totp {
            let Some(code) = code.filter(|code| !code.trim().is_empty()) else {
                return Err(Refused::CodeNeeded.into());
            };
            step = second::step_of(secret, code, user.totp_step, self.now()).ok_or_else(wrong)?;
        }
        let at = self.now();
        self.changed_if(&user.name, |user| {
            // Two with one code: the second comes too late.
            if user.totp.is_some() && step <= user.totp_step {
                return Err(PeopleError::Refused(Refused::Wrong));
            }
            (user.totp_step, user.last_sign_in, user.network) = (step, Some(at), place);
            Ok(())
        })
        .await?;
        self.principal(&user.name).ok_or(PeopleError::Refused(Refused::Wrong))
    }

    /// Nothing, if that is the password of a user.
    pub(crate) async fn knows_password(&self, name: &str, password: &str) -> Result<(), PeopleError> {
        let now = Instant::now();
        let account = name.to_ascii_lowercase();
        if let Some(wait) = self.attempts().stranger_waits(&account, now) {
            return Err(Refused::TooMany(wait).into());
        }
        let hash = self.known().user(name).and_then(|user| user.password.clone());
        if self.hashing.verify(password, hash.as_deref()).await.map_err(Refused::from)? {
            return Ok(());
        }
        let wait = self.attempts().failed(None, Some(&account), now);
        Err(wait.map_or(Refused::Wrong, Refused::TooMany).into())
    }
}
