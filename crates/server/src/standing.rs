//! What people change: join tokens, and whether a host may send, under which name.

use crate::fleet::{Fleet, unavailable};
use async_trait::async_trait;
use bartizan_api::{
    HostChange, HostRefusal, HostStanding, MadeToken, NewToken, Standing, StandingChange, TokenInfo,
    TokenState, Tokens, Unavailable,
};
use bartizan_catalog::{CatalogError, Host, Shut, Token};
use bartizan_model::Micros;
use bartizan_pki::{JoinToken, check_name};

/// Hex digits of its hash by which a token is called.
pub(crate) const TOKEN_ID: usize = 8;
/// Fewer digits of a host's id name nobody.
const LEAST_ID: usize = 8;
/// How long a token is remembered after its end.
const REMEMBERED: i64 = 31 * Micros::DAY;

impl Fleet {
    pub(crate) async fn change_standing(
        &self,
        named: &str,
        change: StandingChange,
    ) -> Result<HostChange, HostRefusal> {
        let now = bartizan_clock::now();
        let hosts = self.catalog.hosts().await.map_err(unavailable)?;
        let host = find(hosts, named, &change)?;
        let result = match &change {
            StandingChange::Revoke => self.catalog.shut_out(host.id, Shut::Revoked, now).await,
            StandingChange::Retire => self.catalog.shut_out(host.id, Shut::Retired, now).await,
            StandingChange::Rename(name) => {
                check_name(name).map_err(|e| HostRefusal::Wrong(e.to_string()))?;
                self.catalog.rename(host.id, name).await
            }
            StandingChange::Approve { .. } if host.waiting.is_none() => {
                return Err(HostRefusal::Conflict(format!("`{}` does not wait for approval", host.name)));
            }
            StandingChange::Approve { replace } => self.catalog.approve(host.id, *replace, now).await,
        };
        result.map_err(refused)?;
        // Whatever is open was asked for by another name, or by one who may not send any more.
        self.claims.end(host.id);
        self.learn_members().await;
        let after = self.catalog.host(host.id).await.map_err(unavailable)?;
        let after = after.ok_or_else(|| HostRefusal::Unknown(format!("there is no host `{named}`")))?;
        let change = HostChange { id: host.id, was: standing(&host), now: standing(&after) };
        tracing::info!(host = %change.id, name = change.now.name, was = ?change.was, now = ?change.now, "host changed");
        Ok(change)
    }
}

fn standing(host: &Host) -> HostStanding {
    let state = match (host.revoked_at, host.shut, &host.waiting) {
        (Some(_), Shut::Revoked, _) => Standing::Revoked,
        (Some(_), Shut::Retired, _) => Standing::Retired,
        (None, _, Some(_)) => Standing::Waiting,
        (None, _, None) => Standing::In,
    };
    HostStanding { name: host.name.clone(), state, group: host.group.clone() }
}

/// The one host that a name or an id, or the beginning of one, can mean.
fn find(hosts: Vec<Host>, named: &str, change: &StandingChange) -> Result<Host, HostRefusal> {
    let digits = named.to_ascii_lowercase();
    let by_id = |host: &Host| digits.len() >= LEAST_ID && host.id.to_string().starts_with(&digits);
    let by_name = |host: &Host| host.name.eq_ignore_ascii_case(named);
    let mut found: Vec<Host> = hosts.into_iter().filter(|host| by_name(host) || by_id(host)).collect();
    // Of several with the name, the one that can be meant: who waits, or who is let in.
    let meant = |host: &Host| match change {
        StandingChange::Approve { .. } => host.waiting.is_some(),
        _ => host.is_in(),
    };
    if found.len() > 1 && found.iter().any(meant) {
        found.retain(meant);
    }
    match found.len() {
        0 => Err(HostRefusal::Unknown(format!("there is no host `{named}`"))),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let ids: Vec<_> = found.iter().map(|host| host.id.to_string()).collect();
            Err(HostRefusal::Conflict(format!("`{named}` may be any of {}: give one id", ids.join(", "))))
        }
    }
}

fn refused(error: CatalogError) -> HostRefusal {
    match error {
        CatalogError::NameTaken { name, host } => HostRefusal::Conflict(format!(
            "the name `{name}` belongs to another host ({host}): rename one of them, or approve with `replace`"
        )),
        CatalogError::NoHost(id) => {
            HostRefusal::Conflict(format!("host {id} was shut out; it has to enrol again first"))
        }
        error => HostRefusal::Unavailable(unavailable(error)),
    }
}

