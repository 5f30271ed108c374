//! What counts now, and how it is kept up to date.

use crate::sets::{self, Sets};
use crate::watch::Watched;
use crate::{Database, Places, Record};
use bartizan_filter::{AddrItem, AddrRange, Addrs, Context};
use bartizan_model::{Micros, addr_from_ip};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What is to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Databases, the ones that count first before the others.
    pub files: Vec<PathBuf>,
    /// Sets. Where one is called `fleet`, it is what filters mean by `fleet`.
    pub sets: Sets,
    /// What filters may name beside the sets: groups of hosts, services.
    pub names: Context,
}

/// Databases and sets, kept up to date.
#[derive(Debug, Default)]
pub struct Enrichment {
    counts: RwLock<Counts>,
    kept: Mutex<Kept>,
}

/// What readers take.
#[derive(Clone, Debug, Default)]
struct Counts {
    places: Arc<Places>,
    context: Arc<Context>,
    sets: Arc<Vec<(String, Addrs)>>,
}

/// What it is made of.
#[derive(Debug, Default)]
struct Kept {
    databases: Vec<Watched<Arc<Database>>>,
    lists: Vec<Watched<Vec<AddrRange>>>,
    sets: Sets,
    names: Context,
    members: BTreeMap<String, Vec<String>>,
}

/// How a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Where it is.
    pub path: PathBuf,
    /// What it calls itself; `ranges` where it is a text.
    pub kind: Option<String>,
    /// When its data were put together.
    pub date: Option<Micros>,
    /// When it was read.
    pub loaded: Option<Micros>,
    /// Stretches of addresses of which it says something.
    pub ranges: usize,
    /// Lines that were passed over.
    pub skipped: usize,
    /// Whether it says countries.
    pub countries: bool,
    /// Whether it says autonomous systems.
    pub systems: bool,
    /// What is wrong with the file as it is; what it said before still counts.
    pub problem: Option<String>,
}

/// How a set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetStatus {
    /// Its name, without `@`.
    pub name: String,
    /// Addresses, networks and ranges in it.
    pub ranges: usize,
    /// What is wrong with its files; what they said before still counts.
    pub problem: Option<String>,
}

/// How everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The databases, in their order.
    pub files: Vec<FileStatus>,
    /// The sets, by name.
    pub sets: Vec<SetStatus>,
}

/// All that is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Country and autonomous system.
    pub record: Record,
    /// The name of the latter.
    pub system: Option<String>,
    /// The sets that it is in.
    pub sets: Vec<String>,
}

impl Enrichment {
    /// Reads everything that the settings name. Blocks.
    #[must_use]
    pub fn new(settings: Settings, now: Micros) -> Self {
        let enrichment = Self::default();
        enrichment.configure(settings, now);
        enrichment
    }

    /// Lets other settings count. What was read of files that are still named is kept. Blocks.
    pub fn configure(&self, settings: Settings, now: Micros) {
        let mut kept = self.kept();
        let mut old = std::mem::take(&mut *kept);
        kept.members = std::mem::take(&mut old.members);
        let lists = settings.sets.files().into_iter();
        kept.lists = lists.map(|path| keep(&mut old.lists, path)).collect();
        kept.databases = settings.files.iter().map(|path| keep(&mut old.databases, path)).collect();
        kept.sets = settings.sets;
        kept.names = settings.names;
        kept.look(now);
        self.publish(&kept);
    }

    /// Lets groups have these hosts beside those that the settings name. Blocks while files are read.
    pub fn set_members(&self, members: BTreeMap<String, Vec<String>>) {
        let mut kept = self.kept();
        if kept.members != members {
            kept.members = members;
            self.publish(&kept);
        }
    }

    /// Reads the files that changed. Blocks; to be called every few seconds.
    pub fn look(&self, now: Micros) {
        let mut kept = self.kept();
        if kept.look(now) {
            self.publish(&kept);
        }
    }

