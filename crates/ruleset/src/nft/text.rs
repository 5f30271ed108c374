//! What nft prints for people: the text of each rule, by its number or its place, and devices of chains.
//!
//! Where there is no JSON (an nft that was built without it), rules are made of the text: their log statements
//! are read, conditions are not.

use crate::model::{Base, Changes, Cond, Devices, Hook, Step, Verdict, name_value};
use crate::ruleset::{Draft, Space};
use crate::{Counter, Log, Rule, iptables};
use std::collections::HashMap;

/// The rules of one chain.
#[derive(Debug, Default)]
struct Chain {
    name: String,
    /// The line that says what it hangs on.
    base: Option<String>,
    /// Number, where printed, and text.
    rules: Vec<(Option<i64>, String)>,
}

/// The listing's tables with their chains.
#[derive(Debug, Default)]
pub(crate) struct Text {
    tables: Vec<(String, Vec<Chain>)>,
    /// Table and chain -> position.
    places: HashMap<(String, String), (usize, usize)>,
    complete: bool,
}

impl Text {
    /// Reads the output of `nft list ruleset`, with or without `-a` and `-s`.
    pub(crate) fn read(text: &str) -> Self {
        let mut out = Self::default();
        let (mut depth, mut in_chain) = (0_usize, false);
        let mut elements = false;
        for line in text.lines().map(str::trim) {
            // The elements of a set may take many lines.
            if elements {
                elements = !line.ends_with('}');
                continue;
            }
            let (body, handle) = cut_handle(line);
            match depth {
                0 => {
                    if let Some(name) = body.strip_prefix("table ").and_then(|n| n.strip_suffix('{')) {
                        out.tables.push((unquoted(name.trim()), Vec::new()));
                        depth = 1;
                    }
                }
                1 => match body.strip_prefix("chain ").and_then(|n| n.strip_suffix('{')) {
                    Some(name) => {
                        out.add_chain(unquoted(name.trim()));
                        (depth, in_chain) = (2, true);
                    }
                    None if body == "}" => depth = 0,
                    None if body.ends_with('{') => depth = 2,
                    None => {}
                },
                _ if body == "}" => (depth, in_chain) = (1, false),
                _ if in_chain => out.add_line(body, handle),
                _ => elements = body.starts_with("elements = {") && !body.ends_with('}'),
            }
        }
        out.complete = depth == 0 && !elements;
        out
    }

    fn add_chain(&mut self, name: String) {
        let at = self.tables.len() - 1;
        if let Some((table, chains)) = self.tables.last_mut() {
            self.places.insert((table.clone(), name.clone()), (at, chains.len()));
            chains.push(Chain { name, ..Chain::default() });
        }
    }

    fn add_line(&mut self, body: &str, handle: Option<i64>) {
        let Some(chain) = self.tables.last_mut().and_then(|(_, chains)| chains.last_mut()) else { return };
        if body.starts_with("type ") && chain.rules.is_empty() && body.contains(" hook ") {
            chain.base = Some(body.to_owned());
        } else if !(body.is_empty() || body.starts_with("comment ") && chain.rules.is_empty()) {
            chain.rules.push((handle, without_counts(body)));
        }
    }

    fn find(&self, table: &str, chain: &str) -> Option<&Chain> {
        let (table, chain) = self.places.get(&(table.to_owned(), chain.to_owned()))?;
        self.tables.get(*table)?.1.get(*chain)
    }

    /// The text of a rule: by its number, or without numbers by its place among as many rules.
    pub(crate) fn rule(
        &self,
        table: &str,
        chain: &str,
        handle: Option<i64>,
        at: usize,
        rules: usize,
    ) -> Option<&str> {
        let chain = self.find(table, chain)?;
        let here =
            chain.rules.get(at).filter(|(h, _)| *h == handle || (h.is_none() && chain.rules.len() == rules));
        let found = here.or_else(|| chain.rules.iter().find(|(h, _)| h.is_some() && *h == handle));
        found.map(|(_, text)| text.as_str())
    }

