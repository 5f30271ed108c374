//! Who is let in: at the agents' port, and into the fleet.
//!
//! A host is known by its key. Its certificate says that this fleet's authority once saw that key, and until when nobody
//! needs to look again; whether the host may send is in the catalog. So a certificate that is over is renewed for whoever
//! has the key: at once within [`GRACE`] of its end, and after that when somebody has approved. Nothing here ever asks
//! an agent to forget its key.

use crate::fleet::{Fleet, refusal};
use crate::standing::TOKEN_ID;
use async_trait::async_trait;
use bartizan_catalog::{Certificate, Enrolment as CatalogEnrolment, Host, Redeemed, Shut, Token};
use bartizan_filter::AddrRange;
use bartizan_model::{HostId, Micros, addr_from_ip};
use bartizan_people::Deed;
use bartizan_pki::HostCertificate;
use bartizan_wire::{
    Admission, Claim, Configured, Enrolled, Enrolment, Offence, Offer, Peer, Refusal, RefusalKind, Speaker,
    spread_of,
};
use data_encoding::HEXLOWER;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long after its end a certificate is renewed without asking anybody.
pub(crate) const GRACE: i64 = 30 * Micros::DAY;

impl Fleet {
    fn enrolled(&self, name: &str, certificate: HostCertificate, waiting: bool, now: Micros) -> Enrolled {
        Enrolled {
            name: name.to_owned(),
            cert_pem: certificate.pem,
            ca_pem: self.keys.authorities.bundle_pem(),
            not_after: certificate.not_after,
            server_time: now,
            agent_port: self.agent_port,
            waiting,
        }
    }

    /// A certificate, and what the catalog is to know of it.
    fn sign(
        &self,
        request: &[u8],
        name: &str,
        now: Micros,
    ) -> Result<(HostCertificate, Certificate), Refusal> {
        let signer = self.keys.authorities.signer();
        let certificate = signer
            .issue_host_for(request, name, now, self.enrolment.certificate)
            .map_err(|e| Refusal::permanent(e.to_string()))?;
        let noted = Certificate {
            serial: certificate.serial.clone(),
            not_after: certificate.not_after,
            authority: signer.pin().to_string(),
        };
        Ok((certificate, noted))
    }

    /// A host that is known, if it may have anything of this server.
    async fn known(&self, id: HostId) -> Result<Host, Refusal> {
        match self.catalog.host(id).await.map_err(refusal)? {
            None => Err(Refusal::denied("this server does not know this host; enrol it again")),
            Some(Host { revoked_at: Some(_), shut: Shut::Revoked, .. }) => {
                Err(Refusal::denied("this host was revoked; enrol it again"))
            }
            Some(Host { revoked_at: Some(_), shut: Shut::Retired, .. }) => {
                Err(Refusal::denied("this host was retired; enrol it again"))
            }
            Some(host) => Ok(host),
        }
    }

    /// Refuses, in words and counted, whoever may not enrol with a token.
    async fn redeem(&self, from: SocketAddr, hash: &[u8; 32], now: Micros) -> Result<Token, Refusal> {
        let refused = |reason, words: &str| {
            self.refusals.enrolment(reason);
            Err(Refusal::denied(words))
        };
        let Some(token) = self.catalog.token(hash).await.map_err(refusal)? else {
            tracing::warn!("enrolment with an unknown join token");
            tracing::debug!(%from, "enrolment with an unknown join token");
            self.joining.guessed(from.ip(), Instant::now());
            return refused("unknown", "the server does not know this join token");
        };
        let address = from.ip().to_canonical();
        if !is_within(&token.networks, address) {
            tracing::warn!(%address, "enrolment from elsewhere than the join token is for");
            self.catalog.refuse(hash).await.map_err(refusal)?;
            let words = format!("this join token is not for hosts at {address}; make one for that network");
            return refused("network", &words);
        }
        match self.catalog.redeem(hash, now).await.map_err(refusal)? {
            Redeemed::Ok => Ok(token),
            Redeemed::Expired => refused("expired", "the join token has expired; make a new one"),
            Redeemed::Used => refused("used", "the join token is used up; make a new one"),
            Redeemed::Revoked => refused("revoked", "the join token was revoked; make a new one"),
            Redeemed::Unknown => refused("unknown", "the server does not know this join token"),
        }
    }

    /// Notes what became of a host, which has become so already.
    async fn note(
        &self,
        who: String,
        from: Option<SocketAddr>,
        what: &'static str,
        about: serde_json::Value,
    ) {
        let address = from.map(|from| from.ip().to_canonical().to_string());
        let deed = Deed { who, address, what, about: Some(about.to_string()), ..Deed::default() };
        if let Err(error) = self.trail.note(deed).await {
            tracing::error!(%error, what, "the audit log cannot be written");
        }
    }

    async fn let_in(&self, enrolment: &Enrolment, token: &Token, now: Micros) -> Result<Enrolled, Refusal> {
        let name = &enrolment.name;
        let (certificate, noted) = self.sign(&enrolment.request, name, now)?;
        let entry = CatalogEnrolment {
            id: certificate.host,
            name: name.clone(),
            certificate: noted,
            agent_version: enrolment.agent_version.clone(),
            replace: enrolment.replace,
            group: token.group.clone(),
            approval: token.approval || self.enrolment.approval,
        };
        let waiting = self.catalog.enrol(&entry, now).await.map_err(refusal)?;
        tracing::info!(name, host = %certificate.host, waiting, "host enrolled");
        self.learn_members().await;
        Ok(self.enrolled(name, certificate, waiting, now))
    }
}

