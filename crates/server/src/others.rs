//! The hosts that have no agent: what the server keeps of them in its catalog, and what it tells of them.

use anyhow::Context as _;
use bartizan_api::{HostConfiguration, HostInfo, HostState, SenderInfo};
use bartizan_catalog::{Catalog, CatalogError, Sender};
use bartizan_collect::{Agents, Collector, Count, Counts, Delivery, Surroundings};
use bartizan_ingest::Ingest;
use bartizan_model::Micros;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use crate::keys::Keys;
use crate::settings::Settings;

/// How often the catalog gets what changed.
const EVERY: Duration = Duration::from_secs(2);

/// What is known of senders without an agent, and what they must not call themselves.
#[derive(Clone, Default)]
pub(crate) struct Others {
    pub(crate) counts: Arc<Counts>,
    agents: Arc<Agents>,
}

impl Others {
    /// As the catalog knows them.
    pub(crate) async fn load(catalog: &Catalog) -> Result<Self, CatalogError> {
        let others = Self::default();
        others.counts.load(catalog.senders().await?.into_iter().map(counted));
        others.learn_names(catalog).await?;
        Ok(others)
    }

    /// Listens to them, if that is asked for, or if something of an earlier life still waits.
    pub(crate) fn collect(
        &self,
        settings: &Settings,
        ingest: &Arc<Ingest>,
        keys: &Keys,
    ) -> anyhow::Result<Option<Collector>> {
        if settings.listeners.is_empty() && !settings.dir.join("spool").exists() {
            return Ok(None);
        }
        let surroundings = Surroundings {
            dir: &settings.dir,
            ingest: Arc::clone(ingest),
            certificate: Arc::clone(&keys.certificate),
            hosts: keys.authorities.hosts(),
            spool_bytes: settings.spool_bytes,
            counts: Arc::clone(&self.counts),
            agents: Arc::clone(&self.agents),
        };
        Collector::start(settings.listeners.clone(), surroundings).map(Some)
    }

    /// Keeps the catalog and the names up to date until `stop`, and then once more.
    pub(crate) async fn keep(self, catalog: Catalog, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if let Err(error) = self.note(&catalog).await.context("cannot note senders") {
                tracing::warn!(error = format!("{error:#}"), "the catalog lags behind");
            }
            if stopping {
                return;
            }
        }
    }

    async fn note(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        self.learn_names(catalog).await?;
        let changed: Vec<_> = self.counts.changed().into_iter().map(sender).collect();
        if changed.is_empty() { Ok(()) } else { catalog.note_senders(&changed).await }
    }

    async fn learn_names(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        let hosts = catalog.hosts().await?.into_iter().filter(|host| host.is_in());
        self.agents.set(hosts.map(|host| host.name));
        Ok(())
    }

    /// For `senders`.
    pub(crate) fn told(&self) -> Vec<SenderInfo> {
        let info = |(delivery, count): (Delivery, Count)| SenderInfo {
            host: delivery.host,
            sender: delivery.sender,
            source: delivery.source,
            messages: count.messages,
            rows: count.rows,
            unparsed: count.unparsed,
            other: count.other,
            kept: count.kept,
            cut: count.cut,
            over: count.over,
            first_seen: count.first,
            last_seen: count.last,
        };
        self.counts.all().into_iter().map(info).collect()
    }

    /// Adds to the hosts that have an agent how else they report, and the ones that have none.
    pub(crate) fn add_to(&self, hosts: &mut Vec<HostInfo>, counts: &BTreeMap<String, (u64, u64)>) {
        let mut others: BTreeMap<String, Other> = BTreeMap::new();
        for (delivery, count) in self.counts.all() {
            let other = others.entry(delivery.host).or_insert_with(|| Other {
                sources: BTreeSet::new(),
                first: count.first,
                last: count.last,
            });
            other.sources.insert(delivery.source);
            other.first = other.first.min(count.first);
            other.last = other.last.max(count.last);
        }
        for host in
            hosts.iter_mut().filter(|host| !matches!(host.state, HostState::Revoked | HostState::Retired))
        {
            if let Some(other) = others.remove(&host.name) {
                host.reports = std::iter::once("agent")
                    .chain(other.sources.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(", ");
            }
        }
        hosts.extend(others.into_iter().map(|(name, other)| {
            let (events, lost) = counts.get(&name).copied().unwrap_or_default();
            HostInfo {
                name,
                id: None,
                reports: other.sources.into_iter().collect::<Vec<_>>().join(", "),
                first_seen: other.first,
                last_contact: Some(other.last),
                last_event: None,
                events,
                lost,
                cert_not_after: None,
                clock_offset_ms: None,
                clone_seen: None,
                version: None,
                rate: 0.0,
                spool_bytes: None,
                spool_batches: None,
                spool_oldest: None,
                group: None,
                waiting_for: None,
                refused: 0,
                refused_at: None,
                refused_why: None,
                configuration: HostConfiguration::default(),
                state: HostState::NoAgent,
            }
        }));
    }
}

/// One host without an agent, or besides it.
struct Other {
    sources: BTreeSet<String>,
    first: Micros,
    last: Micros,
}

fn counted(sender: Sender) -> (Delivery, Count) {
    let [messages, rows, unparsed, other, kept, cut, over] = sender.counts;
    let (first, last) = (sender.first_seen, sender.last_seen);
    let count = Count { messages, rows, unparsed, other, kept, cut, over, first, last };
    (Delivery { host: sender.host, sender: sender.sender, source: sender.source }, count)
}

fn sender((delivery, count): (Delivery, Count)) -> Sender {
    let Count { messages, rows, unparsed, other, kept, cut, over, first, last } = count;
    Sender {
        host: delivery.host,
        sender: delivery.sender,
        source: delivery.source,
        counts: [messages, rows, unparsed, other, kept, cut, over],
        first_seen: first,
        last_seen: last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::HostId;

    #[test]
    fn hosts_without_an_agent_are_told_beside_the_others() {
        let others = Others::default();
        let delivery = |host: &str, source: &str| Delivery {
            host: host.into(),
            sender: "192.0.2.1".into(),
            source: source.into(),
        };
        let count = |last| Count { messages: 3, first: Micros(1), last: Micros(last), ..Count::default() };
        others.counts.load([
            (delivery("gw", "syslog"), count(5)),
            (delivery("gw", "ulogd"), count(9)),
            (delivery("web", "syslog"), count(7)),
        ]);
        let agent = HostInfo {
            name: "web".into(),
            id: Some(HostId::from_bytes([1; 16])),
            reports: "agent".into(),
            first_seen: Micros(0),
            last_contact: None,
            last_event: None,
            events: 0,
            lost: 0,
            cert_not_after: None,
            clock_offset_ms: None,
            clone_seen: None,
            version: None,
            rate: 0.0,
            spool_bytes: None,
            spool_batches: None,
            spool_oldest: None,
            group: None,
            waiting_for: None,
            refused: 0,
            refused_at: None,
            refused_why: None,
            configuration: HostConfiguration::default(),
            state: HostState::Online,
        };
        let mut hosts = vec![agent];
        others.add_to(&mut hosts, &BTreeMap::from([("gw".to_owned(), (40, 2))]));
        let told: Vec<_> =
            hosts.iter().map(|h| (h.name.as_str(), h.reports.as_str(), h.state, h.events)).collect();
        assert_eq!(
            told,
            [("web", "agent, syslog", HostState::Online, 0), ("gw", "syslog, ulogd", HostState::NoAgent, 40)]
        );
        assert_eq!(hosts[1].last_contact, Some(Micros(9)));
    }
}
