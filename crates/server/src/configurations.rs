//! What is said of agents' configuration: kept in versions, offered to the hosts that it is for.
//!
//! The catalog has every version for ever; in memory are the newest of each target, so that a stream is answered without
//! a question to the disk, and what each host last said of it.

use async_trait::async_trait;
use bartizan_api::{
    ConfigurationChange, ConfigurationInfo, ConfigurationPage, ConfigurationRefusal, Configurations,
    HostConfiguration, NewConfiguration, Unavailable,
};
use bartizan_catalog::{Catalog, CatalogError, Configuration, NewConfiguration as NewVersion};
use bartizan_config::Source;
use bartizan_enrich::Enrichment;
use bartizan_filter::{Context, fold};
use bartizan_model::HostId;
use bartizan_wire::{Configured, Offer, Part};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// Bytes of a target's name.
const NAME: usize = 128;

/// Whom a text is for, the more special the later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    All,
    Group(String),
    Host(String),
}

impl Target {
    fn parse(text: &str) -> Result<Self, ConfigurationRefusal> {
        let name = |name: &str| -> Result<String, ConfigurationRefusal> {
            let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"*?:".contains(c);
            match !name.is_empty() && name.len() <= NAME && name.chars().all(plain) {
                true => Ok(fold(name)),
                false => Err(wrong(format!("`{}` is no name of a group or host", shown(name)))),
            }
        };
        match text.split_once(':') {
            None if text == "*" => Ok(Self::All),
            Some(("group", group)) => name(group).map(Self::Group),
            Some(("host", host)) => name(host).map(Self::Host),
            _ => Err(wrong(format!("`{}` is not `*`, `group:NAME` or `host:NAME`", shown(text)))),
        }
    }

    /// Whether it is for a host of this name.
    fn is_for(&self, host: &str, names: &Context) -> bool {
        match self {
            Self::All => true,
            Self::Group(name) => {
                let mut groups = names.groups().filter(|(group, _)| group == name);
                groups.any(|(_, hosts)| hosts.iter().any(|pattern| pattern.is_match(host)))
            }
            Self::Host(name) => *name == fold(host),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Host(name) => write!(f, "host:{name}"),
        }
    }
}

fn wrong(detail: String) -> ConfigurationRefusal {
    ConfigurationRefusal::Wrong(detail)
}

/// What somebody wrote, short enough to be said back.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn unavailable(error: CatalogError) -> Unavailable {
    Unavailable(Box::new(error))
}

/// All of it.
pub(crate) struct Said {
    catalog: Catalog,
    names: Arc<Enrichment>,
    current: RwLock<BTreeMap<Target, Part>>,
    told: Mutex<BTreeMap<HostId, Configured>>,
    changes: watch::Sender<u64>,
}

impl Said {
    /// What the catalog has.
    pub(crate) async fn load(catalog: Catalog, names: Arc<Enrichment>) -> Result<Self, CatalogError> {
        let mut current = BTreeMap::new();
        for kept in catalog.configurations().await? {
            match Target::parse(&kept.said.target) {
                Ok(target) => drop(current.insert(target, part(&kept))),
                Err(error) => {
                    tracing::error!(version = kept.version, %error, "a configuration is for nobody")
                }
            }
        }
        let (current, told) = (RwLock::new(current), Mutex::default());
        Ok(Self { catalog, names, current, told, changes: watch::Sender::new(0) })
    }

    /// Changes when something else may be offered.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Something else may be offered: a text, or who is in which group.
    pub(crate) fn stir(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// What counts for a host of this name now.
    pub(crate) fn offer(&self, name: &str) -> Offer {
        let names = self.names.context();
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        // One that says nothing any more need not be sent.
        let counting = current.iter().filter(|(_, part)| !part.text.trim().is_empty());
        let parts = counting.filter(|(target, _)| target.is_for(name, &names));
        Offer { parts: parts.map(|(_, part)| part.clone()).collect() }
    }

    /// What a host says of it.
    pub(crate) fn configured(&self, host: HostId, name: &str, configured: Configured) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.insert(host, configured.clone());
        if let Some(refused) = configured.refused
            && before.is_none_or(|before| before.refused.is_none_or(|r| r.versions != refused.versions))
        {
            tracing::warn!(host = name, versions = ?refused.versions, why = refused.why, "configuration refused");
        }
    }

