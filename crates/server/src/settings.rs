//! Settings in two stages: what was written in `server.toml`, and what was meant by it.

use crate::fleet::EnrolmentSettings;
use crate::forward::Destination;
use crate::keeper::{Retain, RetainError, WrittenKeep, WrittenRetain};
use crate::place::{Place, WrittenLake};
use crate::sinks::{Sink, SinkError, WrittenSink};
use crate::walls::WrittenSandbox;
use bartizan_collect::{Listener, ListenerError, WrittenListener};
use bartizan_enrich::{SetError, Sets};
use bartizan_filter::{Context, Filter};
use bartizan_lake::Compact;
use bartizan_model::Kind;
use bartizan_oidc::{OidcSettings, OidcSettingsError, WrittenOidc};
use bartizan_outgoing::{OutgoingSettings, OutgoingSettingsError, WrittenOutgoing};
use bartizan_query::Limits;
use bartizan_wire::ListenSettings;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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

/// `[enrolment]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// Whether somebody has to approve of every new host, whatever its token says.
    pub approval: bool,
    /// Minutes that a host's certificate is good; its agent renews it when a third is over.
    pub certificate_minutes: u64,
}

impl Default for Enrolment {
    fn default() -> Self {
        Self { approval: false, certificate_minutes: 7 * 24 * 60 }
    }
}

impl Enrolment {
    fn check(&self) -> Result<EnrolmentSettings, SettingsError> {
        let Self { approval, certificate_minutes: minutes } = *self;
        if !(1..=366 * 24 * 60).contains(&minutes) {
            return wrong("enrolment.certificate_minutes", format!("{minutes} is not in 1..=527040"));
        }
        Ok(EnrolmentSettings { approval, certificate: Duration::from_secs(minutes * 60) })
    }
}

/// `[connections]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Connections of agents at one time.
    pub agents: usize,
    /// Connections to the page and the API at one time.
    pub front: usize,
    /// Of those, connections of one address.
    pub front_of_one: usize,
    /// Seconds for a handshake, and then for the head of a request.
    pub handshake_seconds: u64,
    /// Seconds for some ten kilobytes that somebody asked for and does not take.
    pub stall_seconds: u64,
}

/// Connections of one host: one, those that it has lost and the server still believes in, and some more.
const OF_ONE_HOST: usize = 8;
/// Streams of one host's connection: its lanes, and a request for a certificate.
const HOST_STREAMS: u32 = 16;

impl Default for Connections {
    fn default() -> Self {
        Self { agents: 16_384, front: 16_384, front_of_one: 1024, handshake_seconds: 10, stall_seconds: 60 }
    }
}

impl Connections {
    /// Bounds of the front port and of the agents'.
    fn check(&self) -> Result<[ListenSettings; 2], SettingsError> {
        let Self { agents, front, front_of_one, handshake_seconds, stall_seconds } = *self;
        for (key, count) in [("connections.agents", agents), ("connections.front", front)] {
            if !(16..=1 << 20).contains(&count) {
                return wrong(key, format!("{count} is not in 16..=1048576"));
            }
        }
        if !(1..=front).contains(&front_of_one) {
            return wrong(
                "connections.front_of_one",
                format!("{front_of_one} is not in 1..=connections.front"),
            );
        }
        let times = [
            ("connections.handshake_seconds", handshake_seconds),
            ("connections.stall_seconds", stall_seconds),
        ];
        for (key, seconds) in times {
            if !(1..=600).contains(&seconds) {
                return wrong(key, format!("{seconds} is not in 1..=600"));
            }
        }
        let both = ListenSettings {
            handshake_time: Duration::from_secs(handshake_seconds),
            stall_time: Duration::from_secs(stall_seconds),
            ..ListenSettings::default()
        };
        Ok([
            ListenSettings { connections: front, connections_of_one: front_of_one, ..both },
            ListenSettings {
                connections: agents,
                connections_of_one: OF_ONE_HOST,
                streams: HOST_STREAMS,
                ..both
            },
        ])
    }
}

/// `[audit]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A receiver of syslog: `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH`.
    pub syslog: Option<String>,
}

impl Audit {
    fn destination(&self) -> Result<Option<Destination>, SettingsError> {
        let place = self.syslog.as_deref().map(str::parse).transpose();
        place.or_else(|problem| wrong("audit.syslog", problem))
    }
}

