//! Which rule logged a packet, and what became of it.
//!
//! **Rule.** The log statements with the event's prefix and group are the candidates. Those in chains that the
//! event's family and hook do not lead to are none. If more than one is left, the packet walks through the
//! ruleset, and those that it cannot have reached are none. One that is left is the rule; otherwise nobody can
//! tell, and all of them are listed. Nothing is attributed when a part of the ruleset could not be read.
//!
//! **Action.** What becomes of a packet behind the log statement: the verdict of the same rule, or of a rule
//! further on that holds because the conditions of this one did, or by the packet's columns; a return to the
//! chain that jumped here; at last the policy. Where all ways that are left end the same, that is the action,
//! else it is `log`; where something on the way could not be read, there is none. `accept` is the verdict of
//! this rule's base chain: a later one may still drop the packet. A packet that is queued or sent elsewhere is
//! `log`.
//!
//! What does not depend on the packet is found out once for each prefix, hook and family.

use crate::model::Hook;
use crate::packet::{FAMILIES, Packet};
use crate::ruleset::{Rule, Ruleset};
use crate::walk::{Entrance, LogId, Map, Outcomes, Walk, is_any};
use bartizan_model::Action;
use std::collections::HashMap;
use std::sync::Arc;

/// More are not kept; then all are found out again.
const MOST: usize = 1 << 16;
/// Bytes at which some kernel module cuts a prefix: LOG, NFLOG, nftables.
const CUTS: [usize; 3] = [29, 63, 127];
/// Candidates that an event lists at most.
const MAX_LISTED: usize = 20;

/// One ruleset, prepared for attributing events to its rules.
#[derive(Debug)]
pub struct Attribution {
    ruleset: Arc<Ruleset>,
    map: Map,
    /// The log statements of each group, by prefix.
    logs: HashMap<Option<u16>, HashMap<String, Vec<LogId>>>,
    /// What could not be read and may log anything.
    any: Vec<LogId>,
    entrances: HashMap<(String, String, bool), Arc<Entrance>>,
    /// By group, hook and family; then by prefix.
    entries: HashMap<(Option<u16>, String, String), HashMap<String, u32>>,
    list: Vec<Arc<Entry>>,
    /// The answers of each entry for packets of a class.
    decided: Vec<HashMap<Box<[u32]>, u32>>,
    class: Vec<u32>,
    answers: Vec<Answer>,
    known: HashMap<Answer, u32>,
}

/// What is known of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    /// The rules that can have logged it, in the order of the listing.
    rules: Vec<u32>,
    /// One of them is the rule.
    sure: bool,
    pub(crate) action: Option<Action>,
}

/// What is the same for all events with one prefix, group, hook and family.
#[derive(Debug)]
pub(crate) struct Entry {
    entrance: Arc<Entrance>,
    /// Log statements with what becomes of packets behind them, whatever they are.
    candidates: Vec<(LogId, Outcomes)>,
    /// The answer for every packet.
    answer: Option<u32>,
}