    /// How far a host is with what counts for it.
    pub(crate) fn of_host(&self, host: HostId, name: &str) -> HostConfiguration {
        let wanted = self.offer(name).versions();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
        let Some(Configured { versions, refused, held, after_restart }) = told else {
            return HostConfiguration { config_wanted: wanted, ..HostConfiguration::default() };
        };
        let refused = refused.filter(|refused| refused.versions == wanted);
        let state = match () {
            () if versions == wanted => "as wanted",
            () if refused.is_some() => "refused",
            () => "not yet",
        };
        HostConfiguration {
            config: Some(state.to_owned()),
            config_wanted: wanted,
            config_has: versions,
            config_why: refused.map(|refused| refused.why),
            config_held: held,
            config_after_restart: after_restart,
        }
    }

    /// The names of all hosts that may send.
    async fn fleet(&self) -> Result<Vec<String>, Unavailable> {
        let hosts = self.catalog.hosts().await.map_err(unavailable)?;
        Ok(hosts.into_iter().filter(|host| host.is_in()).map(|host| host.name).collect())
    }

    fn info(&self, kept: Configuration, fleet: &[String]) -> ConfigurationInfo {
        let Configuration { version, said, at } = kept;
        let NewVersion { target, text, who, comment } = said;
        let (mut counts, mut hosts) = (false, 0);
        if let Ok(target) = Target::parse(&target) {
            let names = self.names.context();
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            counts = current.get(&target).is_some_and(|part| part.version == version);
            hosts = fleet.iter().filter(|host| target.is_for(host, &names)).count();
        }
        ConfigurationInfo { version, target, text, who, comment, at, counts, hosts }
    }

    async fn add(
        &self,
        target: Target,
        new: NewVersion,
    ) -> Result<ConfigurationChange, ConfigurationRefusal> {
        let added = self.catalog.add_configuration(new, bartizan_clock::now()).await;
        let (now, was) = added.map_err(unavailable)?;
        let fleet = self.fleet().await?;
        let was = was.map(|was| self.info(was, &fleet));
        {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            let newer = current.get(&target).is_none_or(|part| part.version < now.version);
            // Two who say something at one time: the catalog has decided.
            if newer {
                current.insert(target, part(&now));
            }
        }
        tracing::info!(
            version = now.version,
            target = now.said.target,
            who = now.said.who,
            "configuration said"
        );
        self.stir();
        Ok(ConfigurationChange { now: self.info(now, &fleet), was })
    }
}

fn part(kept: &Configuration) -> Part {
    Part { version: kept.version, target: kept.said.target.clone(), text: kept.said.text.clone() }
}

#[async_trait]
impl Configurations for Said {
    async fn versions(&self, page: ConfigurationPage) -> Result<Vec<ConfigurationInfo>, Unavailable> {
        let ConfigurationPage { target, version, before, limit } = page;
        // As it is kept; one that is none has no versions.
        let target = target.map(|text| Target::parse(&text).map_or(text, |target| target.to_string()));
        let kept = match version {
            Some(version) => {
                let one = self.catalog.configuration(version).await.map_err(unavailable)?.into_iter();
                one.filter(|one| target.as_ref().is_none_or(|target| *target == one.said.target)).collect()
            }
            None => {
                let all = self.catalog.configuration_history(target.as_deref(), before, limit).await;
                all.map_err(unavailable)?
            }
        };
        let fleet = self.fleet().await?;
        Ok(kept.into_iter().map(|kept| self.info(kept, &fleet)).collect())
    }

    async fn say(
        &self,
        who: &str,
        new: NewConfiguration,
    ) -> Result<ConfigurationChange, ConfigurationRefusal> {
        let target = Target::parse(&new.target)?;
        let source = Source { name: target.to_string(), text: new.text };
        bartizan_settings::check(&source).map_err(|error| wrong(error.to_string()))?;
        let (name, text) = (source.name, source.text);
        self.add(target, NewVersion { target: name, text, who: who.to_owned(), comment: new.comment }).await
    }

