//! What `iptables-save`, `ip6tables-save` and their legacy forms print.
//!
//! ```text
//! *filter
//! :INPUT DROP [0:0]
//! [12:720] -A INPUT -p tcp -m tcp --dport 22 -j LOG --log-prefix "ssh: "
//! COMMIT
//! ```

mod matches;
mod target;

use crate::model::{Base, Devices, Hook, Step, Verdict};
use crate::ruleset::{Draft, Space};
use crate::{Counter, Family, Form, Log, Rule};
use std::collections::{HashMap, HashSet};

/// A table as it was saved.
#[derive(Debug)]
pub(crate) struct Table {
    /// Family and table, as in `ip filter`.
    pub(crate) name: String,
    family: Family,
    pub(crate) chains: Vec<Chain>,
    names: HashSet<String>,
    /// Chain -> its lines.
    rules: HashMap<String, Vec<Line>>,
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) name: String,
    /// `ACCEPT`, `DROP`, or `-` for chains of the user.
    policy: String,
}

/// A rule's line.
#[derive(Debug)]
struct Line {
    /// Without counters.
    text: String,
    packets: u64,
}

impl Table {
    pub(crate) fn is_of(&self, family: Family) -> bool {
        self.family == family
    }

    pub(crate) fn rules_of(&self, chain: &str) -> usize {
        self.rules.get(chain).map_or(0, Vec::len)
    }
}

/// Whether a text is from iptables-legacy, as its first line says, whatever name the tool was called by.
pub(crate) fn is_legacy(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    (first.contains("iptables-save v") || first.contains("ip6tables-save v"))
        && !first.contains("(nf_tables)")
}

/// Reads the tables of one text. A table without its `COMMIT` was cut off.
pub(crate) fn read(text: &str, family: Family, form: Form, draft: &mut Draft) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let line = line.trim_end();
        let (packets, body) = counted(line);
        match (body.chars().next(), tables.last_mut().filter(|_| open)) {
            (None | Some('#'), _) => {}
            (Some('*'), _) => {
                if open {
                    draft.incomplete(format!("a table of {} has no end", form.as_str()));
                }
                let name = format!("{family} {}", &body[1..]);
                tables.push(Table {
                    name,
                    family,
                    chains: Vec::new(),
                    names: HashSet::new(),
                    rules: HashMap::new(),
                });
                open = true;
            }
            (Some(':'), Some(table)) => {
                let mut words = body[1..].split(' ');
                let mut word = || words.next().unwrap_or_default().to_owned();
                let chain = Chain { name: word(), policy: word() };
                // Twice the same one is once.
                if table.names.insert(chain.name.clone()) {
                    table.chains.push(chain);
                }
            }
            (Some('-'), Some(table)) => match body.strip_prefix("-A ") {
                Some(rule) => {
                    let chain = rule.split(' ').next().unwrap_or_default().to_owned();
                    table.rules.entry(chain).or_default().push(Line { text: body.to_owned(), packets });
                }
                None => draft.note(format!("not understood in {}: {body}", form.as_str())),
            },
            (Some('C'), Some(_)) if body == "COMMIT" => open = false,
            _ => draft.note(format!("not understood in {}: {body}", form.as_str())),
        }
    }
    if open {
        draft.incomplete(format!("the text of {} is cut off", form.as_str()));
    }
    tables
}

/// `[packets:bytes] ` in front of a rule, and the rule.
fn counted(line: &str) -> (u64, &str) {
    let cut = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match cut.and_then(|(counts, body)| Some((counts.split_once(':')?.0.parse().ok()?, body))) {
        Some(counted) => counted,
        None => (0, line),
    }
}

