//! Access tokens: of a user, for his programs, or of nobody, for services.

use crate::{People, PeopleError, Principal, PrincipalKind, secret, users::is_name};
use bartizan_catalog::AccessToken;
use bartizan_model::{Micros, Role};
use serde::Deserialize;

const DAY: i64 = 24 * 3600 * 1_000_000;
/// Characters of a comment.
const COMMENT: usize = 200;
/// How many there may be.
const MOST: usize = 10_000;
/// How far what is written of its use may lag behind.
const WRITE: i64 = 60 * 1_000_000;
/// What an access token begins with, so that those who look for secrets in files find it.
const PREFIX: &str = "bartizan_";

/// A token to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccess {
    /// What it is called.
    pub name: String,
    /// What it may do; as who makes it, if nothing is said.
    #[serde(default)]
    pub role: Option<Role>,
    /// The filter of the rows that it may see.
    #[serde(default)]
    pub scope: Option<String>,
    /// Whether it may see what packets and lines say.
    #[serde(default)]
    pub payload: bool,
    /// Whether it is nobody's: it stays when who makes it goes.
    #[serde(default)]
    pub service: bool,
    /// After how many days it ends; never, if nothing is said.
    #[serde(default)]
    pub days: Option<u32>,
    /// What it is for.
    #[serde(default)]
    pub comment: String,
}

/// A new token.
#[derive(Clone)]
pub struct MadeToken {
    /// What it is called.
    pub name: String,
    /// Itself; nobody else learns it.
    pub token: String,
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeToken").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A token in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessInfo {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub user: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The filter of the rows that it may see.
    pub scope: Option<String>,
    /// Whether it may see what packets and lines say.
    pub payload: bool,
    /// When it was made.
    pub created: Micros,
    /// Until when it is good.
    pub expires: Option<Micros>,
    /// When it was last used, about.
    pub used: Option<Micros>,
    /// What it is for.
    pub comment: String,
}

impl People {
    /// Those that somebody may see: his own, or all.
    #[must_use]
    pub fn access_tokens(&self, who: &Principal) -> Vec<AccessInfo> {
        let known = self.known();
        let seen = known.tokens.values().filter(|token| may(who, token)).map(info);
        let mut seen: Vec<_> = seen.collect();
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        seen
    }

    /// Makes a token for who asks for it: one of a user never does more than he.
    ///
    /// # Errors
    /// If it would, or the name is none or taken.
    pub async fn make_access(&self, who: &Principal, new: NewAccess) -> Result<MadeToken, PeopleError> {
        if !is_name(&new.name) {
            return Err(PeopleError::TokenName);
        }
        let role = new.role.unwrap_or(who.role);
        if role > who.role {
            return Err(PeopleError::More("its role is higher"));
        }
        if new.payload && !who.payload {
            return Err(PeopleError::More("you may not see what packets say"));
        }
        let is_service = new.service || who.kind != PrincipalKind::User;
        if is_service && (who.role < Role::Admin || who.scope.is_some()) {
            return Err(PeopleError::More("tokens of services are made by administrators"));
        }
        let token = secret::random(PREFIX).map_err(|_| PeopleError::Random)?;
        let created = self.now();
        let life = |days: u32| Micros(created.0.saturating_add(i64::from(days).saturating_mul(DAY)));
        let kept = AccessToken {
            name: new.name.clone(),
            hash: secret::digest(&token),
            user: (!is_service).then(|| who.name.clone()),
            role,
            scope: new.scope.filter(|scope| !scope.is_empty()),
            payload: new.payload,
            comment: new.comment.chars().filter(|c| !c.is_control()).take(COMMENT).collect(),
            created,
            expires: new.days.map(life),
            used: None,
        };
        let _turn = self.changing.lock().await;
        {
            let known = self.known();
            if known.token_named(&kept.name).is_some() {
                return Err(PeopleError::Taken("token"));
            }
            if known.tokens.len() >= MOST {
                return Err(PeopleError::TooMany);
            }
        }
        self.catalog.add_access(&kept).await?;
        self.change(|known| {
            known.tokens.insert(kept.hash, kept);
        });
        Ok(MadeToken { name: new.name, token })
    }

    /// Revokes a token: as it was. One that somebody may not see is not there for him.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn revoke_access(&self, who: &Principal, name: &str) -> Result<AccessInfo, PeopleError> {
        let _turn = self.changing.lock().await;
        let token = self.known().token_named(name).filter(|token| may(who, token)).cloned();
        let token = token.ok_or(PeopleError::None("token"))?;
        // First where requests look.
        self.change(|known| drop(known.tokens.remove(&token.hash)));
        self.catalog.delete_access(name).await?;
        Ok(info(&token))
    }

    /// Notes that a token was used, if that is to be written; what is not written is only older.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn used(&self, who: &Principal) -> Result<(), PeopleError> {
        let Some(name) = who.name.strip_prefix("token:") else { return Ok(()) };
        let now = self.now();
        let is_due =
            |token: &AccessToken| token.used.is_none_or(|used| now.0 >= used.0.saturating_add(WRITE));
        if !self.known().token_named(name).is_some_and(is_due) {
            return Ok(());
        }
        self.change(|known| {
            known
                .tokens
                .values_mut()
                .filter(|token| token.name == name)
                .for_each(|token| token.used = Some(now));
        });
        Ok(self.catalog.use_access(name, now).await?)
    }
}

fn may(who: &Principal, token: &AccessToken) -> bool {
    let is_own = token.user.as_ref().is_some_and(|user| user.eq_ignore_ascii_case(&who.name));
    is_own || (who.role == Role::Admin && who.scope.is_none())
}

fn info(token: &AccessToken) -> AccessInfo {
    AccessInfo {
        name: token.name.clone(),
        user: token.user.clone(),
        role: token.role,
        scope: token.scope.clone(),
        payload: token.payload,
        created: token.created,
        expires: token.expires,
        used: token.used,
        comment: token.comment.clone(),
    }
}
