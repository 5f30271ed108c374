//! Users: added by an invitation, changed, removed.

use crate::password::{self, WeakPassword};
use crate::{People, Principal, Refused, secret};
use bartizan_catalog::{CatalogError, User};
use bartizan_model::{Micros, Role};
use serde::Deserialize;

const MINUTE: i64 = 60_000_000;
/// How long an invitation is good.
const INVITED: i64 = 3 * 24 * 60 * MINUTE;
/// Bytes of a name.
const NAME: usize = 64;
/// How many there may be.
pub(crate) const MOST: usize = 10_000;
/// What the first administrator is called.
pub(crate) const FIRST: &str = "admin";
/// How long the first invitation is good.
pub(crate) const FIRST_INVITED: i64 = 15 * MINUTE;

/// Why something could not be done with people.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Nobody is known by that.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The password is not taken.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// The name cannot be one.
    #[error("a user's name is 1 to {NAME} of a-z, 0-9 and . _ - @, begins with a letter, and is not `local`")]
    Name,
    /// A token's name cannot be one.
    #[error("a token's name is 1 to {NAME} of a-z, 0-9 and . _ - @")]
    TokenName,
    /// The name is taken.
    #[error("there is a {0} of this name")]
    Taken(&'static str),
    /// There is none.
    #[error("there is no such {0}")]
    None(&'static str),
    /// There are as many as there may be.
    #[error("there are too many")]
    TooMany,
    /// The provider knows him by a name that is another's here.
    #[error(
        "the name `{0}` is another account's here, and an account is never taken over by a name: an administrator can \
         remove that one, or have the provider call you by another name"
    )]
    NameOfAnother(String),
    /// The provider knows him by a name that cannot be one.
    #[error(
        "the provider calls you `{0}`, and a name here is 1 to {NAME} of a-z, 0-9 and . _ - @, and begins with a letter: an \
         administrator can choose another claim, `oidc.name_claim`"
    )]
    ProvidedName(String),
    /// He is shut out.
    #[error("your account here is shut out: ask an administrator")]
    ShutOut,
    /// What the provider says is not changed here.
    #[error(
        "`{0}` signs in by the identity provider: what he may comes from his groups there, and he has no password here"
    )]
    Provided(String),
    /// A token would see or do more than who makes it.
    #[error("a token of yours cannot do or see more than you: {0}")]
    More(&'static str),
    /// No second factor was begun.
    #[error("begin the second factor first: what was begun is good for ten minutes")]
    NotBegun,
    /// The code of an invitation is not good.
    #[error("this invitation was used, has ended, or never was: ask for another one")]
    Invitation,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A user to be added.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What he is called.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// The filter of the rows that he may see; all, if there is none.
    #[serde(default)]
    pub scope: Option<String>,
    /// Whether he may see what packets and lines say.
    #[serde(default)]
    pub payload: bool,
}

/// What is to change of a user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Whose.
    pub name: String,
    /// What he may do.
    #[serde(default)]
    pub role: Option<Role>,
    /// The filter of the rows that he may see; empty: all.
    #[serde(default)]
    pub scope: Option<String>,
    /// Whether he may see what packets and lines say.
    #[serde(default)]
    pub payload: Option<bool>,
    /// Whether he is shut out.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// How somebody chooses a password.
#[derive(Clone)]
pub struct Invitation {
    /// Who.
    pub name: String,
    /// The code; nobody else learns it.
    pub code: String,
    /// Until when it is good.
    pub until: Micros,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A user in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// What he is called.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// The filter of the rows that he may see.
    pub scope: Option<String>,
    /// Whether he may see what packets and lines say.
    pub payload: bool,
    /// Whether he has a second factor.
    pub totp: bool,
    /// When he was added.
    pub created: Micros,
    /// When he signed in last.
    pub last_sign_in: Option<Micros>,
    /// Whether he is shut out.
    pub disabled: bool,
    /// Until when he may choose a password.
    pub invited_until: Option<Micros>,
    /// The provider by which he signs in, instead of with a password.
    pub provider: Option<String>,
}