fn waits(host: &Host, why: &str) -> Refusal {
    Refusal::retry(format!(
        "this host waits for approval, because {why}: `bartizan hosts approve {}` at the server",
        host.id
    ))
}

/// Whether an address is in one of these networks; in any, if there are none.
fn is_within(networks: &[String], address: IpAddr) -> bool {
    let address = addr_from_ip(address);
    let mut ranges = networks.iter().filter_map(|text| AddrRange::parse(text));
    networks.is_empty() || ranges.any(|range| range.first <= address && address <= range.last)
}

#[async_trait]
impl Admission for Fleet {
    async fn admit(&self, peer: &Peer) -> Result<String, Refusal> {
        let now = bartizan_clock::now();
        let host = self.known(peer.host).await?;
        if let Some((_, why)) = &host.waiting {
            return Err(waits(&host, why));
        }
        if peer.cert_not_after < now {
            return Err(Refusal::expired("this host's certificate has expired; it may have a new one"));
        }
        self.contacts.note(peer.host, now);
        Ok(host.name)
    }

    fn claim(&self, peer: &Peer, speaker: Speaker) -> Result<Claim, Refusal> {
        let claim = self.claims.claim(peer.host, speaker, bartizan_clock::now());
        if let Err(refusal) = &claim {
            tracing::warn!(host = peer.name, %refusal, "stream refused");
        }
        claim
    }

    fn spread(&self) -> Duration {
        spread_of(self.size())
    }

    async fn enrol(&self, from: SocketAddr, enrolment: Enrolment) -> Result<Enrolled, Refusal> {
        let _turn = self.joining.turn(from.ip(), Instant::now()).await.map_err(|turned| {
            self.refusals.enrolment(turned.as_str());
            turned.refusal()
        })?;
        let now = bartizan_clock::now();
        let hash = &enrolment.token.0;
        let token = self.redeem(from, hash, now).await?;
        let result = self.let_in(&enrolment, &token, now).await;
        if let Ok(enrolled) = &result {
            let about =
                serde_json::json!({"host": enrolled.name, "waiting": enrolled.waiting, "group": token.group});
            self.note(
                format!("join token {}", &HEXLOWER.encode(hash)[..TOKEN_ID]),
                Some(from),
                "enrol",
                about,
            )
            .await;
        }
        if let Err(refused) = &result {
            if refused.kind == RefusalKind::Permanent {
                self.refusals.enrolment("name");
            }
            // a name that is taken must not cost the token
            self.catalog.give_back(hash).await.map_err(refusal)?;
        }
        result
    }

    async fn renew(&self, peer: &Peer, request: Vec<u8>, agent_version: String) -> Result<Enrolled, Refusal> {
        let now = bartizan_clock::now();
        let counted = |offence, refused: Refusal| {
            self.refused(peer, offence, &refused.reason);
            refused
        };
        let host = self.known(peer.host).await.map_err(|refused| match refused.kind {
            RefusalKind::Retry => refused,
            _ => counted(Offence::Standing, refused),
        })?;
        if let Some((_, why)) = &host.waiting {
            return Err(waits(&host, why));
        }
        if now.0.saturating_sub(host.certificate.not_after.0) > GRACE {
            let why = "its certificate ended more than 30 days ago";
            tracing::warn!(host = host.name, "a host is back after a long time and waits for approval");
            self.catalog.let_wait(host.id, why, now).await.map_err(refusal)?;
            let about = serde_json::json!({"host": host.name, "why": why});
            self.note(format!("host:{}", host.name), None, "let_wait", about).await;
            return Err(waits(&host, why));
        }
        let (certificate, noted) = self.sign(&request, &host.name, now)?;
        if certificate.host != peer.host {
            let why = "the certificate request is for another key than this host's";
            return Err(counted(Offence::Identity, Refusal::permanent(why)));
        }
        self.catalog.renewed(peer.host, &noted, &agent_version).await.map_err(refusal)?;
        Ok(self.enrolled(&host.name, certificate, false, now))
    }

    fn refused(&self, peer: &Peer, offence: Offence, why: &str) {
        tracing::warn!(host = peer.name, offence = offence.as_str(), why, "refused");
        self.refusals.of(peer.host, offence, why, bartizan_clock::now());
    }

    fn offers(&self) -> Option<watch::Receiver<u64>> {
        Some(self.said.changes())
    }

    fn offer(&self, peer: &Peer) -> Offer {
        self.said.offer(&peer.name)
    }

    fn configured(&self, peer: &Peer, configured: Configured) {
        self.said.configured(peer.host, &peer.name, configured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_networks_is_for_all_and_one_with_them_for_those() {
        let within = |networks: &[&str], address: &str| {
            let networks: Vec<_> = networks.iter().map(|n| (*n).to_owned()).collect();
            is_within(&networks, address.parse().unwrap())
        };
        assert!(within(&[], "203.0.113.1"));
        let some = ["192.0.2.0/24", "2001:db8::/32"];
        assert!(within(&some, "192.0.2.255") && within(&some, "2001:db8::1"));
        assert!(!within(&some, "192.0.3.0") && !within(&some, "::ffff:0:1"));
        assert!(!within(&["nonsense"], "192.0.2.1"), "what is not understood lets nobody in");
    }
}