    async fn roll_back(
        &self,
        who: &str,
        version: u64,
        comment: Option<String>,
    ) -> Result<ConfigurationChange, ConfigurationRefusal> {
        let kept = self.catalog.configuration(version).await.map_err(unavailable)?;
        let kept =
            kept.ok_or_else(|| ConfigurationRefusal::Unknown(format!("there is no version {version}")))?;
        let comment = comment.unwrap_or_else(|| format!("as version {version}"));
        let NewVersion { target, text, .. } = kept.said;
        // What an older program took may be no configuration of today.
        self.say(who, NewConfiguration { target, text, comment }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_enrich::Settings;
    use bartizan_model::Micros;
    use bartizan_wire::NotTaken;

    async fn said(dir: &std::path::Path, members: &[(&str, &str)]) -> Said {
        let catalog = Catalog::open(&dir.join("catalog.db")).await.unwrap();
        let names = Arc::new(Enrichment::new(Settings::default(), Micros(0)));
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, host) in members {
            groups.entry((*group).to_owned()).or_default().push((*host).to_owned());
        }
        names.set_members(groups);
        Said::load(catalog, names).await.unwrap()
    }

    async fn say(said: &Said, target: &str, text: &str) -> Result<u64, String> {
        let (target, text) = (target.to_owned(), text.to_owned());
        let new = NewConfiguration { target, text, comment: String::new() };
        said.say("anna", new).await.map(|change| change.now.version).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_is_more_special_counts_later_and_a_restart_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let members = [("db", "pg1"), ("all", "pg1"), ("web", "www")];
        let first = said(dir.path(), &members).await;
        let mut changes = first.changes();
        for (target, text) in [
            ("host:PG1", "caps.rule_rate = 4"),
            ("group:db", "caps.rule_rate = 3"),
            ("group:all", "caps.rule_rate = 2"),
            ("*", "caps.rule_rate = 1"),
            ("group:web", ""),
        ] {
            say(&first, target, text).await.unwrap();
            assert!(changes.has_changed().unwrap());
            changes.mark_unchanged();
        }
        for said in [&first, &said(dir.path(), &members).await] {
            // The groups by their names, then the host.
            assert_eq!(said.offer("Pg1").versions(), [4, 3, 2, 1]);
            assert_eq!(said.offer("www").versions(), [4], "an empty text says nothing");
            assert_eq!(said.offer("other").versions(), [4]);
        }
    }

    #[tokio::test]
    async fn nothing_is_said_that_an_agent_would_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let said = said(dir.path(), &[]).await;
        let refused = async |target: &str, text: &str| say(&said, target, text).await.unwrap_err();
        assert_eq!(
            refused("group:DB", "\ncaps.rule_rat = 1").await,
            "group:db:2: unknown key \"caps.rule_rat\" (did you mean \"caps.rule_rate\"?)"
        );
        assert!(refused("*", "dir = '/'").await.contains("the host's own"));
        for target in ["", "all", "group:", "host:a b", "host:a*", "group:a:b", "user:x", &"x".repeat(500)] {
            assert!(refused(target, "").await.starts_with('`'), "{target}");
        }
        assert!(said.catalog.configurations().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_roll_back_is_a_version_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let said = said(dir.path(), &[]).await;
        say(&said, "*", "caps.rule_rate = 1").await.unwrap();
        say(&said, "*", "caps.rule_rate = 2").await.unwrap();
        let change = said.roll_back("berta", 1, None).await.unwrap();
        let (now, was) = (change.now, change.was.unwrap());
        assert_eq!(
            (now.version, now.text.as_str(), now.comment.as_str()),
            (3, "caps.rule_rate = 1", "as version 1")
        );
        assert_eq!((now.counts, was.version, was.counts), (true, 2, true), "as it was before");
        let page = ConfigurationPage { target: Some("*".into()), limit: 10, ..ConfigurationPage::default() };
        let versions = said.versions(page).await.unwrap();
        assert_eq!(
            versions.iter().map(|v| (v.version, v.counts)).collect::<Vec<_>>(),
            [(3, true), (2, false), (1, false)]
        );
        assert!(matches!(said.roll_back("berta", 9, None).await, Err(ConfigurationRefusal::Unknown(_))));
    }

    #[tokio::test]
    async fn a_host_is_as_wanted_not_yet_or_has_refused() {
        let dir = tempfile::tempdir().unwrap();
        let said = said(dir.path(), &[]).await;
        let id = HostId::from_bytes([1; 16]);
        let state = || said.of_host(id, "pg1").config;
        assert_eq!(state(), None, "it never said anything");
        said.configured(id, "pg1", Configured::default());
        assert_eq!(state().as_deref(), Some("as wanted"));
        say(&said, "*", "groups = [7]").await.unwrap();
        assert_eq!(state().as_deref(), Some("not yet"));
        let refused =
            |versions: &[u64]| Some(NotTaken { versions: versions.to_vec(), why: "no".into(), again: false });
        said.configured(id, "pg1", Configured { refused: refused(&[9]), ..Configured::default() });
        assert_eq!(state().as_deref(), Some("not yet"), "that is the past");
        said.configured(id, "pg1", Configured { refused: refused(&[1]), ..Configured::default() });
        assert_eq!(
            (state().as_deref(), said.of_host(id, "pg1").config_why.as_deref()),
            (Some("refused"), Some("no"))
        );
        said.configured(id, "pg1", Configured { versions: vec![1], ..Configured::default() });
        assert_eq!(state().as_deref(), Some("as wanted"));
    }
}