impl People {
    /// Every user, by name.
    #[must_use]
    pub fn users(&self) -> Vec<UserInfo> {
        let now = self.now();
        self.known().users.values().map(|user| info(user, now)).collect()
    }

    /// One user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<UserInfo> {
        self.known().user(name).map(|user| info(user, self.now()))
    }

    /// Adds a user, who gets in by the invitation.
    ///
    /// # Errors
    /// If the name is none, or taken.
    pub async fn add(&self, new: NewUser) -> Result<Invitation, PeopleError> {
        self.add_for(new, INVITED).await
    }

    async fn add_for(&self, new: NewUser, time: i64) -> Result<Invitation, PeopleError> {
        let NewUser { name, role, scope, payload } = new;
        if !is_user_name(&name) {
            return Err(PeopleError::Name);
        }
        let _turn = self.changing.lock().await;
        {
            let known = self.known();
            if known.user(&name).is_some() {
                return Err(PeopleError::Taken("user"));
            }
            if known.users.len() >= MOST {
                return Err(PeopleError::TooMany);
            }
        }
        let (invitation, hash) = self.invitation(&name, time)?;
        let user = User {
            name,
            role,
            scope: scope.filter(|scope| !scope.is_empty()),
            payload,
            password: None,
            totp: None,
            totp_step: 0,
            invitation: Some(hash),
            invited_until: Some(invitation.until),
            created: self.now(),
            last_sign_in: None,
            network: None,
            disabled: false,
            provided: None,
        };
        self.catalog.put_user(&user).await?;
        self.change(|known| known.put(user));
        Ok(invitation)
    }

    /// A way for a user to choose a new password; his old one counts until then.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn invite(&self, name: &str) -> Result<Invitation, PeopleError> {
        self.invite_for(name, INVITED).await
    }

    async fn invite_for(&self, name: &str, time: i64) -> Result<Invitation, PeopleError> {
        let (invitation, hash) = self.invitation(name, time)?;
        let until = invitation.until;
        self.changed_if(name, |user| {
            not_provided(user)?;
            (user.invitation, user.invited_until) = (Some(hash), Some(until));
            Ok(())
        })
        .await?;
        Ok(invitation)
    }

    /// The invitation of the first administrator, if nobody can administer yet.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn invite_first(&self) -> Result<Option<Invitation>, PeopleError> {
        let (has_admin, was_invited) = {
            let (known, now) = (self.known(), self.now());
            let is_there = |user: &User| user.role == Role::Admin && known.is_in(user, now);
            let is_open = |user: &User| user.password.is_none() && user.provided.is_none();
            (known.users.values().any(is_there), known.user(FIRST).is_some_and(is_open))
        };
        if has_admin || (!was_invited && self.known().user(FIRST).is_some()) {
            return Ok(None);
        }
        if was_invited {
            return self.invite_for(FIRST, FIRST_INVITED).await.map(Some);
        }
        let new = NewUser { name: FIRST.to_owned(), role: Role::Admin, scope: None, payload: true };
        self.add_for(new, FIRST_INVITED).await.map(Some)
    }

    fn invitation(&self, name: &str, time: i64) -> Result<(Invitation, [u8; 32]), PeopleError> {
        let code = secret::random("").map_err(|_| PeopleError::Random)?;
        let hash = secret::digest(&code);
        Ok((
            Invitation { name: name.to_owned(), code, until: Micros(self.now().0.saturating_add(time)) },
            hash,
        ))
    }

    /// Somebody with an invitation chooses a password. A second factor that he had is gone: who invites him again does
    /// it because he cannot get in.
    ///
    /// # Errors
    /// [`PeopleError::Invitation`] if the code is not good, [`PeopleError::Weak`] if the password is not.
    pub async fn accept(&self, code: &str, password: &str) -> Result<Principal, PeopleError> {
        let (hash, now) = (secret::digest(code.trim()), self.now());
        let is_invited = |user: &User| {
            user.invitation == Some(hash)
                && user.invited_until.is_some_and(|until| now < until)
                && !user.disabled
        };
        let user = self.known().users.values().find(|user| is_invited(user)).map(|user| user.name.clone());
        let user = user.ok_or(PeopleError::Invitation)?;
        password::check(password, &user)?;
        let new = self.hashing.hash(password).await.map_err(Refused::from)?.ok_or(PeopleError::Random)?;
        self.changed_if(&user, |user| {
            // Two with one code: the second comes too late.
            if user.invitation != Some(hash) {
                return Err(PeopleError::Invitation);
            }
            (user.password, user.invitation, user.invited_until) = (Some(new), None, None);
            (user.totp, user.totp_step, user.network) = (None, 0, None);
            Ok(())
        })
        .await?;
        self.principal(&user).ok_or(PeopleError::Invitation)
    }

    /// A user chooses another password.
    ///
    /// # Errors
    /// If the old one is wrong, or the new one too weak.
    pub async fn change_password(&self, name: &str, old: &str, new: &str) -> Result<(), PeopleError> {
        self.knows_password(name, old).await?;
        password::check(new, name)?;
        let new = self.hashing.hash(new).await.map_err(Refused::from)?.ok_or(PeopleError::Random)?;
        self.changed(name, |user| user.password = Some(new)).await
    }

    /// Changes a user: as he was, and as he is.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn change_user(&self, change: Change) -> Result<(UserInfo, UserInfo), PeopleError> {
        let none = || PeopleError::None("user");
        let old = self.user(&change.name).ok_or_else(none)?;
        let Change { name, role, scope, payload, disabled } = change;
        self.changed_if(&name, |user| {
            if role.is_some() || scope.is_some() || payload.is_some() {
                not_provided(user)?;
            }
            user.role = role.unwrap_or(user.role);
            user.payload = payload.unwrap_or(user.payload);
            user.disabled = disabled.unwrap_or(user.disabled);
            if let Some(scope) = scope {
                user.scope = Some(scope).filter(|scope| !scope.is_empty());
            }
            Ok(())
        })
        .await?;
        Ok((old, self.user(&name).ok_or_else(none)?))
    }

    /// Removes a user and his tokens: as he was.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn delete_user(&self, name: &str) -> Result<UserInfo, PeopleError> {
        let _turn = self.changing.lock().await;
        let old = self.user(name).ok_or(PeopleError::None("user"))?;
        // First where requests look: a catalog that cannot be written keeps nobody signed in.
        self.change(|known| known.remove(name));
        self.catalog.delete_user(name).await?;
        Ok(old)
    }

    pub(crate) async fn changed(
        &self,
        name: &str,
        change: impl FnOnce(&mut User),
    ) -> Result<(), PeopleError> {
        self.changed_if(name, |user| {
            change(user);
            Ok(())
        })
        .await
    }

    /// Changes a user on disk, and then where requests look.
    pub(crate) async fn changed_if(
        &self,
        name: &str,
        change: impl FnOnce(&mut User) -> Result<(), PeopleError>,
    ) -> Result<(), PeopleError> {
        let _turn = self.changing.lock().await;
        let mut user = self.known().user(name).cloned().ok_or(PeopleError::None("user"))?;
        change(&mut user)?;
        self.catalog.put_user(&user).await?;
        self.change(|known| known.put(user));
        Ok(())
    }
}

/// What the provider says is its own to change.
fn not_provided(user: &User) -> Result<(), PeopleError> {
    if user.provided.is_some() { Err(PeopleError::Provided(user.name.clone())) } else { Ok(()) }
}

/// Names of users: as those of tokens, but they begin with a letter, and `local` is somebody.
pub(crate) fn is_user_name(name: &str) -> bool {
    is_name(name) && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name != "local"
}

/// Names of users and tokens: they stand in logs and at prompts.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b);
    (1..=NAME).contains(&name.len()) && name.bytes().all(fits)
}

pub(crate) fn info(user: &User, now: Micros) -> UserInfo {
    UserInfo {
        name: user.name.clone(),
        role: user.role,
        scope: user.scope.clone(),
        payload: user.payload,
        totp: user.totp.is_some(),
        created: user.created,
        last_sign_in: user.last_sign_in,
        disabled: user.disabled,
        invited_until: user.invited_until.filter(|until| now < *until),
        provider: user.provided.as_ref().map(|provided| provided.issuer.clone()),
    }
}
