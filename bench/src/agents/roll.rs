//! The roll of a fleet: hosts with keys and certificates, as enrolment would have made them.
//!
//! Ten thousand enrolments through the port are ten thousand connections, entries of the audit log and syncs of the
//! disk; what is measured here begins after them. So keys, certificates and the catalog's entries are made by the same
//! crates, without the way between.

use anyhow::{Context as _, Result};
use bartizan_catalog::{Catalog, Certificate, Enrolment};
use bartizan_model::HostId;
use bartizan_pki::files::load_or_create_authority;
use bartizan_pki::{Authority, HostKey};
use std::path::Path;
use std::thread;

/// Days that a certificate is good, as the server's own are.
const DAYS: u32 = 7;

/// What a host has in its folder.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
}

/// A fleet that a server knows.
#[derive(Debug)]
pub(super) struct Roll {
    pub(super) ca_pem: String,
    pub(super) hosts: Vec<Identity>,
}

impl Roll {
    /// Lets so many hosts in, at a server that was started once and does not run.
    pub(super) fn call(dir: &Path, count: usize) -> Result<Self> {
        let authority = load_or_create_authority(dir, bartizan_clock::now())?;
        let parts = thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let numbers: Vec<usize> = (0..count).collect();
        let made = thread::scope(|scope| {
            let authority = &authority;
            let part = |numbers| scope.spawn(move || host_by_host(authority, numbers));
            let working: Vec<_> = numbers.chunks(count.div_ceil(parts).max(1)).map(part).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("it does not panic");
            working.into_iter().map(join).collect::<Result<Vec<Vec<_>>>>()
        })?;
        let made: Vec<_> = made.into_iter().flatten().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(note(dir, &made))?;
        let hosts = made.into_iter().map(|made| made.identity).collect();
        Ok(Self { ca_pem: authority.cert_pem(), hosts })
    }
}

struct Made {
    id: HostId,
    name: String,
    certificate: Certificate,
    identity: Identity,
}

fn host_by_host(authority: &Authority, numbers: &[usize]) -> Result<Vec<Made>> {
    let one = |number: &usize| {
        let (name, key) = (format!("host-{number:05}"), HostKey::generate()?);
        let issued = authority.issue_host(&key.request()?, &name, bartizan_clock::now(), DAYS)?;
        Ok(Made {
            id: issued.host,
            name,
            certificate: Certificate {
                serial: issued.serial,
                not_after: issued.not_after,
                authority: authority.pin().to_string(),
            },
            identity: Identity { cert_pem: issued.pem, key_pem: key.reveal_pem() },
        })
    };
    numbers.iter().map(one).collect()
}

async fn note(dir: &Path, made: &[Made]) -> Result<()> {
    let catalog = Catalog::open(&dir.join("catalog.db")).await?;
    for Made { id, name, certificate, .. } in made {
        let entry = Enrolment {
            id: *id,
            name: name.clone(),
            certificate: certificate.clone(),
            agent_version: "bench".into(),
            replace: false,
            group: None,
            approval: false,
        };
        catalog.enrol(&entry, bartizan_clock::now()).await.with_context(|| format!("enrol {name}"))?;
    }
    catalog.close().await;
    Ok(())
}
