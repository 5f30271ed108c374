//! Entries of the table and how a prefix is read by them.

use crate::file::{self, FileError};
use crate::words;
use bartizan_model::Action;
use regex::{Captures, Regex, RegexSet};

const BUILT_IN: &str = include_str!("dialects.toml");
/// The name of the convention.
const CONVENTION: &str = "words";

/// What a prefix says. What it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Who writes such prefixes: the entry's `producer`, or `words` where only a word was found.
    pub producer: Option<String>,
    /// What became of the packet; [`Action::Log`] when nobody can tell.
    pub action: Action,
    /// The zone, or pair of zones: `public`, `net-fw`.
    pub zones: Option<String>,
    /// The chain or ruleset.
    pub chain: Option<String>,
    /// The rule, as the prefix names it.
    pub rule: Option<String>,
}

/// One form of prefixes.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) producer: String,
    pub(crate) pattern: Regex,
    /// What became of the packet, whatever the prefix says.
    pub(crate) action: Option<Action>,
    /// What the words of the group `action` mean, before the convention.
    pub(crate) actions: Vec<(String, Action)>,
    /// How `zones`, `chain` and `rule` are made of groups.
    pub(crate) templates: [Option<String>; 3],
    /// Whether a user wrote it.
    pub(crate) own: bool,
}

impl Entry {
    /// Who writes such prefixes.
    #[must_use]
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// What the prefix must look like.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// Whether it is from the user's file.
    #[must_use]
    pub const fn own(&self) -> bool {
        self.own
    }

    /// What a prefix says, if it is of this form.
    pub(crate) fn read(&self, prefix: &str) -> Option<Meaning> {
        let groups = self.pattern.captures(prefix)?;
        Some(Meaning {
            producer: Some(self.producer.clone()),
            action: self.action_in(prefix, &groups),
            zones: self.made(0, "zones", &groups),
            chain: self.made(1, "chain", &groups),
            rule: self.made(2, "rule", &groups),
        })
    }

    fn action_in(&self, prefix: &str, groups: &Captures<'_>) -> Action {
        if let Some(action) = self.action {
            return action;
        }
        let Some(said) = groups.name("action") else { return words::action_of(prefix) };
        let known = self.actions.iter().find(|(word, _)| word.eq_ignore_ascii_case(said.as_str()));
        known.map_or_else(|| words::action_of(said.as_str()), |(_, action)| *action)
    }

    fn made(&self, template: usize, group: &str, groups: &Captures<'_>) -> Option<String> {
        let text = match &self.templates[template] {
            Some(template) => {
                let mut text = String::new();
                groups.expand(template, &mut text);
                text
            }
            None => groups.name(group)?.as_str().to_owned(),
        };
        Some(text).filter(|t| !t.is_empty())
    }
}

/// All forms that are known, the user's first.
#[derive(Clone, Debug)]
pub struct Dialects {
    entries: Vec<Entry>,
    /// All patterns at once: which of them match is found in one pass.
    set: RegexSet,
}

impl Default for Dialects {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Dialects {
    /// The table that comes with the product.
    ///
    /// # Panics
    /// Never: the table is read by the tests.
    #[must_use]
    pub fn built_in() -> Self {
        let entries = file::read("dialects.toml", BUILT_IN, false).expect("the built-in table is sound");
        let set = file::set("dialects.toml", &entries).expect("the built-in table is small");
        Self { entries, set }
    }

    /// The table with the entries of a user's file before it; `name` is the file's, for messages.
    ///
    /// # Errors
    /// Names the file, the entry and what is wrong with it.
    pub fn with(name: &str, text: &str) -> Result<Self, FileError> {
        let mut entries = file::read(name, text, true)?;
        entries.extend(Self::built_in().entries);
        let set = file::set(name, &entries)?;
        Ok(Self { entries, set })
    }

    /// The entries in the order in which they are tried.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that reads a prefix, if there is one.
    #[must_use]
    pub fn entry(&self, prefix: &str) -> Option<&Entry> {
        self.entries.get(self.set.matches(prefix).iter().next()?)
    }

