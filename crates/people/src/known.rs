//! What the catalog knows, in memory.

use crate::{PeopleError, Principal, PrincipalKind};
use bartizan_catalog::{AccessToken, Catalog, Provided, User};
use bartizan_model::Micros;
use std::collections::{BTreeMap, HashMap};

/// Users by their names in lower case, and tokens by their hashes.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) tokens: HashMap<[u8; 32], AccessToken>,
    /// The provider that vouches for people.
    pub(crate) issuer: Option<String>,
}

impl Known {
    pub(crate) async fn load(catalog: &Catalog) -> Result<Self, PeopleError> {
        let users = catalog.users().await?.into_iter().map(|user| (key(&user.name), user)).collect();
        let tokens = catalog.access_tokens().await?.into_iter().map(|token| (token.hash, token)).collect();
        Ok(Self { users, tokens, issuer: None })
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(&key(name))
    }

    pub(crate) fn put(&mut self, user: User) {
        self.users.insert(key(&user.name), user);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.users.remove(&key(name));
        self.tokens.retain(|_, token| token.user.as_deref().is_none_or(|user| key(user) != key(name)));
    }

    pub(crate) fn token_named(&self, name: &str) -> Option<&AccessToken> {
        self.tokens.values().find(|token| token.name == name)
    }

    /// Whom a provider means.
    pub(crate) fn provided(&self, issuer: &str, subject: &str) -> Option<&User> {
        let is_he =
            |provided: &Provided| (provided.issuer.as_str(), provided.subject.as_str()) == (issuer, subject);
        self.users.values().find(|user| user.provided.as_ref().is_some_and(is_he))
    }

    /// Whether a user can get in: by a password that he chose, or by what the provider said of him a while ago.
    pub(crate) fn is_in(&self, user: &User, now: Micros) -> bool {
        let is_known = match &user.provided {
            None => user.password.is_some(),
            Some(provided) => {
                let is_vouched = provided.until.is_some_and(|until| now < until);
                is_vouched && self.issuer.as_ref() == Some(&provided.issuer)
            }
        };
        is_known && !user.disabled
    }

    /// Who a user is, if he may ask.
    pub(crate) fn person(&self, name: &str, now: Micros) -> Option<Principal> {
        let user = self.user(name).filter(|user| self.is_in(user, now))?;
        Some(Principal {
            name: user.name.clone(),
            kind: PrincipalKind::User,
            role: user.role,
            scope: user.scope.clone(),
            payload: user.payload,
        })
    }

    /// What a token may, if it is still good: never more than whose it is.
    pub(crate) fn holder(&self, token: &AccessToken, now: Micros) -> Option<Principal> {
        if token.expires.is_some_and(|expires| now >= expires) {
            return None;
        }
        let own = Principal {
            name: format!("token:{}", token.name),
            kind: PrincipalKind::Token,
            role: token.role,
            scope: token.scope.clone(),
            payload: token.payload,
        };
        let Some(user) = &token.user else { return Some(own) };
        let user = self.person(user, now)?;
        Some(Principal {
            role: own.role.min(user.role),
            scope: both(own.scope, user.scope),
            payload: own.payload && user.payload,
            ..own
        })
    }
}

/// The filter of what both filters let through.
fn both(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(format!("({a}) ({b})")),
        (a, b) => a.or(b),
    }
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}