#[async_trait]
impl Tokens for Fleet {
    async fn create(&self, new: NewToken) -> Result<MadeToken, Unavailable> {
        let now = bartizan_clock::now();
        self.catalog.forget_tokens(Micros(now.0.saturating_sub(REMEMBERED))).await.map_err(unavailable)?;
        let token = JoinToken::random(self.keys.authorities.current().pin()).map_err(unavailable)?;
        let life = i64::try_from(new.ttl_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let entry = Token {
            hash: token.secret_hash().0,
            created: now,
            expires: Micros(now.0.saturating_add(life)),
            uses_left: new.uses,
            used: 0,
            refused: 0,
            comment: new.comment,
            group: new.group,
            networks: new.networks,
            approval: new.approval,
            revoked: None,
        };
        self.catalog.add_token(&entry).await.map_err(unavailable)?;
        let info = info(entry, now);
        tracing::info!(token = info.id, group = ?info.group, uses = info.uses_left, "join token made");
        Ok(MadeToken { token: token.reveal(), id: info.id })
    }

    async fn tokens(&self) -> Result<Vec<TokenInfo>, Unavailable> {
        let now = bartizan_clock::now();
        let tokens = self.catalog.tokens().await.map_err(unavailable)?;
        Ok(tokens.into_iter().map(|token| info(token, now)).collect())
    }

    async fn revoke(&self, id: &str) -> Result<Option<TokenInfo>, Unavailable> {
        let now = bartizan_clock::now();
        let digits = id.to_ascii_lowercase();
        let tokens = self.catalog.tokens().await.map_err(unavailable)?;
        let called = |token: &Token| data_encoding::HEXLOWER.encode(&token.hash).starts_with(&digits);
        let mut found = tokens.into_iter().filter(|token| digits.len() >= TOKEN_ID && called(token));
        // Two whose first digits are the same are told apart by more digits.
        let (Some(token), None) = (found.next(), found.next()) else { return Ok(None) };
        self.catalog.revoke_token(&token.hash, now).await.map_err(unavailable)?;
        let token = Token { revoked: token.revoked.or(Some(now)), ..token };
        let info = info(token, now);
        tracing::info!(token = info.id, "join token revoked");
        Ok(Some(info))
    }
}

fn info(token: Token, now: Micros) -> TokenInfo {
    let state = match () {
        () if token.revoked.is_some() => TokenState::Revoked,
        () if token.expires <= now => TokenState::Expired,
        () if token.uses_left == 0 => TokenState::Used,
        () => TokenState::Good,
    };
    TokenInfo {
        id: data_encoding::HEXLOWER.encode(&token.hash)[..TOKEN_ID].to_owned(),
        state,
        comment: token.comment,
        group: token.group,
        networks: token.networks,
        approval: token.approval,
        created: token.created,
        expires: token.expires,
        uses_left: token.uses_left,
        used: token.used,
        refused: token.refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_catalog::Certificate;
    use bartizan_model::HostId;

    fn host(n: u8, name: &str) -> Host {
        Host {
            id: HostId::from_bytes([n; 16]),
            name: name.into(),
            first_seen: Micros(0),
            certificate: Certificate { serial: "1".into(), not_after: Micros(9), authority: String::new() },
            agent_version: "1".into(),
            revoked_at: None,
            shut: Shut::Revoked,
            waiting: None,
            group: None,
            former: Vec::new(),
            last_contact: None,
        }
    }

    #[test]
    fn a_name_means_the_host_that_can_be_meant() {
        let old = Host { revoked_at: Some(Micros(1)), ..host(1, "web") };
        let waiting = Host { waiting: Some((Micros(1), "it is new".into())), ..host(2, "web") };
        let hosts = || vec![old.clone(), waiting.clone(), host(3, "WEB"), host(4, "db")];
        let find = |named: &str, change: StandingChange| match super::find(hosts(), named, &change) {
            Ok(host) => host.id.to_string()[..2].to_owned(),
            Err(HostRefusal::Unknown(_)) => "unknown".to_owned(),
            Err(HostRefusal::Conflict(_)) => "several".to_owned(),
            Err(error) => panic!("{error}"),
        };
        let approve = StandingChange::Approve { replace: false };
        assert_eq!(find("web", StandingChange::Revoke), "03");
        assert_eq!(find("Web", approve.clone()), "02");
        assert_eq!(find("01010101", StandingChange::Retire), "01");
        assert_eq!(find("0101", StandingChange::Retire), "unknown", "too few digits");
        assert_eq!(find("nobody", StandingChange::Revoke), "unknown");
        let two = vec![host(5, "a"), host(6, "a")];
        let several = super::find(two, "a", &StandingChange::Revoke);
        assert!(matches!(several, Err(HostRefusal::Conflict(why)) if why.contains("05050505")));
    }
}
