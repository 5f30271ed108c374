//! The way of a packet through a ruleset, as far as it is known.
//!
//! Every question has the answers yes, no and unknown, and a walk follows all ways that are left: what it does
//! not reach, the packet cannot have reached. Chains form no cycles in the kernel; here a depth that the kernel
//! does not allow, or more rules than [`BUDGET`], end the walk and everything counts as reached.

use crate::classes::{Classes, Cutter};
use crate::model::{ANY_LOG, Changes, Cond, Devices, Hook, Key, Step, Test, Verdict};
use crate::packet::{Got, Packet};
use crate::ruleset::Ruleset;
use bartizan_model::Action;

/// Rules that one walk looks at.
const BUDGET: u32 = 50_000;
/// `NFT_JUMP_STACK_SIZE`.
const DEPTH: u32 = 16;

/// An answer; `None` is unknown.
type Answer = Option<bool>;

/// What may become of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes(u8);

impl Outcomes {
    pub(crate) const NONE: Self = Self(0);
    const ACCEPT: Self = Self(1);
    const DROP: Self = Self(2);
    const REJECT: Self = Self(4);
    const ASIDE: Self = Self(8);
    const OPAQUE: Self = Self(16);
    /// Goes on behind the rule that came here.
    const RETURN: Self = Self(32);
    const ALL: Self = Self(63);

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The one thing that becomes of the packet. `Some(Log)`: it is known that nobody can tell without knowing
    /// more of the packet; `None`: something is there that could not be read.
    pub(crate) const fn action(self) -> Option<Action> {
        match self {
            Self::ACCEPT => Some(Action::Accept),
            Self::DROP => Some(Action::Drop),
            Self::REJECT => Some(Action::Reject),
            Self::NONE => None,
            several if several.has(Self::OPAQUE) => None,
            _ => Some(Action::Log),
        }
    }

    /// Whether knowing more of the packet can change the answer.
    pub(crate) const fn open(self) -> bool {
        self.0.count_ones() > 1
    }
}

/// A log statement: rule and number in the rule.
pub(crate) type LogId = (u32, u16);

/// A rule that sends packets to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) rule: u32,
    pub(crate) step: u16,
    pub(crate) goto: bool,
}

/// What is the same for all packets of a ruleset.
#[derive(Debug)]
pub(crate) struct Map {
    /// The sites that lead to each chain.
    sites: Vec<Vec<Site>>,
    nat: bool,
}

impl Map {
    pub(crate) fn new(set: &Ruleset) -> Self {
        let mut sites = vec![Vec::new(); set.chains.len()];
        for (rule, body) in set.bodies.iter().enumerate() {
            let rule = u32::try_from(rule).unwrap_or(u32::MAX);
            for (step, what) in body.iter().enumerate() {
                let step = u16::try_from(step).unwrap_or(u16::MAX);
                let mut add = |verdict: &Verdict| {
                    let (chain, goto) = match verdict {
                        Verdict::Jump(chain) => (*chain, false),
                        Verdict::Goto(chain) => (*chain, true),
                        _ => return,
                    };
                    let site = Site { rule, step, goto };
                    let known: &mut Vec<Site> = &mut sites[chain as usize];
                    if known.last() != Some(&site) {
                        known.push(site);
                    }
                };
                match what {
                    Step::Do(verdict) => add(verdict),
                    Step::Map { entries, .. } => entries.iter().for_each(|(_, v)| add(v)),
                    _ => {}
                }
            }
        }
        let nat = set.chains.iter().any(|c| c.base.as_ref().is_some_and(|b| b.nat));
        Self { sites, nat }
    }
}

/// The way into the ruleset for one family and hook.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entrance {
    /// Base chains in the order in which a packet meets them.
    bases: Vec<u32>,
    /// What rules on the way change.
    changes: Changes,
    /// What they tell apart.
    pub(crate) classes: Classes,
}