impl Attribution {
    /// Prepares a ruleset.
    #[must_use]
    pub fn new(ruleset: Arc<Ruleset>) -> Self {
        let mut logs: HashMap<_, HashMap<String, Vec<LogId>>> = HashMap::new();
        let mut any = Vec::new();
        for (number, (rule, body)) in (0..).zip(ruleset.rules().zip(&ruleset.bodies)) {
            for step in body {
                let crate::model::Step::Log(at) = step else { continue };
                match rule.logs.get(usize::from(*at)) {
                    Some(log) => {
                        let by_prefix = logs.entry(log.group).or_default();
                        by_prefix.entry(log.prefix.clone()).or_default().push((number, *at));
                    }
                    None => any.push((number, *at)),
                }
            }
        }
        Self {
            map: Map::new(&ruleset),
            ruleset,
            logs,
            any,
            entrances: HashMap::new(),
            entries: HashMap::new(),
            list: Vec::new(),
            decided: Vec::new(),
            class: Vec::new(),
            answers: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The ruleset.
    #[must_use]
    pub const fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// Forgets what was found out when it is too much. Numbers that were given out are not valid any more.
    pub(crate) fn trim(&mut self) {
        if self.list.len() > MOST || self.answers.len() > MOST {
            self.entries.clear();
            self.list.clear();
            self.decided.clear();
            self.answers.clear();
            self.known.clear();
        }
    }

    pub(crate) fn answers(&self) -> usize {
        self.answers.len()
    }

    pub(crate) fn answer(&self, number: u32) -> &Answer {
        &self.answers[number as usize]
    }

    /// The rule of an answer, if it is sure.
    pub(crate) fn rule(&self, answer: &Answer) -> Option<&Rule> {
        answer.sure.then(|| self.ruleset.rule(answer.rules[0]))
    }

    /// The rules that can have logged an event which has none, for people.
    pub(crate) fn candidates(&self, answer: &Answer) -> Vec<String> {
        if answer.sure {
            return Vec::new();
        }
        let line = |rule: &u32| {
            let rule = self.ruleset.rule(*rule);
            format!("{} {}#{}: {}", rule.table, rule.chain, rule.handle, rule.text)
        };
        let mut list: Vec<String> = answer.rules.iter().take(MAX_LISTED).map(line).collect();
        if let Some(more) = answer.rules.len().checked_sub(MAX_LISTED).filter(|n| *n > 0) {
            list.push(format!("and {more} more"));
        }
        list
    }

    /// The number of the answer for every event with these words, or of the entry to ask with the packet.
    pub(crate) fn look_up(
        &mut self,
        group: Option<u16>,
        prefix: &str,
        hook: &str,
        family: &str,
    ) -> Result<u32, u32> {
        let place = (group, hook.to_owned(), family.to_owned());
        let known = self.entries.get(&place).and_then(|by_prefix| by_prefix.get(prefix));
        let number = match known {
            Some(number) => *number,
            None => {
                let entry = self.entry(group, prefix, hook, family);
                let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
                self.list.push(Arc::new(entry));
                self.decided.push(HashMap::new());
                self.entries.entry(place).or_default().insert(prefix.to_owned(), number);
                number
            }
        };
        self.list[number as usize].answer.ok_or(number)
    }

    fn entry(&mut self, group: Option<u16>, prefix: &str, hook: &str, family: &str) -> Entry {
        let kernel_log = group.is_none();
        let entrance = Arc::clone(
            self.entrances.entry((family.to_owned(), hook.to_owned(), kernel_log)).or_insert_with(|| {
                Arc::new(Entrance::new(&self.ruleset, family, Hook::from_word(hook), kernel_log))
            }),
        );
        let unknown = Packet::of_family(if FAMILIES.contains(&family) && !kernel_log { family } else { "" });
        let mut candidates = self.with_prefix(group, prefix);
        candidates.extend(&self.any);
        candidates.sort_unstable();
        let walk = || Walk::new(&self.ruleset, &self.map, &entrance, &unknown);
        if let Some((reached, _)) = walk().reach() {
            candidates.retain(|log| reached.contains(log));
        }
        let candidates: Vec<_> = candidates.into_iter().map(|log| (log, walk().after(log, None))).collect();
        let mut entry = Entry { entrance, candidates, answer: None };
        let rules = distinct(entry.candidates.iter().map(|(log, _)| *log));
        let (several, open) = (rules.len() > 1, entry.candidates.iter().any(|(_, out)| out.open()));
        if !(several || open) {
            let found: Vec<_> = entry.candidates.iter().map(|(log, out)| (*log, out.action())).collect();
            entry.answer = Some(self.conclude(&found));
        }
        entry
    }

    /// The log statements with a prefix: the kernel cuts long ones, and lines of text may have lost blanks.
    fn with_prefix(&self, group: Option<u16>, prefix: &str) -> Vec<LogId> {
        let Some(by_prefix) = self.logs.get(&group) else { return Vec::new() };
        if let Some(exact) = by_prefix.get(prefix) {
            return exact.clone();
        }
        let cut = |p: &str| CUTS.contains(&prefix.len()) && p.starts_with(prefix);
        let same = |p: &str| group.is_none() && p.trim() == prefix.trim();
        by_prefix.iter().filter(|(p, _)| cut(p) || same(p)).flat_map(|(_, logs)| logs).copied().collect()
    }

    /// The number of the answer for one packet.
    pub(crate) fn decide(&mut self, entry: u32, packet: &Packet) -> u32 {
        let at = entry as usize;
        let mut class = std::mem::take(&mut self.class);
        self.list[at].entrance.classes.of(packet, &mut class);
        let known = self.decided[at].get(&class[..]).copied();
        let answer = known.unwrap_or_else(|| {
            let answer = self.walk(at, packet);
            if self.decided[at].len() >= MOST {
                self.decided[at].clear();
            }
            self.decided[at].insert(class[..].into(), answer);
            answer
        });
        self.class = class;
        answer
    }

    fn walk(&mut self, entry: usize, packet: &Packet) -> u32 {
        let entry = Arc::clone(&self.list[entry]);
        let walk = || Walk::new(&self.ruleset, &self.map, &entry.entrance, packet);
        let several = distinct(entry.candidates.iter().map(|(log, _)| *log)).len() > 1;
        // Only on the way back from a chain it matters on which way the packet came.
        let mut sites = None;
        let mut left: Vec<(LogId, Outcomes)> = entry.candidates.clone();
        if several || left.iter().any(|(log, _)| self.ruleset.chains[self.chain_of(*log)].base.is_none()) {
            let reached = walk().reach();
            if let Some((logs, at)) = reached {
                left.retain(|(log, _)| logs.contains(log));
                sites = Some(at);
            }
        }
        if left.is_empty() {
            // The packet contradicts the ruleset: nothing is known.
            let found: Vec<_> = entry.candidates.iter().map(|(log, _)| (*log, None)).collect();
            return self.answered(&found, false);
        }
        let found: Vec<_> = left
            .into_iter()
            .map(|(log, out)| {
                let out = if out.open() { walk().after(log, sites.as_deref()) } else { out };
                (log, out.action())
            })
            .collect();
        self.conclude(&found)
    }

    fn chain_of(&self, log: LogId) -> usize {
        self.ruleset.places[log.0 as usize].0 as usize
    }

    /// The answer that the candidates give, each with its action.
    fn conclude(&mut self, found: &[(LogId, Option<Action>)]) -> u32 {
        let sure = !self.ruleset.incomplete && !found.iter().any(|(log, _)| is_any(*log));
        self.answered(found, sure)
    }

    fn answered(&mut self, found: &[(LogId, Option<Action>)], readable: bool) -> u32 {
        let rules = distinct(found.iter().map(|(log, _)| *log));
        let sure = readable && rules.len() == 1;
        let first = found.first().and_then(|(_, action)| *action);
        let agreed = first.filter(|_| readable && found.iter().all(|(_, action)| *action == first));
        let answer = Answer { rules, sure, action: agreed };
        if let Some(number) = self.known.get(&answer) {
            return *number;
        }
        let number = u32::try_from(self.answers.len()).unwrap_or(u32::MAX);
        self.answers.push(answer.clone());
        self.known.insert(answer, number);
        number
    }
}

fn distinct(logs: impl Iterator<Item = LogId>) -> Vec<u32> {
    let mut rules: Vec<u32> = logs.map(|(rule, _)| rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}
