//! When hosts were heard of last: kept in memory, and written down now and then.
//!
//! Ten thousand hosts are heard of ten thousand times a minute. Written one by one, each would cost the disk a sync; so
//! they are written together, and a server that is killed forgets ten seconds of them.

use bartizan_catalog::Catalog;
use bartizan_model::{HostId, Micros};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Between two times of writing.
const PAUSE: Duration = Duration::from_secs(10);

/// Contacts that are not written yet.
pub(crate) struct Contacts {
    catalog: Catalog,
    heard: Mutex<BTreeMap<HostId, Micros>>,
}

impl Contacts {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, heard: Mutex::default() }
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<HostId, Micros>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a host was heard of.
    pub(crate) fn note(&self, host: HostId, at: Micros) {
        self.heard().insert(host, at);
    }

    /// When a host was heard of last, if that is not written yet.
    pub(crate) fn of(&self, host: HostId) -> Option<Micros> {
        self.heard().get(&host).copied()
    }

    /// Writes them down until `stop` is true, and then once more.
    pub(crate) async fn keep(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = tokio::time::timeout(PAUSE, stop.wait_for(|stop| *stop)).await.is_ok();
            self.write().await;
            if stopping {
                return;
            }
        }
    }

    async fn write(&self) {
        let heard: Vec<_> = self.heard().iter().map(|(host, at)| (*host, *at)).collect();
        if heard.is_empty() {
            return;
        }
        match self.catalog.touch(&heard).await {
            // What was heard in the meantime is newer, and stays.
            Ok(()) => {
                let mut now = self.heard();
                for (host, at) in heard {
                    if now.get(&host) == Some(&at) {
                        now.remove(&host);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "contacts of hosts are written later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_catalog::{Certificate, Enrolment};

    #[tokio::test]
    async fn contacts_are_written_together_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
        let hosts = [1, 2].map(|n| HostId::from_bytes([n; 16]));
        for id in hosts {
            let certificate =
                Certificate { serial: "1".into(), not_after: Micros(9), authority: String::new() };
            let entry = Enrolment {
                id,
                name: format!("h{id}"),
                certificate,
                agent_version: "1".into(),
                replace: false,
                group: None,
                approval: false,
            };
            catalog.enrol(&entry, Micros(1)).await.unwrap();
        }
        let contacts = Contacts::new(catalog.clone());
        for (at, id) in [(5, hosts[0]), (6, hosts[1]), (7, hosts[0])] {
            contacts.note(id, Micros(at));
        }
        assert_eq!((contacts.of(hosts[0]), contacts.of(hosts[1])), (Some(Micros(7)), Some(Micros(6))));
        let (stop, stopped) = watch::channel(true);
        contacts.keep(stopped).await;
        drop(stop);
        let written = async |id| catalog.host(id).await.unwrap().unwrap().last_contact;
        assert_eq!((written(hosts[0]).await, written(hosts[1]).await), (Some(Micros(7)), Some(Micros(6))));
        assert_eq!(contacts.of(hosts[0]), None);
    }
}