impl Entrance {
    /// `family` and `hook` are an event's; an event without a hook may have come from any. `kernel_log`: the
    /// family is that of the packet and not that of the chain.
    pub(crate) fn new(set: &Ruleset, family: &str, hook: Option<Hook>, kernel_log: bool) -> Self {
        let fits = |chain: &crate::model::Chain| {
            let Some(base) = &chain.base else { return false };
            let of_family = match chain.family.as_str() {
                "inet" => matches!(family, "ip" | "ip6" | "inet"),
                "bridge" | "netdev" if kernel_log => true,
                name => name == family,
            };
            of_family && hook.is_none_or(|h| h == base.hook)
        };
        let mut bases: Vec<u32> = Vec::new();
        for (number, chain) in (0..).zip(&set.chains) {
            if fits(chain) {
                bases.push(number);
            }
        }
        bases.sort_by_key(|b| set.chains[*b as usize].base.as_ref().map(|b| (b.hook as u8, b.priority)));
        let (mut changes, mut cutter) = (Changes::NONE, Cutter::default());
        for base in bases.iter().filter_map(|b| set.chains[*b as usize].base.as_ref()) {
            cutter.devices(device_key(base), &base.devices);
        }
        let mut seen = vec![false; set.chains.len()];
        let mut next = bases.clone();
        while let Some(chain) = next.pop() {
            if std::mem::replace(&mut seen[chain as usize], true) {
                continue;
            }
            for rule in &set.chains[chain as usize].rules {
                for step in &set.bodies[*rule as usize] {
                    cutter.step(step);
                    match step {
                        Step::Change(c) => changes = Changes(changes.0 | c.0),
                        Step::Do(Verdict::Jump(c) | Verdict::Goto(c)) => next.push(*c),
                        Step::Map { entries, .. } => {
                            next.extend(entries.iter().filter_map(|(_, v)| match v {
                                Verdict::Jump(c) | Verdict::Goto(c) => Some(*c),
                                _ => None,
                            }))
                        }
                        _ => {}
                    }
                }
            }
        }
        Self { bases, changes, classes: cutter.finish() }
    }
}