    /// What a prefix says.
    #[must_use]
    pub fn read(&self, prefix: &str) -> Meaning {
        if let Some(meaning) = self.entry(prefix).and_then(|entry| entry.read(prefix)) {
            return meaning;
        }
        let action = words::action_of(prefix);
        let producer = (action != Action::Log).then(|| CONVENTION.to_owned());
        Meaning { producer, action, zones: None, chain: None, rule: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static TABLE: LazyLock<Dialects> = LazyLock::new(Dialects::built_in);

    #[test]
    fn managers_say_what_became_of_the_packet() {
        use Action::{Accept, Drop, Log, Reject};
        for (prefix, action) in [
            // UFW
            ("[UFW BLOCK] ", Drop),
            ("[UFW ALLOW] ", Accept),
            ("[UFW LIMIT BLOCK] ", Drop),
            ("[UFW AUDIT] ", Log),
            ("[UFW AUDIT INVALID] ", Log),
            ("[UFW LIMIT] ", Log),
            ("[UFW DOCKER BLOCK] ", Drop),
            // firewalld
            ("filter_IN_public_REJECT: ", Reject),
            ("filter_FWD_public_DROP: ", Drop),
            ("STATE_INVALID_DROP: ", Drop),
            ("FINAL_REJECT: ", Reject),
            ("filter_IN_public_ICMP_BLOCK: ", Reject),
            ("rpfilter_DROP: ", Drop),
            ("RFC3964_IPv4_REJECT: ", Reject),
            ("public_REJECT: ", Reject),
            ("filter_IN_policy_allow-host-ipv6_REJECT: ", Reject),
            // Shorewall
            ("net-fw DROP ", Drop),
            ("net-fw REJECT 3 ", Reject),
            ("loc-net ACCEPT ", Accept),
            ("Shorewall:net2fw:DROP:", Drop),
            ("Shorewall:logdrop:ACCEPT:", Accept),
            // fwbuilder, FirewallFabrik
            ("RULE 4 -- DENY ", Drop),
            ("RULE 12 -- ACCEPT ", Accept),
            ("RULE 12 -- REJECT ", Reject),
            ("INVALID state -- DENY ", Drop),
            // Foomuuri
            ("public-localhost DROP ", Drop),
            ("internal-public REJECT ", Reject),
            // Ubiquiti
            ("[WAN_LOCAL-default-D]", Drop),
            ("[WAN_IN-3001-A]", Accept),
            ("[LAN_IN-20-R]", Reject),
            ("[WAN_ALLOW-20-D]", Drop),
            ("[WAN-LOCAL-X]", Log),
            // Kubernetes
            ("calico-packet: ", Log),
            ("DROP by policy default/allow-dns", Drop),
            ("TRACE: filter:DROP:rule:1 ", Log),
            ("FINAL_REJECT_of_mine: ", Reject),
            ("IN-SSH drop: ", Drop),
            ("", Log),
        ] {
            assert_eq!(TABLE.read(prefix).action, action, "{prefix:?}");
        }
    }

    #[test]
    fn every_entry_of_the_table_shows_what_it_is_for() {
        for entry in TABLE.entries() {
            assert!(BUILT_IN.contains(entry.pattern()) && !entry.own(), "{}", entry.pattern());
        }
        let entries = BUILT_IN.matches("[[dialect]]").count();
        assert_eq!((entries, BUILT_IN.matches("\nexamples = ").count()), (TABLE.entries().len(), entries));
    }

    /// What an example shows must not be taken by an entry before it.
    #[test]
    fn no_entry_hides_another() {
        for line in BUILT_IN.lines().filter(|l| l.contains("{ prefix = ")) {
            let example = line.split_once("prefix = ").unwrap().1;
            let value = |key: &str| {
                let text = example.split_once(&format!("{key} = \""))?.1;
                Some(text[..text.find('"')?].to_owned())
            };
            if example.contains("\\\"") {
                continue;
            }
            let prefix = example[1..].split('"').next().unwrap();
            let got = TABLE.read(prefix);
            let got = (Some(got.action.as_str().to_owned()), got.zones, got.chain, got.rule);
            assert_eq!(got, (value("action"), value("zones"), value("chain"), value("rule")), "{prefix:?}");
        }
    }

    #[test]
    fn a_users_entries_go_first_and_their_words_before_the_usual_ones() {
        let text = r#"
            [[dialect]]
            producer = "ours"
            pattern = '^(?P<action>deny|let) (?P<from>\w+)>(?P<to>\w+)#(?P<rule>\d+)'
            actions = { let = "accept" }
            zones = "${from}-${to}"
            examples = [{ prefix = "let a>b#7 ", action = "accept", zones = "a-b", rule = "7" }]
            [[dialect]]
            producer = "ours"
            pattern = '^\[UFW BLOCK\]'
            action = "reject"
        "#;
        let dialects = Dialects::with("prefixes.toml", text).unwrap();
        assert_eq!(dialects.read("[UFW BLOCK] ").action, Action::Reject);
        let meaning = dialects.read("deny lan>wan#12: ");
        assert_eq!((meaning.action, meaning.zones.as_deref()), (Action::Drop, Some("lan-wan")));
        assert_eq!((meaning.producer.as_deref(), meaning.chain), (Some("ours"), None));
        assert_eq!(dialects.read("[UFW AUDIT] ").producer.as_deref(), Some("ufw"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let entry = |rest: &str| format!("[[dialect]]\nproducer = \"p\"\n{rest}");
        for (text, says) in [
            ("x", "prefixes.toml: TOML parse error"),
            ("[[dialect]]\nproducer = \"p\"\npatern = \"\"", "unknown field `patern`"),
            (&entry("pattern = '('"), "entry 1 (p): its pattern is no regular expression"),
            (&entry("pattern = '(?=a)'"), "look-around"),
            (&entry("pattern = 'a{1000}{1000}'"), "size limit"),
            (&entry("pattern = 'a'\naction = \"block\""), "`block` is no action"),
            (&entry("pattern = 'a'\nzones = \"${from}\""), "needs the group `from`"),
            (&entry("pattern = 'a'\nactions = { D = \"drop\" }"), "a group `action`"),
            (&entry("pattern = '^a$'\nexamples = [{ prefix = \"b\" }]"), "does not match its example \"b\""),
            (
                &entry("pattern = '^(?P<rule>a)'\nexamples = [{ prefix = \"ab\", rule = \"b\" }]"),
                "gives rule \"a\"",
            ),
        ] {
            let error = Dialects::with("prefixes.toml", text).unwrap_err().to_string();
            assert!(error.starts_with("prefixes.toml: ") && error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_prefix_is_read(prefix in any::<String>()) {
            let meaning = TABLE.read(&prefix);
            prop_assert!([meaning.zones, meaning.chain, meaning.rule].iter().flatten().all(|t| !t.is_empty()));
        }

        /// Everything in front of a known form makes it another prefix, or the words decide.
        #[test]
        fn forms_are_whole_prefixes(junk in "[a-z<>=]{1,8}") {
            let meaning = TABLE.read(&format!("{junk}[UFW AUDIT] "));
            prop_assert_ne!(meaning.producer.as_deref(), Some("ufw"));
        }
    }
}
