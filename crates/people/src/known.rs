//! What the catalog knows, in memory.

use crate::{PeopleError, Principal, PrincipalKind};
use bartizan_catalog::{AccessToken, Catalog, User};
use bartizan_model::Micros;
use std::collections::{BTreeMap, HashMap};

/// Users by their names in lower case, and tokens by their hashes.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) tokens: HashMap<[u8; 32], AccessToken>,
}

impl Known {
    pub(crate) async fn load(catalog: &Catalog) -> Result<Self, PeopleError> {
        let users = catalog.users().await?.into_iter().map(|user| (key(&user.name), user)).collect();
        let tokens = catalog.access_tokens().await?.into_iter().map(|token| (token.hash, token)).collect();
        Ok(Self { users, tokens })
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

    /// Who a user is, if he may ask.
    pub(crate) fn person(&self, name: &str) -> Option<Principal> {
        let user = self.user(name).filter(|user| !user.disabled && user.password.is_some())?;
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
        let user = self.person(user)?;
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
