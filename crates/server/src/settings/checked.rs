//! What was meant, and the check of what was written.

use super::error::{SettingsError, wrong};
use super::names::{groups, names, provider, sinks};
use super::rows::Commit;
use super::written::Written;
use crate::fleet::EnrolmentSettings;
use crate::forward::Destination;
use crate::keeper::Retain;
use crate::place::Place;
use crate::sinks::Sink;
use bartizan_collect::Listener;
use bartizan_enrich::Sets;
use bartizan_lake::Compact;
use bartizan_oidc::OidcSettings;
use bartizan_outgoing::OutgoingSettings;
use bartizan_query::Limits;
use bartizan_wire::ListenSettings;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What was meant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything lives.
    pub dir: PathBuf,
    /// Address of the web page, the HTTP API and enrolment.
    pub listen: SocketAddr,
    /// Address for agents.
    pub agents_listen: SocketAddr,
    /// Names for the server's certificate, `localhost` and the loopback addresses always among them.
    pub names: Vec<String>,
    /// A file of forms of log prefixes.
    pub prefixes: Option<PathBuf>,
    /// Where the tables are.
    pub lake: Place,
    /// How long a row may wait in memory.
    pub commit_age: Duration,
    /// Bytes of rows in memory that are written before their time.
    pub commit_bytes: usize,
    /// Bytes of rows in memory at which senders have to wait.
    pub hot_limit: usize,
    /// Bytes of disk that are never used.
    pub reserve: u64,
    /// How files are merged and sorted.
    pub compact: Compact,
    /// Percent of one core that background work may use.
    pub compact_cpu_percent: u32,
    /// Files that are not merged yet, at which senders have to wait.
    pub fresh_files: usize,
    /// What is listened to beside agents.
    pub listeners: Vec<Listener>,
    /// Copies in databases.
    pub sinks: Vec<Sink>,
    /// Bytes of the spool of what comes there.
    pub spool_bytes: u64,
    /// How hosts join and stay.
    pub enrolment: EnrolmentSettings,
    /// Bounds of the port of the page and the API.
    pub front: ListenSettings,
    /// Bounds of the agents' port.
    pub agents: ListenSettings,
    /// What is known of addresses.
    pub enrichment: bartizan_enrich::Settings,
    /// What questions may use.
    pub query: Limits,
    /// How long rows are kept.
    pub(crate) retain: Retain,
    /// Where the audit log is forwarded to.
    pub audit_syslog: Option<Destination>,
    /// How long a file stays after it was replaced or removed, in microseconds.
    pub removed_age: i64,
    /// The identity provider by which people sign in.
    pub oidc: Option<OidcSettings>,
    /// Where requests to the outside may go.
    pub outgoing: OutgoingSettings,
}

