//! People of an identity provider: signed in as what it signs, with what their groups give.

use crate::attempts::network;
use crate::users::{MOST, info, is_user_name};
use crate::{People, PeopleError, Principal, Refused, UserInfo};
use bartizan_catalog::{Provided, User};
use bartizan_model::{Micros, Role};
use std::net::IpAddr;

/// Somebody for whom the provider vouches.
#[derive(Clone, Debug)]
pub struct ProvidedSignIn<'a> {
    /// Which provider.
    pub issuer: &'a str,
    /// Whom it means.
    pub subject: &'a str,
    /// What it calls him: what he is called here from his first sign-in on.
    pub name: &'a str,
    /// What his groups give him.
    pub role: Role,
    /// The filter of the rows that they show him; `None`: all.
    pub scope: Option<&'a str>,
    /// Whether they show him what packets and lines say.
    pub payload: bool,
    /// For how long that counts, in microseconds.
    pub keep: i64,
    /// From where.
    pub from: Option<IpAddr>,
}

/// Somebody who came in.
#[derive(Clone, Debug)]
pub struct Entered {
    /// Who.
    pub who: Principal,
    /// As he was before; `None`: he was not here before.
    pub old: Option<UserInfo>,
    /// As he is now.
    pub new: UserInfo,
}

impl People {
    /// Somebody signs in for whom the provider vouches. He has an account from the first time on; each time he may what
    /// his groups give, and no more what they gave before.
    ///
    /// # Errors
    /// [`PeopleError::ShutOut`] if he is; [`PeopleError::NameOfAnother`] or [`PeopleError::ProvidedName`] if he is new,
    /// and cannot be called so.
    pub async fn sign_in_provided(&self, attempt: ProvidedSignIn<'_>) -> Result<Entered, PeopleError> {
        let ProvidedSignIn { issuer, subject, name, role, scope, payload, keep, from } = attempt;
        let _turn = self.changing.lock().await;
        let now = self.now();
        let old = self.known().provided(issuer, subject).cloned();
        let mut user = match &old {
            Some(user) if user.disabled => return Err(PeopleError::ShutOut),
            Some(user) => user.clone(),
            None => self.newcomer(name, now)?,
        };
        (user.role, user.scope, user.payload) = (role, scope.map(str::to_owned), payload);
        user.last_sign_in = Some(now);
        user.network = from.map(|from| network(from).to_string());
        let until = Some(Micros(now.0.saturating_add(keep)));
        user.provided = Some(Provided { issuer: issuer.to_owned(), subject: subject.to_owned(), until });
        self.catalog.put_user(&user).await?;
        let new = info(&user, now);
        self.change(|known| known.put(user));
        let who = self.known().person(&new.name, now).ok_or(PeopleError::Refused(Refused::Wrong))?;
        Ok(Entered { who, old: old.map(|old| info(&old, now)), new })
    }

    /// The provider knows somebody and gives him nothing any more: what he still had here ends. His name, if he was here.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn vouches_no_more(&self, issuer: &str, subject: &str) -> Result<Option<String>, PeopleError> {
        let _turn = self.changing.lock().await;
        let Some(mut user) = self.known().provided(issuer, subject).cloned() else { return Ok(None) };
        if let Some(provided) = &mut user.provided {
            provided.until = None;
        }
        let name = user.name.clone();
        // First where requests look: a catalog that cannot be written keeps nobody in.
        self.change(|known| known.put(user.clone()));
        self.catalog.put_user(&user).await?;
        Ok(Some(name))
    }

    /// A user who was not here before.
    fn newcomer(&self, name: &str, created: Micros) -> Result<User, PeopleError> {
        if !is_user_name(name) {
            return Err(PeopleError::ProvidedName(
                name.chars().filter(|c| !c.is_control()).take(100).collect(),
            ));
        }
        let known = self.known();
        if known.user(name).is_some() {
            return Err(PeopleError::NameOfAnother(name.to_owned()));
        }
        if known.users.len() >= MOST {
            return Err(PeopleError::TooMany);
        }
        Ok(User {
            name: name.to_owned(),
            role: Role::Viewer,
            scope: None,
            payload: false,
            password: None,
            totp: None,
            totp_step: 0,
            invitation: None,
            invited_until: None,
            created,
            last_sign_in: None,
            network: None,
            disabled: false,
            provided: None,
        })
    }
}
