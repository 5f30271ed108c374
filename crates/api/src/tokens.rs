//! Join tokens: made, listed without their secrets, made void.

use crate::body::Body;
use crate::fleet::{time, unavailable};
use crate::{ApiState, Problem, Unavailable};
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_filter::AddrRange;
use bartizan_model::Micros;
use serde::{Deserialize, Serialize};

const MAX_USES: u32 = 100_000;
const MAX_TTL: u64 = 31 * 24 * 3600;
const MAX_COMMENT: usize = 200;
const MAX_GROUP: usize = 64;
const MAX_NETWORKS: usize = 64;

/// A join token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// How many hosts may enrol with it.
    #[serde(default = "one")]
    pub uses: u32,
    /// Seconds until it is void.
    #[serde(default = "an_hour")]
    pub ttl_seconds: u64,
    /// What it is for.
    #[serde(default)]
    pub comment: String,
    /// The group that hosts are in which enrol with it.
    #[serde(default)]
    pub group: Option<String>,
    /// From where hosts may enrol with it; from anywhere, if there are none.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Whether somebody has to approve of each.
    #[serde(default)]
    pub approval: bool,
}

const fn one() -> u32 {
    1
}

const fn an_hour() -> u64 {
    3600
}

/// A token that was made.
#[derive(Clone, Debug, Serialize)]
pub struct MadeToken {
    /// The token, as it is typed. Nobody can tell it again.
    pub token: String,
    /// What it is called.
    pub id: String,
}

/// Whether a token lets anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// It does.
    Good,
    /// Its time is over.
    Expired,
    /// All its uses are taken.
    Used,
    /// Somebody made it void.
    Revoked,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize)]
pub struct TokenInfo {
    /// What it is called: the first digits of its secret's hash.
    pub id: String,
    /// Whether it lets anybody in.
    pub state: TokenState,
    /// What it is for.
    pub comment: String,
    /// The group that hosts are in which enrol with it.
    pub group: Option<String>,
    /// From where hosts may enrol with it.
    pub networks: Vec<String>,
    /// Whether somebody has to approve of each.
    pub approval: bool,
    /// When it was made.
    #[serde(serialize_with = "time")]
    pub created: Micros,
    /// When its time is over.
    #[serde(serialize_with = "time")]
    pub expires: Micros,
    /// How many hosts it still lets in.
    pub uses_left: u32,
    /// How many it has let in.
    pub used: u32,
    /// How often somebody came with it from elsewhere than it is for.
    pub refused: u32,
}

/// Keeps join tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// A new token, as the person types it. Only its hash is kept.
    async fn create(&self, new: NewToken) -> Result<MadeToken, Unavailable>;

    /// Every token, the newest first.
    async fn tokens(&self) -> Result<Vec<TokenInfo>, Unavailable>;

    /// Makes a token void; none if no one token is called that.
    async fn revoke(&self, id: &str) -> Result<Option<TokenInfo>, Unavailable>;
}

/// Makes a join token.
pub(crate) async fn create(
    State(state): State<ApiState>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    check(&new).map_err(|detail| Problem::bad_request(StatusCode::BAD_REQUEST, detail))?;
    let made = state.tokens.create(new).await.map_err(unavailable)?;
    Ok((StatusCode::CREATED, Json(made)))
}

fn check(new: &NewToken) -> Result<(), String> {
    if !(1..=MAX_USES).contains(&new.uses) {
        return Err(format!("`uses` is 1 to {MAX_USES}, not {}", new.uses));
    }
    if !(1..=MAX_TTL).contains(&new.ttl_seconds) {
        return Err(format!("`ttl_seconds` is 1 to {MAX_TTL}, not {}", new.ttl_seconds));
    }
    if new.comment.chars().count() > MAX_COMMENT {
        return Err(format!("`comment` has at most {MAX_COMMENT} characters"));
    }
    if let Some(group) = &new.group {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if !group.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !group.bytes().all(plain)
            || group.len() > MAX_GROUP
        {
            return Err(format!(
                "`group` has up to {MAX_GROUP} letters, digits and `_-.`, and begins with one of the first"
            ));
        }
    }
    if new.networks.len() > MAX_NETWORKS {
        return Err(format!("`networks` has at most {MAX_NETWORKS}"));
    }
    match new
        .networks
        .iter()
        .find(|text| text.contains(char::is_whitespace) || AddrRange::parse(text).is_none())
    {
        None => Ok(()),
        Some(text) => {
            let text: String = text.chars().take(80).collect();
            Err(format!("`networks`: `{text}` is no address, network or range"))
        }
    }
}

/// Every join token, without its secret.
pub(crate) async fn list(State(state): State<ApiState>) -> Result<Json<Vec<TokenInfo>>, Problem> {
    state.tokens.tokens().await.map(Json).map_err(unavailable)
}

/// Which token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoke {
    /// As the list names it.
    id: String,
}

/// Makes a token void.
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Body(body): Body<Revoke>,
) -> Result<Json<TokenInfo>, Problem> {
    let id: String = body.id.trim().chars().take(64).collect();
    let revoked = state.tokens.revoke(&id).await.map_err(unavailable)?;
    revoked.map(Json).ok_or_else(|| Problem::not_found_thing(format!("there is no join token `{id}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_cannot_be_is_said() {
        let token = |text: &str| check(&serde_json::from_str(text).unwrap());
        assert_eq!(token("{}"), Ok(()));
        assert_eq!(token(r#"{"group":"db-1","networks":["192.0.2.0/24","2001:db8::1"]}"#), Ok(()));
        for wrong in [
            r#"{"uses":0}"#,
            r#"{"group":""}"#,
            r#"{"group":"-db"}"#,
            r#"{"group":"d b"}"#,
            r#"{"networks":["everywhere"]}"#,
            r#"{"networks":["192.0.2.1 - 192.0.2.9"]}"#,
        ] {
            assert!(token(wrong).is_err(), "{wrong}");
        }
    }
}