    /// The devices that a chain hangs on; older JSON does not say.
    pub(crate) fn devices(&self, table: &str, chain: &str) -> Option<Devices> {
        devices(self.find(table, chain)?.base.as_deref()?)
    }

    /// Makes the ruleset of the text alone, but for the tables that iptables saved.
    pub(crate) fn build(&self, saved: &[iptables::Table], draft: &mut Draft) {
        if !self.tables.is_empty() {
            draft.note("there is no JSON listing: conditions of nftables rules are not read");
        }
        if !self.complete {
            draft.incomplete("the listing of nft is cut off");
        }
        for (table, chains) in self.tables.iter().filter(|(name, _)| saved.iter().all(|s| s.name != *name)) {
            let family = table.split(' ').next().and_then(super::family);
            let Some(family) = family else {
                draft.note(format!("the table {table} is of a family that is not known here"));
                continue;
            };
            for chain in chains {
                let number = draft.chain(Space::Nft, family, table, &chain.name);
                draft.list_chain(number, chain.base.as_deref().and_then(base));
                for (at, (handle, text)) in chain.rules.iter().enumerate() {
                    let log = log_in(text);
                    let mut body = vec![Step::If(Cond::fickle())];
                    body.extend(log.iter().map(|_| Step::Log(0)));
                    body.extend([Step::Change(Changes(u8::MAX)), Step::Do(last_verdict(text))]);
                    let counter = text.split(' ').any(|w| w == "counter").then_some(Counter::Packets(0));
                    let place = i64::try_from(at + 1).unwrap_or(i64::MAX);
                    let rule = Rule {
                        table: table.clone(),
                        chain: chain.name.clone(),
                        handle: handle.unwrap_or(place),
                        text: text.clone(),
                        comment: None,
                        logs: log.into_iter().collect(),
                        counter,
                        opaque: true,
                    };
                    draft.rule(number, rule, body);
                }
            }
        }
    }
}

/// A line without ` # handle N`, and N.
pub(crate) fn cut_handle(line: &str) -> (&str, Option<i64>) {
    let cut =
        line.rsplit_once("# handle ").and_then(|(body, n)| Some((body.trim_end(), n.trim().parse().ok()?)));
    cut.map_or((line, None), |(body, n)| (body, Some(n)))
}

/// `ip "my table"` as JSON has it.
fn unquoted(name: &str) -> String {
    name.replace('"', "")
}

/// A rule without what its counters and quotas have counted.
pub(crate) fn without_counts(rule: &str) -> String {
    let words: Vec<&str> = rule.split(' ').collect();
    let mut out: Vec<&str> = Vec::with_capacity(words.len());
    let mut at = 0;
    let number = |w: Option<&&str>| w.is_some_and(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit()));
    while let Some(word) = words.get(at) {
        out.push(word);
        let counts = *word == "counter"
            && words.get(at + 1) == Some(&"packets")
            && number(words.get(at + 2))
            && words.get(at + 3) == Some(&"bytes")
            && number(words.get(at + 4));
        at += if counts { 5 } else { 1 };
    }
    out.join(" ")
}

fn devices(base: &str) -> Option<Devices> {
    let names = base.split_once(" device")?.1;
    let names = names.split_once(" priority").map_or(names, |(n, _)| n);
    let quoted = names.split('"').skip(1).step_by(2);
    Some(Devices::Only(quoted.map(name_value).collect()))
}

fn base(line: &str) -> Option<Base> {
    let after = |word: &str| line.split_once(word).map(|(_, rest)| rest);
    let hook = Hook::from_word(after(" hook ")?.split(' ').next()?)?;
    let policy = if line.contains("policy drop") { Verdict::Drop } else { Verdict::Accept };
    // Priorities have names here; without numbers no order is known, which only makes answers more careful.
    let priority =
        after(" priority ").and_then(|p| p.split(';').next()?.trim().parse().ok()).unwrap_or_default();
    let devices =
        if line.contains(" device") { devices(line).unwrap_or(Devices::Unknown) } else { Devices::All };
    Some(Base { hook, priority, policy, devices, nat: line.starts_with("type nat") })
}