/// Adds a saved table to the ruleset. `handles`: the numbers that nf_tables gave the rules of each chain.
pub(crate) fn build(table: &Table, space: Space, handles: &HashMap<String, Vec<i64>>, draft: &mut Draft) {
    let kind = table.name.split(' ').next_back().unwrap_or_default();
    for chain in &table.chains {
        let number = draft.chain(space, table.family, &table.name, &chain.name);
        draft.list_chain(number, base(kind, chain));
    }
    let mut rest: Vec<&String> = table.rules.keys().filter(|name| !table.names.contains(*name)).collect();
    rest.sort_unstable();
    for name in table.chains.iter().map(|c| &c.name).chain(rest) {
        let number = draft.chain(space, table.family, &table.name, name);
        let lines = table.rules.get(name).map_or(&[][..], Vec::as_slice);
        for (at, line) in lines.iter().enumerate() {
            let place = i64::try_from(at + 1).unwrap_or(i64::MAX);
            let handle = handles.get(name).and_then(|h| h.get(at).copied()).unwrap_or(place);
            let mut reader = Reader::new(table, space, draft);
            reader.rule(&line.text);
            let rule = Rule {
                table: table.name.clone(),
                chain: name.clone(),
                handle,
                text: line.text.clone(),
                comment: reader.comment,
                logs: reader.log.into_iter().collect(),
                counter: Some(Counter::Packets(line.packets)),
                opaque: reader.opaque,
            };
            let steps = reader.steps;
            if rule.opaque {
                draft.note(format!("not understood in {}: {}", table.name, rule.text));
            }
            draft.rule(number, rule, steps);
        }
    }
}

/// The hook of a built-in chain. The order of the tables is that of the kernel's priorities
/// (include/uapi/linux/netfilter_ipv4.h).
fn base(table: &str, chain: &Chain) -> Option<Base> {
    let policy = match chain.policy.as_str() {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        _ => return None,
    };
    let hook = Hook::from_word(&chain.name)?;
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Some(Base { hook, priority, policy, devices: Devices::All, nat: table == "nat" })
}

/// Reads one rule.
struct Reader<'a> {
    table: &'a Table,
    space: Space,
    draft: &'a mut Draft,
    steps: Vec<Step>,
    log: Option<Log>,
    comment: Option<String>,
    opaque: bool,
}

impl<'a> Reader<'a> {
    fn new(table: &'a Table, space: Space, draft: &'a mut Draft) -> Self {
        Self { table, space, draft, steps: Vec::new(), log: None, comment: None, opaque: false }
    }

    fn rule(&mut self, text: &str) {
        let words = words(text);
        let target = words
            .iter()
            .position(|w| !w.quoted && matches!(w.text.as_str(), "-j" | "-g" | "--jump" | "--goto"));
        let (matches, target) = words.split_at(target.unwrap_or(words.len()));
        // The first two are `-A CHAIN`.
        self.matches(matches.get(2..).unwrap_or_default());
        self.target(target);
    }
}

/// A word of a line; what stood between quotation marks is never an option.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

/// Cuts a line at blanks that are not between quotation marks; `\` takes the next character as it is.
fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut open = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                open = !open;
                word.get_or_insert_with(|| Word { text: String::new(), quoted: true }).quoted = true;
            }
            '\\' if open => {
                let word = word.get_or_insert_with(|| Word { text: String::new(), quoted: true });
                word.text.extend(chars.next());
            }
            c if c.is_whitespace() && !open => words.extend(word.take()),
            c => word.get_or_insert_with(|| Word { text: String::new(), quoted: false }).text.push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation() {
        let cut: Vec<_> =
            words(r#"-A x -m comment --comment "he \"said\" -j it" -j LOG --log-prefix "a b " --log-uid"#)
                .into_iter()
                .map(|w| (w.text, w.quoted))
                .collect();
        assert_eq!(cut[5], ("he \"said\" -j it".to_owned(), true));
        assert_eq!(cut[9], ("a b ".to_owned(), true));
        assert_eq!(cut[10], ("--log-uid".to_owned(), false));
        assert_eq!(words("\"\""), [Word { text: String::new(), quoted: true }]);
    }

    #[test]
    fn counters() {
        assert_eq!(counted("[12:720] -A INPUT -j DROP"), (12, "-A INPUT -j DROP"));
        assert_eq!(counted("-A INPUT -j DROP"), (0, "-A INPUT -j DROP"));
        assert_eq!(counted("[x] -A INPUT"), (0, "[x] -A INPUT"));
    }
}
