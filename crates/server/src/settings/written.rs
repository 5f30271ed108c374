//! `server.toml` as written: its sections, and what counts where nothing is said.

use super::connections::{Connections, Enrolment};
use super::outside::{Audit, Enrich};
use super::query::Query;
use super::rows::{Commit, Compacting, Spool};
use crate::keeper::{WrittenKeep, WrittenRetain};
use crate::place::WrittenLake;
use crate::sinks::WrittenSink;
use crate::walls::WrittenSandbox;
use bartizan_collect::WrittenListener;
use bartizan_oidc::WrittenOidc;
use bartizan_outgoing::WrittenOutgoing;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `server.toml` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// Where everything lives: the fleet's keys, the catalog, the lake.
    pub dir: PathBuf,
    /// Address of the web page, the HTTP API and enrolment.
    pub listen: String,
    /// Address for agents.
    pub agents_listen: String,
    /// Names and addresses by which hosts reach this server, for its certificate.
    pub names: Vec<String>,
    /// A file of forms of log prefixes that are tried before the built-in ones.
    pub prefixes: Option<PathBuf>,
    /// Where the tables are.
    pub lake: WrittenLake,
    /// When rows become files.
    pub commit: Commit,
    /// How files are merged and sorted.
    pub compact: Compacting,
    /// What is listened to beside agents.
    pub collect: Vec<WrittenListener>,
    /// Databases that rows are copied to.
    pub sink: Vec<WrittenSink>,
    /// Where what comes from others than agents waits for the lake.
    pub spool: Spool,
    /// How hosts join and stay.
    pub enrolment: Enrolment,
    /// What connections may take.
    pub connections: Connections,
    /// What is known of addresses.
    pub enrich: Enrich,
    /// Networks with names, for filters: addresses, networks, ranges, other sets with `@`, paths of files.
    pub sets: BTreeMap<String, Vec<String>>,
    /// Groups of hosts, for filters: names of hosts, with `*` and `?` as wildcards.
    pub groups: BTreeMap<String, Vec<String>>,
    /// What this process may use of the machine.
    pub sandbox: WrittenSandbox,
    /// What questions may use.
    pub query: Query,
    /// How long rows are kept, by rules.
    pub retain: Vec<WrittenRetain>,
    /// How much is kept.
    pub keep: WrittenKeep,
    /// The identity provider by which people sign in.
    pub oidc: Option<WrittenOidc>,
    /// Where requests to the outside may go.
    pub outgoing: WrittenOutgoing,
    /// What becomes of the audit log.
    pub audit: Audit,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            dir: "/var/lib/bartizan".into(),
            listen: "127.0.0.1:8443".into(),
            agents_listen: "127.0.0.1:8444".into(),
            names: Vec::new(),
            prefixes: None,
            lake: WrittenLake::default(),
            commit: Commit::default(),
            compact: Compacting::default(),
            collect: Vec::new(),
            sink: Vec::new(),
            spool: Spool::default(),
            enrolment: Enrolment::default(),
            connections: Connections::default(),
            enrich: Enrich::default(),
            sets: BTreeMap::new(),
            groups: BTreeMap::new(),
            sandbox: WrittenSandbox::default(),
            query: Query::default(),
            retain: Vec::new(),
            keep: WrittenKeep::default(),
            oidc: None,
            outgoing: WrittenOutgoing::default(),
            audit: Audit::default(),
        }
    }
}