/// The last word of a rule that decides.
fn last_verdict(rule: &str) -> Verdict {
    let rule = rule.split(" comment \"").next().unwrap_or(rule);
    let mut words = rule.rsplit(' ');
    match words.next() {
        Some("drop") => Verdict::Drop,
        Some("accept") => Verdict::Accept,
        _ if rule.contains(" reject") => Verdict::Reject,
        _ => Verdict::Opaque,
    }
}

/// The log statement in a rule's text.
pub(crate) fn log_in(rule: &str) -> Option<Log> {
    let first = rule.strip_prefix("log").filter(|rest| rest.is_empty() || rest.starts_with(' '));
    let mut rest = first.or_else(|| Some(outside_quotes(rule, " log")?.1))?;
    let mut log = Log { prefix: String::new(), group: None };
    loop {
        rest = rest.trim_start();
        if let Some(quoted) = rest.strip_prefix("prefix \"") {
            let (prefix, behind) = quoted.split_once('"')?;
            prefix.clone_into(&mut log.prefix);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("group ") {
            let (number, behind) = behind.split_once(' ').unwrap_or((behind, ""));
            log.group = number.parse().ok();
            rest = behind;
        } else if ["level ", "snaplen ", "queue-threshold ", "flags "].iter().any(|w| rest.starts_with(w)) {
            rest = rest.split_once(' ')?.1;
            rest = rest.split_once(' ').map_or("", |(_, behind)| behind);
        } else {
            return Some(log);
        }
    }
}

/// Cuts at the first ` word` that is not between quotation marks.
fn outside_quotes<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        if c == '"' {
            quoted = !quoted;
        } else if !quoted
            && let Some(behind) = text[at..].strip_prefix(word)
            && (behind.is_empty() || behind.starts_with(' '))
        {
            return Some((&text[..at], behind));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "table inet filter { # handle 5\n\tset bad { # handle 6\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.0/24,\n\t\t\t     203.0.113.5 }\n\t}\n\n\tchain input { # handle 2\n\t\ttype filter hook input priority filter; policy drop;\n\t\ttcp dport 22 counter packets 5 bytes 7 log prefix \"a # handle 9\" group 5 drop # handle 17\n\t\taccept # handle 18\n\t}\n}\ntable netdev nd { # handle 8\n\tchain i { # handle 1\n\t\ttype filter hook ingress device \"lo\" priority filter; policy accept;\n\t\tlog group 7 # handle 2\n\t}\n}\n";

    #[test]
    fn rules_by_number_and_by_place() {
        let text = Text::read(LISTING);
        assert!(text.complete);
        let rule = text.rule("inet filter", "input", Some(17), 0, 2);
        assert_eq!(rule, Some("tcp dport 22 counter log prefix \"a # handle 9\" group 5 drop"));
        assert_eq!(text.rule("inet filter", "input", Some(18), 0, 2), Some("accept"));
        assert_eq!(text.rule("inet filter", "input", Some(19), 1, 2), None);
        assert_eq!(text.devices("netdev nd", "i"), Some(Devices::Only(vec![name_value("lo")])));
        let plain: String = LISTING.lines().map(|l| cut_handle(l).0.to_owned() + "\n").collect();
        assert_eq!(Text::read(&plain).rule("inet filter", "input", Some(18), 1, 2), Some("accept"));
        assert!(!Text::read(&LISTING[..200]).complete);
    }

    #[test]
    fn logs() {
        let log = |prefix: &str, group| Some(Log { prefix: prefix.into(), group });
        assert_eq!(log_in("tcp dport 22 log prefix \"x log \" group 5 drop"), log("x log ", Some(5)));
        assert_eq!(log_in("log"), log("", None));
        assert_eq!(log_in("log level warn flags all prefix \"a\" drop"), log("a", None));
        assert_eq!(log_in("accept comment \"no log \""), None);
        assert_eq!(log_in("logx"), None);
    }
}
