//! A ruleset, read from what the listing tools print.

use crate::model::{Base, Chain, Step};
use crate::{Counter, Family, Form, Listing, generation, iptables, nft};
use std::collections::HashMap;

/// More notes are not kept.
const MAX_NOTES: usize = 100;

/// One log statement of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The prefix; empty when there is none.
    pub prefix: String,
    /// The NFLOG group. `None`: the kernel's own log.
    pub group: Option<u16>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Family and table, as in `inet filter`.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its number in its table. Where nf_tables does not number it (iptables-legacy, or only the text of
    /// `iptables-save` is there), its position in the chain, from 1.
    pub handle: i64,
    /// The rule as its tool prints it, without counters and handle.
    pub text: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Its log statements, in their order.
    pub logs: Vec<Log>,
    /// Its counter; its own one has the value that the listing shows, 0 where it shows none.
    pub counter: Option<Counter>,
    /// It holds something that could not be read, and that may log or decide.
    pub opaque: bool,
}

/// Whose chains a rule may go to: iptables-legacy has tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    Nft,
    Legacy,
}

/// A ruleset.
///
/// Reading never fails. What is not understood is in [`notes`](Self::notes); a rule that was not understood is
/// there, and what it may do is taken into account wherever rules are told apart.
#[derive(Debug, Default)]
pub struct Ruleset {
    generation: String,
    notes: Vec<String>,
    rules: Vec<Rule>,
    /// The steps of each rule.
    pub(crate) bodies: Vec<Box<[Step]>>,
    /// The chain of each rule and its place there.
    pub(crate) places: Vec<(u32, u32)>,
    pub(crate) chains: Vec<Chain>,
    /// A part of it is missing: there may be rules that nobody knows.
    pub(crate) incomplete: bool,
}

impl Ruleset {
    /// Reads a listing.
    #[must_use]
    pub fn read(listing: &Listing) -> Self {
        let mut draft = Draft::default();
        let texts = |form: Form| listing.0.iter().filter(move |(f, _)| *f == form).map(|(_, t)| t.as_str());
        let mut saved: Vec<iptables::Table> = Vec::new();
        let mut legacy: Vec<iptables::Table> = Vec::new();
        let of_legacy = [(Form::IptablesLegacySave, Family(2)), (Form::Ip6tablesLegacySave, Family(10))];
        for (form, family) in of_legacy {
            for text in texts(form) {
                legacy.extend(iptables::read(text, family, form, &mut draft));
            }
        }
        for (form, family) in [(Form::IptablesSave, Family(2)), (Form::Ip6tablesSave, Family(10))] {
            for text in texts(form) {
                let tables = iptables::read(text, family, form, &mut draft);
                if !iptables::is_legacy(text) {
                    saved.extend(tables);
                } else if !legacy.iter().any(|l| l.is_of(family)) {
                    legacy.extend(tables);
                }
            }
        }
        let text: Option<nft::Text> = texts(Form::Nft).next().map(nft::Text::read);
        let mut json = false;
        for listing in texts(Form::NftJson) {
            json = true;
            nft::build(listing, text.as_ref(), &mut saved, &mut draft);
        }
        if !json && let Some(text) = &text {
            text.build(&saved, &mut draft);
        }
        for table in &saved {
            iptables::build(table, Space::Nft, &HashMap::new(), &mut draft);
        }
        for table in &legacy {
            iptables::build(table, Space::Legacy, &HashMap::new(), &mut draft);
        }
        draft.finish(generation::of(listing))
    }

    /// The name of its content: 32 hexadecimal digits. Counters, quotas used, handles and the elements that
    /// packets add to sets are no part of it, nor is the order of texts, tables, chains and set elements.
    #[must_use]
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// Its rules; those of one chain follow each other in their order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// What could not be read or understood, for people.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(crate) fn rule(&self, number: u32) -> &Rule {
        &self.rules[number as usize]
    }
}

/// A ruleset while it is read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    set: Ruleset,
    names: HashMap<(Space, String, String), u32>,
}

impl Draft {
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        if self.set.notes.len() < MAX_NOTES {
            self.set.notes.push(note.into());
        }
    }

    /// A part of the ruleset is missing.
    pub(crate) fn incomplete(&mut self, note: impl Into<String>) {
        self.set.incomplete = true;
        self.note(note);
    }

    /// The number of a chain, listed already or not.
    pub(crate) fn chain(&mut self, space: Space, family: Family, table: &str, chain: &str) -> u32 {
        let key = (space, table.to_owned(), chain.to_owned());
        *self.names.entry(key).or_insert_with(|| {
            self.set.chains.push(Chain { family, base: None, rules: Vec::new(), listed: false });
            index(self.set.chains.len() - 1)
        })
    }

    /// A chain is listed here.
    pub(crate) fn list_chain(&mut self, chain: u32, base: Option<Base>) {
        let chain = &mut self.set.chains[chain as usize];
        chain.listed = true;
        chain.base = base;
    }

    /// Adds a rule at the end of its chain.
    pub(crate) fn rule(&mut self, chain: u32, rule: Rule, body: Vec<Step>) {
        let number = index(self.set.rules.len());
        let rules = &mut self.set.chains[chain as usize].rules;
        self.set.places.push((chain, index(rules.len())));
        rules.push(number);
        self.set.rules.push(rule);
        self.set.bodies.push(body.into());
    }

    fn finish(self, generation: String) -> Ruleset {
        Ruleset { generation, ..self.set }
    }
}

/// Rules and chains are far fewer than 2^32: each takes more than one byte of the listing.
fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
