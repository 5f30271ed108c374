use crate::Problem;
use crate::queries::Who;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};

/// The tokens that may ask, as their SHA-256.
#[derive(Default)]
pub struct Access {
    digests: Vec<[u8; 32]>,
}

impl Access {
    /// Access for the tokens with these digests. None at all: nobody may ask.
    #[must_use]
    pub const fn new(digests: Vec<[u8; 32]>) -> Self {
        Self { digests }
    }

    /// The digest of a token.
    #[must_use]
    pub fn digest(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }

    /// Tells those who have tokens apart where they take turns.
    #[must_use]
    pub fn asker(token: &str) -> u64 {
        Self::digest(token).first_chunk().copied().map_or(0, u64::from_le_bytes)
    }

    /// Whether a token may ask. Takes the same time for every token.
    #[must_use]
    pub fn allows(&self, token: &str) -> bool {
        let given = Self::digest(token);
        let any = self.digests.iter().fold(Choice::from(0), |any, known| any | known.ct_eq(&given));
        any.into()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("tokens", &self.digests.len()).finish()
    }
}

pub(crate) async fn require(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    match bearer(&request) {
        Some(token) if access.allows(token) => {
            let who = Access::asker(token);
            request.extensions_mut().insert(Who(who));
            bartizan_query::asked_by(who, next.run(request)).await
        }
        Some(_) => Problem::unauthorized("the token is not known").into_response(),
        None => {
            Problem::unauthorized("a bearer token is needed: `Authorization: Bearer TOKEN`").into_response()
        }
    }
}

/// The token of the one `Authorization` header; several of them are none.
fn bearer(request: &Request) -> Option<&str> {
    let mut headers = request.headers().get_all(AUTHORIZATION).iter();
    let header = headers.next()?;
    if headers.next().is_some() {
        return None;
    }
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