impl Settings {
    /// What was meant by what was written.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub fn new(written: Written) -> Result<Self, SettingsError> {
        let address = |key, text: &str| {
            text.parse()
                .or_else(|_| wrong(key, format!("`{text}` is not ADDRESS:PORT, such as `0.0.0.0:8443`")))
        };
        let Commit { age_ms, megabytes, limit_megabytes, reserve_megabytes } = written.commit;
        if !(10..=3_600_000).contains(&age_ms) {
            return wrong("commit.age_ms", format!("{age_ms} is not in 10..=3600000"));
        }
        if megabytes == 0 || megabytes > limit_megabytes || limit_megabytes > 1 << 20 {
            return wrong("commit.megabytes", format!("{megabytes} is not in 1..=commit.limit_megabytes"));
        }
        let spool = written.spool.megabytes;
        if !(16..=1 << 24).contains(&spool) {
            return wrong("spool.megabytes", format!("{spool} is not in 16..=16777216"));
        }
        let hours = written.keep.removed_hours;
        if !(1..=8760).contains(&hours) {
            return wrong("keep.removed_hours", format!("{hours} is not in 1..=8760"));
        }
        let bytes = |mb: u64| usize::try_from(mb << 20).unwrap_or(usize::MAX);
        let (listen, agents_listen) =
            (address("listen", &written.listen)?, address("agents_listen", &written.agents_listen)?);
        let names_of_filters = groups(&written.groups)?;
        let oidc = written.oidc.map(|oidc| provider(oidc, &names_of_filters)).transpose()?;
        let [front, agents] = written.connections.check()?;
        Ok(Self {
            query: Limits { spill_dir: Some(written.dir.join("tmp")), ..written.query.limits()? },
            front,
            agents,
            dir: written.dir,
            names: names(written.names, [listen, agents_listen]),
            prefixes: written.prefixes,
            listen,
            agents_listen,
            lake: Place::new(written.lake, |name| std::env::var(name).ok())?,
            commit_age: Duration::from_millis(age_ms),
            commit_bytes: bytes(megabytes),
            hot_limit: bytes(limit_megabytes),
            reserve: reserve_megabytes.saturating_mul(1 << 20),
            compact: written.compact.check()?,
            compact_cpu_percent: written.compact.cpu_percent,
            fresh_files: written.compact.limit_files,
            listeners: written.collect.into_iter().map(Listener::new).collect::<Result<_, _>>()?,
            sinks: sinks(written.sink)?,
            spool_bytes: spool << 20,
            enrolment: written.enrolment.check()?,
            enrichment: bartizan_enrich::Settings {
                files: written.enrich.files,
                sets: Sets::new(&written.sets)?,
                names: names_of_filters,
            },
            audit_syslog: written.audit.destination()?,
            retain: Retain::new(&written.retain, written.keep)?,
            removed_age: i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(3_600_000_000),
            oidc,
            outgoing: OutgoingSettings::new(&written.outgoing)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::connections::{Connections, Enrolment};
    use crate::settings::outside::Audit;
    use crate::settings::query::Query;
    use crate::settings::rows::Compacting;
    use bartizan_outgoing::WrittenOutgoing;
    use std::collections::BTreeMap;

    #[test]
    fn wrong_values_are_named() {
        let error = |w: Written| Settings::new(w).unwrap_err().to_string();
        assert!(error(Written { listen: "here".into(), ..Written::default() }).starts_with("listen: `here`"));
        let sets = BTreeMap::from([("office".to_owned(), vec!["192.0.2.300".to_owned()])]);
        assert!(error(Written { sets, ..Written::default() }).starts_with("sets.office: `192.0.2.300`"));
        let groups = |name: &str, host: &str| BTreeMap::from([(name.to_owned(), vec![host.to_owned()])]);
        let groups = [groups("a b", "x"), groups("db", "")];
        for groups in groups {
            assert!(error(Written { groups, ..Written::default() }).starts_with("groups: `"));
        }
        let twice = ["DB", "db"].map(|name| (name.to_owned(), vec!["x".to_owned()]));
        let groups = BTreeMap::from(twice);
        assert!(error(Written { groups, ..Written::default() }).ends_with("make no difference"));
        let commit = Commit { age_ms: 1, ..Commit::default() };
        assert!(error(Written { commit, ..Written::default() }).starts_with("commit.age_ms: 1"));
        let compact = Compacting { newest_rows: 1 << 20, unit_rows: 1 << 19, ..Compacting::default() };
        assert!(error(Written { compact, ..Written::default() }).starts_with("compact.newest_rows: 1048576"));
        let compact = Compacting { cpu_percent: 0, ..Compacting::default() };
        assert!(error(Written { compact, ..Written::default() }).starts_with("compact.cpu_percent: 0"));
        let enrolment = Enrolment { certificate_minutes: 0, ..Enrolment::default() };
        assert!(
            error(Written { enrolment, ..Written::default() })
                .starts_with("enrolment.certificate_minutes: 0")
        );
        let connections = Connections { front_of_one: 20_000, ..Connections::default() };
        assert!(
            error(Written { connections, ..Written::default() })
                .starts_with("connections.front_of_one: 20000 is not in 1..=connections.front")
        );
        let connections = Connections { stall_seconds: 0, ..Connections::default() };
        assert!(
            error(Written { connections, ..Written::default() }).starts_with("connections.stall_seconds: 0")
        );
        let audit = Audit { syslog: Some("syslog:514".into()) };
        assert!(error(Written { audit, ..Written::default() }).starts_with("audit.syslog: `syslog:514`"));
        let query = Query { question_megabytes: 1024, ..Query::default() };
        let error = error(Written { query, ..Written::default() });
        assert!(error.starts_with("query.question_megabytes: 1024"), "{error}");
    }

    #[test]
    fn a_scope_of_a_provider_is_one_of_every_table_and_of_groups_that_there_are() {
        let text = |scope: &str| {
            format!(
                "[oidc]\nurl = \"https://watch.example.net\"\nissuer = \"https://id.example.net\"\nclient_id = \"b\"\n\
                 [[oidc.grant]]\ngroup = \"dba\"\nrole = \"analyst\"\nscope = \"{scope}\"\n[groups]\ndb = [\"db*\"]\n"
            )
        };
        let read = |scope: &str| {
            let source = bartizan_config::Source { name: "server.toml".into(), text: text(scope) };
            Settings::new(bartizan_config::load_from(&[source], &[]).unwrap())
        };
        let oidc = read("group:db").unwrap().oidc.unwrap();
        assert_eq!(oidc.grants[0].scope.as_deref(), Some("group:db"));
        for (scope, says) in
            [("group:gone", "unknown group"), ("dport:22", "scope `dport:22`"), ("host:(", "scope `host:(`")]
        {
            let error = read(scope).unwrap_err().to_string();
            assert!(error.starts_with("oidc.grant: ") && error.contains(says), "{error}");
        }
        let outgoing = WrittenOutgoing { allow: vec!["10.0.0".into()], ca_file: None };
        let error = Settings::new(Written { outgoing, ..Written::default() }).unwrap_err().to_string();
        assert!(error.starts_with("outgoing.allow: `10.0.0`"), "{error}");
    }

    #[test]
    fn the_certificate_names_loopback_and_what_is_listened_on_once() {
        let names = Settings::new(Written {
            names: vec!["watch.example.net".into(), "localhost".into()],
            agents_listen: "10.9.0.1:8444".into(),
            ..Written::default()
        })
        .unwrap()
        .names;
        assert_eq!(names, ["watch.example.net", "localhost", "127.0.0.1", "10.9.0.1", "::1"]);
    }
}
