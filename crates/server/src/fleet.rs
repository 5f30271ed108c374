//! The fleet: who is let in, who gets a certificate, and how everyone is doing.

use crate::claims::Claims;
use crate::others::Others;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use bartizan_api::{HostInfo, HostState, Hosts, NewToken, SenderInfo, Tokens, Unavailable};
use bartizan_catalog::{
    Catalog, CatalogError, Certificate, Enrolment as CatalogEnrolment, Host, Redeemed, Token,
};
use bartizan_filter::{Context, Filter};
use bartizan_ingest::Ingest;
use bartizan_model::{Kind, Micros};
use bartizan_pki::{Authority, HostCertificate, JoinToken};
use bartizan_query::{Engine, QueryError, Window};
use bartizan_wire::{Admission, Claim, Enrolled, Enrolment, Peer, Refusal, Speaker};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Days that a host's certificate lasts; agents renew it when a third is over.
const HOST_DAYS: u32 = 7;
/// A host that was heard of this recently is online: agents ping and send at least that often.
const ONLINE: i64 = 90_000_000;
/// More hosts than that are not counted in one question.
const MOST_HOSTS: usize = 100_000;

/// The fleet's register.
pub(crate) struct Fleet {
    catalog: Catalog,
    authority: Arc<Authority>,
    ingest: Arc<Ingest>,
    engine: Arc<Engine>,
    agent_port: u16,
    claims: Claims,
    others: Others,
}

impl Fleet {
    pub(crate) fn new(
        catalog: Catalog,
        others: Others,
        authority: Arc<Authority>,
        ingest: Arc<Ingest>,
        engine: Arc<Engine>,
        agent_port: u16,
    ) -> Self {
        Self { catalog, authority, ingest, engine, agent_port, claims: Claims::default(), others }
    }

    /// Packets of the events, and losses of events, of each host since a moment.
    async fn counts(&self, since: Micros) -> Result<BTreeMap<String, (u64, u64)>, QueryError> {
        let window = Window { since: Some(since), until: None };
        let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut events = self.engine.top(Kind::Events, &Filter::all(), window, &["host"], MOST_HOSTS).await?;
        while let Some(batch) = events.next().await {
            let batch = match batch {
                // The list of hosts is worth more than counts that are whole; the log names the file.
                Err(QueryError::LeftOut(_)) => break,
                batch => batch?,
            };
            let Some(numbers) = batch.column_by_name("packets") else { continue };
            let numbers = numbers.as_primitive::<Int64Type>();
            for (host, count) in batch.column(0).as_string_view().iter().zip(numbers) {
                counts.entry(host.unwrap_or_default().to_owned()).or_default().0 +=
                    count.unwrap_or(0).cast_unsigned();
            }
        }
        // Entries without a kind are of events.
        let events_only = Filter::parse_for(Kind::Losses, "-kind:*", &Context::default())
            .expect("a filter that is written here");
        let mut losses = self.engine.top(Kind::Losses, &events_only, window, &["host"], MOST_HOSTS).await?;
        while let Some(batch) = losses.next().await {
            let batch = match batch {
                // The list of hosts is worth more than counts that are whole; the log names the file.
                Err(QueryError::LeftOut(_)) => break,
                batch => batch?,
            };
            let Some(numbers) = batch.column_by_name("count") else { continue };
            let numbers = numbers.as_primitive::<Int64Type>();
            for (host, count) in batch.column(0).as_string_view().iter().zip(numbers) {
                counts.entry(host.unwrap_or_default().to_owned()).or_default().1 +=
                    count.unwrap_or(0).cast_unsigned();
            }
        }
        Ok(counts)
    }

    fn info(&self, host: Host, counts: Option<&(u64, u64)>, now: Micros) -> HostInfo {
        let activity = self.ingest.activity().of(host.id);
        let waiting = activity.and_then(|a| a.waiting);
        let last_contact = activity.map(|a| a.last_contact).max(host.last_contact);
        let online = last_contact.is_some_and(|at| now.0.saturating_sub(at.0) < ONLINE);
        let (events, lost) = counts.copied().unwrap_or_default();
        HostInfo {
            name: host.name,
            id: Some(host.id),
            reports: "agent".into(),
            first_seen: host.first_seen,
            last_contact,
            last_event: activity.and_then(|a| a.last_event),
            events,
            lost,
            cert_not_after: Some(host.certificate.not_after),
            clock_offset_ms: activity.and_then(|a| a.clock_offset).map(|micros| micros / 1000),
            clone_seen: self.claims.clone_seen(host.id),
            version: Some(host.agent_version),
            rate: activity.map_or(0.0, |a| (a.rate(now) * 10.0).round() / 10.0),
            spool_bytes: waiting.map(|w| w.bytes),
            spool_batches: waiting.map(|w| w.batches),
            spool_oldest: waiting.and_then(|w| w.oldest),
            state: match (host.revoked_at, online) {
                (Some(_), _) => HostState::Revoked,
                (None, true) => HostState::Online,
                (None, false) => HostState::Offline,
            },
        }
    }

    fn enrolled(&self, name: &str, certificate: HostCertificate, now: Micros) -> Enrolled {
        Enrolled {
            name: name.to_owned(),
            cert_pem: certificate.pem,
            ca_pem: self.authority.cert_pem(),
            not_after: certificate.not_after,
            server_time: now,
            agent_port: self.agent_port,
        }
    }