/// `[enrich]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// Files that say country and autonomous system; the first one that knows counts.
    pub files: Vec<PathBuf>,
}

/// `[query]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Threads that work on questions; 0: as many as the machine has processors.
    pub threads: usize,
    /// Questions that work at one time.
    pub questions: usize,
    /// Megabytes of memory for all of them, for sorting and grouping.
    pub megabytes: usize,
    /// Megabytes of that memory for one.
    pub question_megabytes: usize,
    /// Seconds that one may work.
    pub question_seconds: u64,
    /// Gigabytes that one may read from files; 0: any.
    pub question_gigabytes: u64,
    /// Gigabytes of temporary files, for sorting what does not fit in memory.
    pub spill_gigabytes: u64,
    /// Megabytes of memory for footers and indexes of files.
    pub index_megabytes: usize,
    /// Megabytes of memory for answers about files that may be asked for again.
    pub answer_megabytes: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            threads: 0,
            questions: 4,
            megabytes: 512,
            question_megabytes: 384,
            question_seconds: 300,
            question_gigabytes: 0,
            spill_gigabytes: 8,
            index_megabytes: 64,
            answer_megabytes: 16,
        }
    }
}

impl Query {
    fn limits(&self) -> Result<Limits, SettingsError> {
        if self.questions == 0 || self.questions > 1024 {
            return wrong("query.questions", format!("{} is not in 1..=1024", self.questions));
        }
        if self.megabytes < 16 || self.megabytes > 1 << 20 {
            return wrong("query.megabytes", format!("{} is not in 16..=1048576", self.megabytes));
        }
        if self.question_megabytes < 16 || self.question_megabytes > self.megabytes {
            let problem = format!("{} is not in 16..=query.megabytes", self.question_megabytes);
            return wrong("query.question_megabytes", problem);
        }
        if self.question_seconds == 0 {
            return wrong("query.question_seconds", "0 leaves no time".to_owned());
        }
        if self.threads > 1024 {
            return wrong("query.threads", format!("{} is not in 0..=1024", self.threads));
        }
        let processors = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Limits {
            memory: self.megabytes << 20,
            question_memory: self.question_megabytes << 20,
            question_time: Duration::from_secs(self.question_seconds),
            question_bytes: self.question_gigabytes.saturating_mul(1 << 30),
            questions: self.questions,
            metadata_cache: self.index_megabytes.saturating_mul(1 << 20),
            answer_cache: self.answer_megabytes.saturating_mul(1 << 20),
            spill: self.spill_gigabytes.saturating_mul(1 << 30),
            partitions: if self.threads == 0 { processors() } else { self.threads },
            ..Limits::default()
        })
    }
}

/// `[spool]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Megabytes of it.
    pub megabytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { megabytes: 1024 }
    }
}

/// `[commit]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commit {
    /// Milliseconds that a row may wait in memory.
    pub age_ms: u64,
    /// Megabytes of rows in memory that are written before their time.
    pub megabytes: u64,
    /// Megabytes of rows in memory at which senders have to wait.
    pub limit_megabytes: u64,
    /// Megabytes of disk that are never used, so that a full disk can be mended.
    pub reserve_megabytes: u64,
}

impl Default for Commit {
    fn default() -> Self {
        Self { age_ms: 5000, megabytes: 128, limit_megabytes: 512, reserve_megabytes: 512 }
    }
}

/// `[compact]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compacting {
    /// Percent of one core that background work may use.
    pub cpu_percent: u32,
    /// Rows of a sorted file.
    pub unit_rows: u64,
    /// Newest rows that stay in the order of time.
    pub newest_rows: u64,
    /// Minutes of quiet after which what is left of a day that is over is sorted.
    pub settle_minutes: u64,
    /// Files of commits that are not merged yet, at which senders have to wait.
    pub limit_files: usize,
}

impl Default for Compacting {
    fn default() -> Self {
        Self {
            cpu_percent: 100,
            unit_rows: 2 << 20,
            newest_rows: 1 << 18,
            settle_minutes: 10,
            limit_files: 1000,
        }
    }
}

