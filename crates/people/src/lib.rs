//! Who may ask, and what: users with passwords and second factors, access tokens, invitations, and the audit log.
//!
//! Everything is in the catalog; what each request needs is in memory as well, written through. One process has the
//! catalog, so that memory is never behind it.
//!
//! Invariants:
//! - **Nobody is there from the start.** The first administrator is invited ([`People::invite_first`]): a code that is
//!   good once and for a quarter of an hour, with which he chooses a password. So nobody but a user knows his password.
//! - **Secrets are kept as hashes**: passwords with Argon2id (RFC 9106), codes and tokens, which are random, with
//!   SHA-256. A second factor's secret is kept as it is, because it has to be known.
//! - **Guessing is slow, and nobody is shut out by it** ([`People::sign_in`]): wrong passwords are counted by network,
//!   account and overall, and where a user last signed in from is not counted with strangers.
//! - **Somebody of an identity provider is (issuer, subject)** ([`People::sign_in_provided`]), never a name; what he may
//!   is given anew at each sign-in, and ends some time after the last. A provider that is not configured any more
//!   vouches for nobody.
//! - **Work before somebody is known is bounded**: few hashes at a time, few that wait, the others are turned away.
//! - **What was done is on disk before it is answered**, in a chain of hashes ([`Trail`]).
//!
//! What it does not do: it knows no session, no filter, and does not read the clock.

mod access;
mod attempts;
mod known;
mod password;
mod principal;
mod provided;
mod second;
mod secret;
mod sign_in;
mod trail;
mod users;

pub use access::{AccessInfo, MadeToken, NewAccess};
pub use attempts::{Attempts, network};
pub use bartizan_catalog::{AuditEntry, AuditPage};
pub use password::WeakPassword;
pub use principal::{Principal, PrincipalKind};
pub use provided::{Entered, ProvidedSignIn};
pub use second::Enrolling;
pub use sign_in::{Refused, SignIn};
pub use trail::{Deed, Trail, Verified};
pub use users::{Change, Invitation, NewUser, PeopleError, UserInfo};

use bartizan_catalog::Catalog;
use bartizan_model::Micros;
use known::Known;
use password::Hashing;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// Everybody who may ask.
pub struct People {
    catalog: Catalog,
    clock: fn() -> Micros,
    /// SHA-256 of the token in the server's directory.
    local: [u8; 32],
    known: RwLock<Known>,
    /// Changes are made one after the other: what was read is what is replaced.
    changing: tokio::sync::Mutex<()>,
    hashing: Hashing,
    attempts: Mutex<Attempts>,
    enrolling: Mutex<second::Pending>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

impl People {
    /// Those that the catalog knows, and whoever has the token `local`.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn load(catalog: Catalog, local: &str, clock: fn() -> Micros) -> Result<Self, PeopleError> {
        let known = Known::load(&catalog).await?;
        Ok(Self {
            catalog,
            clock,
            local: secret::digest(local),
            known: RwLock::new(known),
            changing: tokio::sync::Mutex::default(),
            hashing: Hashing::default(),
            attempts: Mutex::default(),
            enrolling: Mutex::default(),
        })
    }

    /// With a provider that vouches for people. Of any other that did, nobody may ask.
    #[must_use]
    pub fn with_provider(self, issuer: Option<String>) -> Self {
        self.change(|known| known.issuer = issuer);
        self
    }

    /// The log of what was done.
    #[must_use]
    pub fn trail(&self) -> Trail {
        Trail::new(self.catalog.clone(), self.clock)
    }

    fn now(&self) -> Micros {
        (self.clock)()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