    async fn let_in(&self, enrolment: &Enrolment, now: Micros) -> Result<Enrolled, Refusal> {
        let name = &enrolment.name;
        let certificate = self.sign(&enrolment.request, name, now)?;
        let entry = CatalogEnrolment {
            id: certificate.host,
            name: name.clone(),
            certificate: noted(&certificate),
            agent_version: enrolment.agent_version.clone(),
            replace: enrolment.replace,
        };
        self.catalog.enrol(&entry, now).await.map_err(refusal)?;
        tracing::info!(name, host = %certificate.host, "host enrolled");
        Ok(self.enrolled(name, certificate, now))
    }

    fn sign(&self, request: &[u8], name: &str, now: Micros) -> Result<HostCertificate, Refusal> {
        self.authority
            .issue_host(request, name, now, HOST_DAYS)
            .map_err(|e| Refusal::permanent(e.to_string()))
    }
}

#[async_trait]
impl Admission for Fleet {
    async fn admit(&self, peer: &Peer) -> Result<(), Refusal> {
        match self.catalog.host(peer.host).await.map_err(refusal)? {
            None => Err(Refusal::denied("this server does not know this host; enrol it again")),
            Some(Host { revoked_at: Some(_), .. }) => {
                Err(Refusal::denied("this host was revoked; enrol it again"))
            }
            Some(_) => {
                let now = bartizan_clock::now();
                self.catalog.touch(&[(peer.host, now)]).await.map_err(refusal)
            }
        }
    }

    fn claim(&self, peer: &Peer, speaker: Speaker) -> Result<Claim, Refusal> {
        let claim = self.claims.claim(peer.host, speaker, bartizan_clock::now());
        if let Err(refusal) = &claim {
            tracing::warn!(host = peer.name, %refusal, "stream refused");
        }
        claim
    }

    async fn enrol(&self, from: SocketAddr, enrolment: Enrolment) -> Result<Enrolled, Refusal> {
        let now = bartizan_clock::now();
        let token = &enrolment.token.0;
        match self.catalog.redeem(token, now).await.map_err(refusal)? {
            Redeemed::Ok => {}
            Redeemed::Expired => return Err(Refusal::denied("the join token has expired; make a new one")),
            Redeemed::Used => return Err(Refusal::denied("the join token is used up; make a new one")),
            Redeemed::Unknown => {
                tracing::warn!("enrolment with an unknown join token");
                tracing::debug!(%from, "enrolment with an unknown join token");
                return Err(Refusal::denied("the server does not know this join token"));
            }
        }
        let result = self.let_in(&enrolment, now).await;
        if result.is_err() {
            // a name that is taken must not cost the token
            self.catalog.give_back(token).await.map_err(refusal)?;
        }
        result
    }

    async fn renew(&self, peer: &Peer, request: Vec<u8>) -> Result<Enrolled, Refusal> {
        let now = bartizan_clock::now();
        let host = self.catalog.host(peer.host).await.map_err(refusal)?;
        let Some(host) = host else { return Err(Refusal::denied("this server does not know this host")) };
        let certificate = self.sign(&request, &host.name, now)?;
        if certificate.host != peer.host {
            return Err(Refusal::permanent("the certificate request is for another key than this host's"));
        }
        self.catalog.renewed(peer.host, &noted(&certificate)).await.map_err(refusal)?;
        Ok(self.enrolled(&host.name, certificate, now))
    }
}

#[async_trait]
impl Hosts for Fleet {
    async fn hosts(&self) -> Result<Vec<HostInfo>, Unavailable> {
        let now = bartizan_clock::now();
        let hosts = self.catalog.hosts().await.map_err(unavailable)?;
        let counts = self.counts(Micros(now.0.saturating_sub(Micros::DAY))).await.map_err(unavailable)?;
        let mut hosts: Vec<_> = hosts
            .into_iter()
            .map(|host| (counts.get(&host.name), host))
            .map(|(c, h)| self.info(h, c, now))
            .collect();
        self.others.add_to(&mut hosts, &counts);
        Ok(hosts)
    }

    async fn senders(&self) -> Result<Vec<SenderInfo>, Unavailable> {
        Ok(self.others.told())
    }
}

#[async_trait]
impl Tokens for Fleet {
    async fn create(&self, new: NewToken) -> Result<String, Unavailable> {
        let now = bartizan_clock::now();
        let token = JoinToken::random(self.authority.pin()).map_err(unavailable)?;
        let life = i64::try_from(new.ttl_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let entry = Token {
            hash: token.secret_hash().0,
            created: now,
            expires: Micros(now.0.saturating_add(life)),
            uses_left: new.uses,
            comment: new.comment,
        };
        self.catalog.add_token(&entry).await.map_err(unavailable)?;
        Ok(token.reveal())
    }
}

fn noted(certificate: &HostCertificate) -> Certificate {
    Certificate { serial: certificate.serial.clone(), not_after: certificate.not_after }
}

fn refusal(error: CatalogError) -> Refusal {
    match error {
        CatalogError::NameTaken { .. } | CatalogError::NoHost(_) => Refusal::permanent(error.to_string()),
        _ => {
            tracing::error!(%error, "the catalog failed");
            Refusal::retry("the server's catalog does not answer")
        }
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Unavailable {
    Unavailable(Box::new(error))
}