impl Compacting {
    fn check(&self) -> Result<Compact, SettingsError> {
        let Self { cpu_percent, unit_rows, newest_rows, settle_minutes, limit_files } = *self;
        if !(1..=100).contains(&cpu_percent) {
            return wrong("compact.cpu_percent", format!("{cpu_percent} is not in 1..=100"));
        }
        if !(1 << 16..=1 << 24).contains(&unit_rows) {
            return wrong("compact.unit_rows", format!("{unit_rows} is not in 65536..=16777216"));
        }
        if newest_rows > unit_rows {
            return wrong("compact.newest_rows", format!("{newest_rows} is more than compact.unit_rows"));
        }
        if settle_minutes > 1440 {
            return wrong("compact.settle_minutes", format!("{settle_minutes} is more than 1440"));
        }
        if limit_files < 100 {
            return wrong("compact.limit_files", format!("{limit_files} is less than 100"));
        }
        let settle = i64::try_from(settle_minutes).unwrap_or(i64::MAX).saturating_mul(60_000_000);
        Ok(Compact { unit_rows, keep_rows: newest_rows, settle, ..Compact::default() })
    }
}

/// A setting that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// One of the server's own.
    #[error("{key}: {problem}")]
    Own {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// One of a listener.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// One of a sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// One of a set.
    #[error(transparent)]
    Set(#[from] SetError),
    /// One of retention.
    #[error(transparent)]
    Retain(#[from] RetainError),
    /// One of the identity provider.
    #[error(transparent)]
    Oidc(#[from] OidcSettingsError),
    /// One of requests to the outside.
    #[error(transparent)]
    Outgoing(#[from] OutgoingSettingsError),
}

impl SettingsError {
    /// The key that it is about, dotted, or the table or list that holds it: by it the place is found.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Own { key, .. } => key,
            Self::Listener(_) => "collect",
            Self::Sink(_) => "sink",
            Self::Set(_) => "sets",
            Self::Retain(_) => "retain",
            Self::Oidc(_) => "oidc",
            Self::Outgoing(_) => "outgoing",
        }
    }
}

fn wrong<T>(key: &'static str, problem: String) -> Result<T, SettingsError> {
    Err(SettingsError::Own { key, problem })
}

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

/// The identity provider. A scope that it gives names what every table has, as the scope of a user does.
fn provider(written: WrittenOidc, names: &Context) -> Result<OidcSettings, SettingsError> {
    let settings = OidcSettings::new(written)?;
    for scope in settings.grants.iter().filter_map(|grant| grant.scope.as_ref()) {
        for table in Kind::ALL {
            if let Err(error) = Filter::parse_for(table, scope, names) {
                return wrong("oidc.grant", format!("scope `{scope}`: {error}"));
            }
        }
    }
    Ok(settings)
}

/// All copies; a name is one sink's.
fn sinks(written: Vec<WrittenSink>) -> Result<Vec<Sink>, SettingsError> {
    let mut names = std::collections::BTreeSet::new();
    let mut sinks = Vec::new();
    for sink in written {
        if !names.insert(sink.name.clone()) {
            return wrong("sink", format!("two are called `{}`", sink.name));
        }
        sinks.extend(Sink::all(sink)?);
    }
    Ok(sinks)
}

/// What filters may name beside sets.
fn groups(written: &BTreeMap<String, Vec<String>>) -> Result<Context, SettingsError> {
    let mut context = Context::default();
    for (name, hosts) in written {
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        if !name.starts_with(char::is_alphanumeric) || !name.chars().all(plain) {
            let problem = "a name has letters, digits and `_-.`, and begins with one of the first";
            return wrong("groups", format!("`{name}`: {problem}"));
        }
        let same = |(known, _): (&str, _)| known == bartizan_filter::fold(name);
        if context.groups().any(same) {
            return wrong("groups", format!("`{name}` is there twice; capitals make no difference"));
        }
        if let Some(host) = hosts.iter().find(|host| host.is_empty()) {
            return wrong("groups", format!("`{name}`: {host:?} is no name of a host"));
        }
        context = context.with_group(name, hosts);
    }
    Ok(context)
}

/// The names of the certificate: those written, those listened on, and this machine's own loopback.
fn names(mut names: Vec<String>, addresses: [SocketAddr; 2]) -> Vec<String> {
    let listened =
        addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    names.extend(listened);
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|n| seen.insert(n.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

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