/// One walk.
pub(crate) struct Walk<'a> {
    set: &'a Ruleset,
    map: &'a Map,
    entrance: &'a Entrance,
    packet: &'a Packet,
    /// Conditions that are known to hold, on the way behind a log statement.
    facts: Vec<&'a Cond>,
    /// What comes of each chain, once it was walked under the same facts.
    memo: Vec<Option<Outcomes>>,
    left: u32,
    /// Log statements and sites that may have been reached; while not walking for them, nothing is added.
    reached: Option<(Vec<LogId>, Vec<Site>)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(set: &'a Ruleset, map: &'a Map, entrance: &'a Entrance, packet: &'a Packet) -> Self {
        let (facts, memo) = (Vec::new(), Vec::new());
        Self { set, map, entrance, packet, facts, memo, left: BUDGET, reached: None }
    }

    /// The log statements that the packet may have reached, and the sites; `None`: all of them.
    pub(crate) fn reach(&mut self) -> Option<(Vec<LogId>, Vec<Site>)> {
        self.reached = Some(Default::default());
        let mut gone: Option<(Hook, i64)> = None;
        for number in &self.entrance.bases {
            let Some(base) = &self.set.chains[*number as usize].base else { continue };
            // Dropped for sure in an earlier chain of the same hook; chains of one priority have no known order.
            if gone.is_some_and(|(hook, priority)| hook == base.hook && priority < base.priority) {
                continue;
            }
            if self.at_device(base) == Some(false) {
                continue;
            }
            let sure = self.at_device(base) == Some(true);
            let out = self.chain(*number, 0);
            let out = if out.has(Outcomes::RETURN) {
                out.without(Outcomes::RETURN).with(terminal(base.policy))
            } else {
                out
            };
            let steady = !self.map.nat && !self.entrance.changes.any();
            if sure
                && steady
                && out != Outcomes::NONE
                && out.without(Outcomes::DROP.with(Outcomes::REJECT)).0 == 0
            {
                gone = gone.or(Some((base.hook, base.priority)));
            }
        }
        let reached = self.reached.take();
        if self.left == 0 { None } else { reached }
    }

    fn at_device(&self, base: &crate::model::Base) -> Answer {
        match (&base.devices, self.packet.get(device_key(base))) {
            (Devices::All, _) => Some(true),
            (Devices::Only(names), Got::Value(name)) => Some(names.contains(&name)),
            _ => None,
        }
    }

    /// What becomes of a packet that has passed a log statement. `sites`: those on which it may have come,
    /// `None` for all.
    pub(crate) fn after(&mut self, log: LogId, sites: Option<&[Site]>) -> Outcomes {
        let body = &self.set.bodies[log.0 as usize];
        let step = body
            .iter()
            .position(|s| matches!(s, Step::Log(n) if *n == log.1))
            .map_or(body.len(), |at| at + 1);
        self.behind(log.0, step, sites, 0)
    }

    /// From a step of a rule to the end, the conditions before it being facts.
    fn behind(&mut self, rule: u32, step: usize, sites: Option<&[Site]>, depth: u32) -> Outcomes {
        let (facts, memo) = (self.facts.len(), std::mem::take(&mut self.memo));
        let body: &'a [Step] = &self.set.bodies[rule as usize];
        self.facts.extend(body[..step].iter().filter_map(|s| match s {
            Step::If(cond) => Some(cond),
            _ => None,
        }));
        let (mut out, next) = self.rule(rule, step, depth);
        let (chain, place) = self.set.places[rule as usize];
        if next {
            out = out.with(self.rules(chain, place as usize + 1, depth));
        }
        if out.has(Outcomes::RETURN) {
            out = out.without(Outcomes::RETURN).with(self.up(chain, sites, depth + 1));
        }
        self.facts.truncate(facts);
        self.memo = memo;
        out
    }

    /// What becomes of a packet at the end of a chain.
    fn up(&mut self, chain: u32, sites: Option<&[Site]>, depth: u32) -> Outcomes {
        if let Some(base) = &self.set.chains[chain as usize].base {
            return terminal(base.policy);
        }
        if depth > DEPTH || self.left == 0 {
            return Outcomes::ALL;
        }
        self.left -= 1;
        let map = self.map;
        let mut out = Outcomes::NONE;
        for site in &map.sites[chain as usize] {
            if sites.is_some_and(|sites| !sites.contains(site)) {
                continue;
            }
            out = out.with(if site.goto {
                self.up(self.set.places[site.rule as usize].0, sites, depth + 1)
            } else {
                self.behind_site(*site, sites, depth)
            });
        }
        out
    }

    /// Behind the rule that jumped, its conditions being facts.
    fn behind_site(&mut self, site: Site, sites: Option<&[Site]>, depth: u32) -> Outcomes {
        let (facts, memo) = (self.facts.len(), std::mem::take(&mut self.memo));
        let body: &'a [Step] = &self.set.bodies[site.rule as usize];
        self.facts.extend(body[..usize::from(site.step).min(body.len())].iter().filter_map(|s| match s {
            Step::If(cond) => Some(cond),
            _ => None,
        }));
        let (chain, place) = self.set.places[site.rule as usize];
        let mut out = self.rules(chain, place as usize + 1, depth);
        if out.has(Outcomes::RETURN) {
            out = out.without(Outcomes::RETURN).with(self.up(chain, sites, depth + 1));
        }
        self.facts.truncate(facts);
        self.memo = memo;
        out
    }

    /// A whole chain.
    fn chain(&mut self, chain: u32, depth: u32) -> Outcomes {
        if let Some(Some(known)) = self.memo.get(chain as usize) {
            return *known;
        }
        if !self.set.chains[chain as usize].listed {
            return Outcomes::OPAQUE.with(Outcomes::RETURN);
        }
        let out = self.rules(chain, 0, depth);
        self.memo.resize(self.set.chains.len(), None);
        self.memo[chain as usize] = Some(out);
        out
    }

    /// A chain from one of its rules on.
    fn rules(&mut self, chain: u32, from: usize, depth: u32) -> Outcomes {
        let set = self.set;
        let mut out = Outcomes::NONE;
        if depth > DEPTH {
            self.left = 0;
            return Outcomes::ALL;
        }
        for rule in set.chains[chain as usize].rules.get(from..).unwrap_or_default() {
            if self.left == 0 {
                return Outcomes::ALL;
            }
            self.left -= 1;
            let (decided, next) = self.rule(*rule, 0, depth);
            out = out.with(decided);
            if !next {
                return out;
            }
        }
        out.with(Outcomes::RETURN)
    }

    /// A rule from one of its steps on: what it may decide, and whether the packet may go on to the next rule.
    fn rule(&mut self, rule: u32, from: usize, depth: u32) -> (Outcomes, bool) {
        let body: &'a [Step] = &self.set.bodies[rule as usize];
        let mut next = false;
        for (at, step) in body.iter().enumerate().skip(from) {
            match step {
                Step::If(cond) => match self.holds(cond) {
                    Some(true) => {}
                    Some(false) => return (Outcomes::NONE, true),
                    None => next = true,
                },
                Step::Log(number) => {
                    if let Some((logs, _)) = &mut self.reached {
                        logs.push((rule, *number));
                    }
                }
                Step::Change(_) => {}
                Step::Do(verdict) => {
                    let (out, goes_on) = self.verdict(rule, at, *verdict, depth);
                    return (out, next || goes_on);
                }
                Step::Map { keys, entries, open } => {
                    let (mut out, mut sure) = (Outcomes::NONE, false);
                    for (ranges, verdict) in entries.iter() {
                        let found = self.element(keys, ranges);
                        if found != Some(false) {
                            let (decided, goes_on) = self.verdict(rule, at, *verdict, depth);
                            out = out.with(decided);
                            next |= goes_on;
                        }
                        if found == Some(true) && !open {
                            sure = true;
                            break;
                        }
                    }
                    return (out, next || !sure);
                }
            }
        }
        (Outcomes::NONE, true)
    }

    fn verdict(&mut self, rule: u32, step: usize, verdict: Verdict, depth: u32) -> (Outcomes, bool) {
        let (chain, goto) = match verdict {
            Verdict::Continue => return (Outcomes::NONE, true),
            Verdict::Return => return (Outcomes::RETURN, false),
            Verdict::Opaque => return (Outcomes::OPAQUE, true),
            Verdict::Jump(chain) => (chain, false),
            Verdict::Goto(chain) => (chain, true),
            last => return (terminal(last), false),
        };
        if let Some((_, sites)) = &mut self.reached {
            sites.push(Site { rule, step: u16::try_from(step).unwrap_or(u16::MAX), goto });
        }
        let out = self.chain(chain, depth + 1);
        if goto { (out, false) } else { (out.without(Outcomes::RETURN), out.has(Outcomes::RETURN)) }
    }

    fn holds(&self, cond: &Cond) -> Answer {
        let by_columns = self.decide(cond);
        if by_columns.is_some() || self.facts.is_empty() {
            return by_columns;
        }
        self.facts.iter().find_map(|fact| self.follows(fact, cond))
    }

    fn decide(&self, cond: &Cond) -> Answer {
        match cond {
            Cond::Test(test) => self.test(test),
            Cond::Concat { keys, not, elements } => {
                let mut found = Some(false);
                for element in elements.iter() {
                    match self.element(keys, element) {
                        Some(true) => {
                            found = Some(true);
                            break;
                        }
                        None => found = None,
                        Some(false) => {}
                    }
                }
                // Without one of its parts the packet is outside the set and outside its opposite.
                if keys.iter().any(|key| self.get(*key) == Got::Nothing) {
                    return Some(false);
                }
                found.map(|found| found != *not)
            }
            Cond::Any(all) => all
                .iter()
                .try_fold(Some(false), |sum, cond| match self.decide(cond) {
                    Some(true) => Err(Some(true)),
                    Some(false) => Ok(sum),
                    None => Ok(None),
                })
                .unwrap_or_else(|answer| answer),
            Cond::All(all) => all
                .iter()
                .try_fold(Some(true), |sum, cond| match self.decide(cond) {
                    Some(false) => Err(Some(false)),
                    Some(true) => Ok(sum),
                    None => Ok(None),
                })
                .unwrap_or_else(|answer| answer),
            Cond::Opaque { .. } => None,
        }
    }

    fn get(&self, key: Key) -> Got {
        match self.packet.get(key) {
            Got::Value(_) if self.entrance.changes.touch(key) => Got::Unknown,
            got => got,
        }
    }

    fn test(&self, test: &Test) -> Answer {
        match self.get(test.key) {
            Got::Value(value) => Some(test.ranges.contains(value & test.mask) != test.not),
            Got::Nothing => Some(false),
            Got::Unknown if test.key == Key::NextHeader && !test.not => self.next_header(test),
            Got::Unknown => None,
        }
    }

    /// The column tells the protocol behind extension headers, the header's field what comes first.
    fn next_header(&self, test: &Test) -> Answer {
        const EXTENSIONS: [u128; 6] = [0, 43, 44, 51, 60, 135];
        let Got::Value(proto) = self.get(Key::Proto) else { return None };
        let possible = test.ranges.contains(proto) || EXTENSIONS.iter().any(|e| test.ranges.contains(*e));
        if possible { None } else { Some(false) }
    }

    /// Whether the keys are in all of the ranges. An element that could not be read has none.
    fn element(&self, keys: &[Key], ranges: &[crate::model::Ranges]) -> Answer {
        let mut all = if keys.is_empty() || ranges.is_empty() { None } else { Some(true) };
        for (key, ranges) in keys.iter().zip(ranges) {
            match self.get(*key) {
                Got::Value(value) if ranges.contains(value) => {}
                Got::Value(_) | Got::Nothing => return Some(false),
                Got::Unknown => all = None,
            }
        }
        all
    }

    /// What one fact says of a condition.
    fn follows(&self, fact: &Cond, cond: &Cond) -> Answer {
        match (fact, cond) {
            (Cond::Test(fact), Cond::Test(cond)) => {
                if fact.key != cond.key || fact.mask != cond.mask || self.entrance.changes.touch(fact.key) {
                    return None;
                }
                if fact == cond {
                    return Some(true);
                }
                // The same value or range, and the opposite is asked for.
                if fact.ranges == cond.ranges {
                    return Some(false);
                }
                if !fact.not && fact.ranges.within(&cond.ranges) {
                    return Some(!cond.not);
                }
                if !fact.not && fact.ranges.apart(&cond.ranges) {
                    return Some(cond.not);
                }
                None
            }
            (Cond::Opaque { steady: true, .. }, _)
            | (Cond::Concat { .. } | Cond::Any(_) | Cond::All(_), _)
                if fact == cond && !self.entrance.changes.any() =>
            {
                Some(true)
            }
            _ => None,
        }
    }
}

/// Where the device of a base chain is.
fn device_key(base: &crate::model::Base) -> Key {
    if base.hook == Hook::Egress { Key::OutIf } else { Key::InIf }
}

fn terminal(verdict: Verdict) -> Outcomes {
    match verdict {
        Verdict::Accept => Outcomes::ACCEPT,
        Verdict::Drop => Outcomes::DROP,
        Verdict::Reject => Outcomes::REJECT,
        Verdict::Aside => Outcomes::ASIDE,
        _ => Outcomes::OPAQUE,
    }
}

/// Whether a log statement is one that something unreadable may hold.
pub(crate) const fn is_any(log: LogId) -> bool {
    log.1 == ANY_LOG
}