    /// The databases that count now.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        Arc::clone(&self.counts.read().unwrap_or_else(PoisonError::into_inner).places)
    }

    /// The sets that count now, for filters.
    #[must_use]
    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.counts.read().unwrap_or_else(PoisonError::into_inner).context)
    }

    /// All that is known of an address.
    #[must_use]
    pub fn known(&self, ip: IpAddr) -> Known {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner).clone();
        let addr = addr_from_ip(ip);
        let record = counts.places.of(addr);
        Known {
            record,
            system: record.asn.and_then(|asn| counts.places.name(asn)).map(str::to_owned),
            sets: counts
                .sets
                .iter()
                .filter(|(_, addrs)| addrs.contains(&addr))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// How everything is. Waits while files are read.
    #[must_use]
    pub fn status(&self) -> Status {
        let kept = self.kept();
        let problem = |name: &str| {
            let files = kept.sets.files_of(name);
            let file = kept.lists.iter().find(|file| file.problem.is_some() && files.contains(&file.path))?;
            Some(format!("{}: {}", file.path.display(), file.problem.as_deref()?))
        };
        let set = |name: &str| SetStatus {
            name: name.to_owned(),
            ranges: kept.sets.ranges(name, &kept.lists).len(),
            problem: problem(name),
        };
        Status {
            files: kept.databases.iter().map(file_status).collect(),
            sets: kept.sets.names().map(set).collect(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, kept: &Kept) {
        let databases = kept.databases.iter().filter_map(|file| file.content.clone()).collect();
        let (mut context, mut sets) = (kept.names.clone(), Vec::new());
        for (group, hosts) in &kept.members {
            context = context.with_members(group, hosts);
        }
        for name in kept.sets.names() {
            let ranges = kept.sets.ranges(name, &kept.lists);
            let items = ranges.iter().copied().map(AddrItem::Range).collect();
            sets.push((name.to_owned(), Addrs::new(items, &Context::default())));
            if name == "fleet" {
                context = context.with_fleet(ranges.clone());
            }
            context = context.with_set(name, ranges);
        }
        let counts = Counts {
            places: Arc::new(Places::new(databases)),
            context: Arc::new(context),
            sets: Arc::new(sets),
        };
        *self.counts.write().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

impl Kept {
    /// Whether anything changed.
    fn look(&mut self, now: Micros) -> bool {
        let mut changed = false;
        for file in &mut self.databases {
            let new = file.look(now, |bytes, written| Database::read(bytes, written).map(Arc::new));
            if let (true, Some(database)) = (new, &file.content) {
                tracing::info!(
                    file = %file.path.display(), kind = database.kind(), ranges = database.ranges(),
                    "countries and autonomous systems are read"
                );
            }
            changed |= new;
        }
        for file in &mut self.lists {
            let new = file.look(now, sets::read);
            if new {
                tracing::info!(file = %file.path.display(), "the file of a set is read");
            }
            changed |= new;
        }
        changed
    }
}

/// The file as it was kept so far, or a new one.
fn keep<T>(old: &mut Vec<Watched<T>>, path: &PathBuf) -> Watched<T> {
    match old.iter().position(|file| file.path == *path) {
        Some(at) => old.swap_remove(at),
        None => Watched::new(path.clone()),
    }
}

fn file_status(file: &Watched<Arc<Database>>) -> FileStatus {
    let database = file.content.as_deref();
    FileStatus {
        path: file.path.clone(),
        kind: database.map(|d| d.kind().to_owned()),
        date: database.map(Database::date),
        loaded: file.loaded,
        ranges: database.map_or(0, Database::ranges),
        skipped: database.map_or(0, Database::skipped),
        countries: database.is_some_and(Database::countries),
        systems: database.is_some_and(Database::systems),
        problem: file.problem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_filter::Filter;
    use std::fs;

    #[test]
    fn members_of_groups_outlast_a_new_configuration() {
        let enrichment = Enrichment::default();
        enrichment.set_members([("db".to_owned(), vec!["pg1".to_owned()])].into());
        let names = Context::default().with_group("db", &["my*".to_owned()]);
        enrichment.configure(Settings { names, ..Settings::default() }, Micros(5));
        let hosts = enrichment.context().groups().map(|(_, hosts)| hosts.len()).collect::<Vec<_>>();
        assert_eq!(hosts, [2]);
    }

    #[test]
    fn everything_changes_without_a_restart_and_nothing_by_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let (data, list) = (dir.path().join("data.tsv"), dir.path().join("list"));
        fs::write(&data, "192.0.2.0\t192.0.2.255\t64500\tNL\tExample\n").unwrap();
        fs::write(&list, "198.51.100.7\n").unwrap();
        let sets = |items: &[&str]| {
            let items = items.iter().map(|i| (*i).to_owned()).collect();
            Sets::new(&[("s".to_owned(), items)].into()).unwrap()
        };
        let from_list = sets(&[list.to_str().unwrap()]);
        let enrichment = Enrichment::new(
            Settings { files: vec![data.clone()], sets: from_list.clone(), ..Settings::default() },
            Micros(5),
        );
        let known = |ip: &str| enrichment.known(ip.parse().unwrap());
        let said = |ip: &str| known(ip).record.country.map(|c| c.to_string());
        assert_eq!(said("192.0.2.1").as_deref(), Some("NL"));
        assert_eq!(known("192.0.2.1").system.as_deref(), Some("Example"));
        assert_eq!(known("198.51.100.7").sets, ["s"]);
        let matches = |ip: &str| {
            let filter = Filter::parse("src:@s", &enrichment.context()).unwrap();
            format!("{filter:?}").contains(&format!("{:?}", addr_from_ip(ip.parse().unwrap())))
        };
        assert!(matches("198.51.100.7") && !matches("198.51.100.8"));
        let held = enrichment.places();

        fs::write(&data, "192.0.2.0\t192.0.2.255\t64501\tDE\tSecond, longer\n").unwrap();
        fs::write(&list, "198.51.100.8\n198.51.100.9").unwrap();
        enrichment.look(Micros(6));
        assert_eq!(said("192.0.2.1").as_deref(), Some("NL"), "it may still be written");
        enrichment.look(Micros(7));
        assert_eq!(said("192.0.2.1").as_deref(), Some("DE"));
        assert!(matches("198.51.100.8") && !matches("198.51.100.7"));
        assert_eq!(
            held.of(addr_from_ip("192.0.2.1".parse().unwrap())).asn,
            Some(64500),
            "who holds it keeps it"
        );

        fs::write(&data, "no data").unwrap();
        fs::write(&list, "no address").unwrap();
        enrichment.look(Micros(8));
        enrichment.look(Micros(9));
        assert_eq!(said("192.0.2.1").as_deref(), Some("DE"));
        let status = enrichment.status();
        assert_eq!(
            status.files[0].problem.as_deref().map(|p| p.starts_with("line 1 is no range")),
            Some(true)
        );
        assert_eq!((status.files[0].loaded, status.files[0].ranges), (Some(Micros(7)), 1));
        assert!(status.sets[0].problem.as_ref().unwrap().contains("list: line 1 is no address"));
        assert_eq!(status.sets[0].ranges, 2);

        // other settings: a file that stays is not lost though it is bad now
        enrichment.configure(
            Settings { files: vec![data], sets: sets(&["10.0.0.0/8"]), ..Settings::default() },
            Micros(10),
        );
        assert_eq!(said("192.0.2.1").as_deref(), Some("DE"));
        assert_eq!(known("10.1.1.1").sets, ["s"]);
        enrichment.configure(Settings::default(), Micros(11));
        assert_eq!(known("192.0.2.1"), Known::default());
    }

    #[test]
    fn filters_may_name_groups_services_and_the_fleet() {
        let written = BTreeMap::from([("fleet".to_owned(), vec!["192.0.2.0/28".to_owned()])]);
        let names = Context::default().with_group("db", &["db*".into()]).with_services("nc 4711/tcp");
        let settings = Settings { sets: Sets::new(&written).unwrap(), names, ..Settings::default() };
        let enrichment = Enrichment::new(settings, Micros(1));
        let text = "dst:fleet,@fleet dport:nc group:db";
        let filter = Filter::parse(text, &enrichment.context()).unwrap();
        assert_eq!(filter.to_string(), "dst:fleet,@fleet dport:4711 group:db");
        assert!(Filter::parse(text, &Enrichment::default().context()).is_err());
    }
}
