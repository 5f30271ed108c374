//! The fleet's register, and how everyone is doing. Who is let in is in `admission`, what people change in `standing`.

use crate::claims::Claims;
use crate::configurations::Said;
use crate::contacts::Contacts;
use crate::joining::Joining;
use crate::keys::Keys;
use crate::others::Others;
use crate::refusals::Refusals;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use bartizan_api::{
    HostChange, HostInfo, HostRefusal, HostState, Hosts, SenderInfo, StandingChange, Unavailable,
};
use bartizan_catalog::{Catalog, CatalogError, Host, Shut};
use bartizan_enrich::Enrichment;
use bartizan_filter::{Context, Filter};
use bartizan_ingest::Ingest;
use bartizan_model::{Kind, Micros};
use bartizan_people::Trail;
use bartizan_query::{Engine, QueryError, Window};
use bartizan_wire::Refusal;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// A host that was heard of this recently is online: agents ping and send at least that often.
const ONLINE: i64 = 90_000_000;
/// More hosts than that are not counted in one question.
const MOST_HOSTS: usize = 100_000;

/// How hosts join and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrolmentSettings {
    /// Whether somebody has to approve of every new host.
    pub approval: bool,
    /// How long a host's certificate lasts; agents renew it when a third is over.
    pub certificate: Duration,
}

/// What the register is made of.
pub(crate) struct Parts {
    pub(crate) catalog: Catalog,
    pub(crate) others: Others,
    pub(crate) keys: Arc<Keys>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) enrichment: Arc<Enrichment>,
    pub(crate) enrolment: EnrolmentSettings,
    pub(crate) trail: Trail,
    pub(crate) said: Arc<Said>,
    pub(crate) agent_port: u16,
}

/// The fleet's register.
pub(crate) struct Fleet {
    pub(crate) catalog: Catalog,
    pub(crate) keys: Arc<Keys>,
    ingest: Arc<Ingest>,
    engine: Arc<Engine>,
    enrichment: Arc<Enrichment>,
    pub(crate) enrolment: EnrolmentSettings,
    pub(crate) agent_port: u16,
    pub(crate) claims: Claims,
    pub(crate) refusals: Refusals,
    pub(crate) contacts: Contacts,
    pub(crate) joining: Joining,
    pub(crate) trail: Trail,
    /// What is said of the hosts' configuration.
    pub(crate) said: Arc<Said>,
    others: Others,
    /// Hosts that may send.
    size: AtomicUsize,
    /// How often the register was changed, and up to which of these changes it was read again.
    changes: AtomicU64,
    learned: Mutex<u64>,
}

impl Fleet {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { catalog, others, keys, ingest, engine, enrichment, enrolment, trail, said, agent_port } =
            parts;
        let (claims, refusals) = (Claims::default(), Refusals::default());
        Self {
            contacts: Contacts::new(catalog.clone()),
            joining: Joining::default(),
            size: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            learned: Mutex::default(),
            catalog,
            keys,
            ingest,
            engine,
            enrichment,
            enrolment,
            agent_port,
            claims,
            refusals,
            trail,
            said,
            others,
        }
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
        let last_contact =
            activity.map(|a| a.last_contact).max(self.contacts.of(host.id)).max(host.last_contact);
        let online = last_contact.is_some_and(|at| now.0.saturating_sub(at.0) < ONLINE);
        let (events, lost) = counts.copied().unwrap_or_default();
        let refused = self.refusals.of_host(host.id);
        let configuration = self.said.of_host(host.id, &host.name);
        HostInfo {
            group: host.group,
            waiting_for: host.waiting.as_ref().map(|(_, why)| why.clone()),
            refused: refused.as_ref().map_or(0, |refused| refused.count),
            refused_at: refused.as_ref().map(|refused| refused.last),
            refused_why: refused.map(|refused| refused.why),
            configuration,
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
            state: match (host.revoked_at, host.shut, host.waiting, online) {
                (Some(_), Shut::Revoked, ..) => HostState::Revoked,
                (Some(_), Shut::Retired, ..) => HostState::Retired,
                (None, _, Some(_), _) => HostState::Waiting,
                (None, _, None, true) => HostState::Online,
                (None, _, None, false) => HostState::Offline,
            },
        }
    }

    /// Hosts that may send.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Lets groups have the hosts that tokens put there, and counts who is in. Whoever changed something calls it, and has
    /// it counted when this returns; when thousands enrol at once, all that wait are counted by one.
    pub(crate) async fn learn_members(&self) {
        let change = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let mut learned = self.learned.lock().await;
        if *learned >= change {
            return;
        }
        *learned = self.changes.load(Ordering::Relaxed);
        match self.catalog.hosts_in().await {
            Ok(size) => self.size.store(size, Ordering::Relaxed),
            Err(error) => tracing::error!(%error, "the size of the fleet is as it was"),
        }
        match self.catalog.members().await {
            Ok(members) => {
                let enrichment = Arc::clone(&self.enrichment);
                drop(tokio::task::spawn_blocking(move || enrichment.set_members(members)).await);
                self.said.stir();
            }
            Err(error) => tracing::error!(%error, "groups of hosts are as they were"),
        }
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

    async fn change(&self, host: &str, change: StandingChange) -> Result<HostChange, HostRefusal> {
        self.change_standing(host, change).await
    }

    fn refusals(&self) -> Vec<(&'static str, &'static str, u64)> {
        let offences = self.refusals.offences().into_iter().map(|(why, n)| ("host", why, n));
        let enrolments = self.refusals.enrolments().into_iter().map(|(why, n)| ("enrolment", why, n));
        offences.chain(enrolments).collect()
    }
}

pub(crate) fn refusal(error: CatalogError) -> Refusal {
    match error {
        CatalogError::NameTaken { .. } | CatalogError::NoHost(_) => Refusal::permanent(error.to_string()),
        _ => {
            tracing::error!(%error, "the catalog failed");
            Refusal::retry("the server's catalog does not answer")
        }
    }
}

pub(crate) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Unavailable {
    Unavailable(Box::new(error))
}
