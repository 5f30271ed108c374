use crate::{AddrItem, AddrRange, TextPattern, fold, names, numbers, values};
use std::collections::BTreeMap;

/// Most entries that are read from a services file.
const MAX_SERVICES: usize = 20_000;

/// What a filter may name but does not define: sets, groups of hosts, the fleet's addresses, services.
///
/// The default knows no set, no group, no fleet and no own addresses, and the built-in services. Build one with the
/// `with_` methods; a filter that names what its context lacks does not parse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    sets: BTreeMap<String, Vec<AddrRange>>,
    fleet: Option<Vec<AddrRange>>,
    own: Option<Vec<AddrRange>>,
    services: BTreeMap<String, Vec<u16>>,
    groups: BTreeMap<String, Vec<TextPattern>>,
}

impl Context {
    /// Adds the set `@name`; names are compared without case.
    #[must_use]
    pub fn with_set(mut self, name: &str, ranges: Vec<AddrRange>) -> Self {
        self.sets.insert(name.to_lowercase(), ranges);
        self
    }

    /// Says what `fleet` stands for: the addresses of every host.
    #[must_use]
    pub fn with_fleet(mut self, ranges: Vec<AddrRange>) -> Self {
        self.fleet = Some(ranges);
        self
    }

    /// Says what `self` stands for: the addresses of the one host that the filter runs on.
    #[must_use]
    pub fn with_own(mut self, ranges: Vec<AddrRange>) -> Self {
        self.own = Some(ranges);
        self
    }

    /// Adds a group of hosts: their names, in which `*` and `?` are wildcards. Names are compared without case.
    #[must_use]
    pub fn with_group(mut self, name: &str, hosts: &[String]) -> Self {
        let host = |name: &String| match name.contains(['*', '?']) {
            true => TextPattern::Glob(values::collapse(&fold(name))),
            false => TextPattern::Whole(fold(name)),
        };
        self.groups.insert(fold(name), hosts.iter().map(host).collect());
        self
    }

    /// Adds hosts to a group, which may be new: their names as they are, without wildcards.
    #[must_use]
    pub fn with_members(mut self, name: &str, hosts: &[String]) -> Self {
        let members = self.groups.entry(fold(name)).or_default();
        for host in hosts.iter().map(|host| TextPattern::Whole(fold(host))) {
            if !members.contains(&host) {
                members.push(host);
            }
        }
        self
    }

    /// The groups, by name, with the names of their hosts.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[TextPattern])> {
        self.groups.iter().map(|(name, hosts)| (name.as_str(), hosts.as_slice()))
    }

    /// Adds services from the text of a `services(5)` file; they go before the built-in ones. Lines that are
    /// not understood are skipped, and what follows the first 20,000 names.
    #[must_use]
    pub fn with_services(mut self, text: &str) -> Self {
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some(port) = port.split('/').next().and_then(|p| p.parse::<u16>().ok()) else { continue };
            for name in std::iter::once(name).chain(words).filter(|name| is_name(name)) {
                if self.services.len() >= MAX_SERVICES {
                    return self;
                }
                let ports = self.services.entry(name.to_lowercase()).or_default();
                if !ports.contains(&port) && ports.len() < 8 {
                    ports.push(port);
                }
            }
        }
        self
    }

    /// The addresses behind a name, if it is known.
    pub(crate) fn addresses(&self, item: &AddrItem) -> Option<&[AddrRange]> {
        match item {
            AddrItem::Set(name) => self.sets.get(name).map(Vec::as_slice),
            AddrItem::Fleet => self.fleet.as_deref(),
            AddrItem::Own => self.own.as_deref(),
            AddrItem::Range(_) | AddrItem::Class(_) => None,
        }
    }

    pub(crate) fn set_names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str)
    }

    /// The ports of a service, by its name in lower case; empty if it is not known.
    pub(crate) fn service(&self, name: &str) -> Vec<u16> {
        match self.services.get(name) {
            Some(ports) => ports.clone(),
            None => names::service(name).into_iter().collect(),
        }
    }

    /// The name of a port: the built-in one, else the first that is known.
    #[must_use]
    pub fn service_of(&self, port: u16) -> Option<&str> {
        let built_in = names::service_names().find(|name| names::service(name) == Some(port));
        let own = || self.services.iter().find(|(_, ports)| ports.contains(&port));
        built_in.map(|name| name as &str).or_else(|| own().map(|(name, _)| name.as_str()))
    }

    pub(crate) fn service_names(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str).chain(names::service_names().map(|name: &str| name))
    }
}

/// Whether a name cannot be taken for a number, a range or a comparison.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.contains(|c: char| c.is_ascii_alphabetic())
        && numbers::integer(name).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_added_to_what_a_group_has() {
        let whole = |name: &str| TextPattern::Whole(name.to_owned());
        let context = Context::default()
            .with_group("DB", &["pg*".into(), "my1".into()])
            .with_members("db", &["my1".into(), "Or1".into()])
            .with_members("web", &["w1".into()]);
        let groups: Vec<_> = context.groups().map(|(name, hosts)| (name, hosts.to_vec())).collect();
        let db = vec![TextPattern::Glob("pg*".into()), whole("my1"), whole("or1")];
        assert_eq!(groups, [("db", db), ("web", vec![whole("w1")])]);
    }

    #[test]
    fn services_are_read_from_the_systems_file() {
        let context = Context::default().with_services(
            "# comment\nssh\t\t22/tcp\t\t# SSH\nexec 512/tcp\nBiff 512/udp comsat\nbad\nworse x/tcp\n80-90 7/tcp\n0x50 7/tcp\nssh 2222/udp\n",
        );
        assert_eq!(context.service("ssh"), [22, 2222]);
        assert_eq!(context.service("comsat"), [512]);
        assert_eq!(context.service("biff"), [512]);
        assert_eq!(context.service("https"), [443], "the built-in table still counts");
        assert_eq!(
            [22, 443, 512, 9].map(|port| context.service_of(port)),
            [Some("ssh"), Some("https"), Some("biff"), None]
        );
        assert!(context.service("worse").is_empty());
        assert!(context.service("80-90").is_empty() && context.service("0x50").is_empty());
    }
}
