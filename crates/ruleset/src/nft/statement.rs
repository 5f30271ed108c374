//! Statements of nft's JSON: the steps of a rule.

use super::expr;
use crate::model::{ANY_LOG, Changes, Cond, Key, Ranges, Step, Verdict};
use crate::ruleset::{Draft, Space};
use crate::{Counter, Family, Log};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Reads one rule.
pub(super) struct Reader<'a> {
    family: Family,
    table: &'a str,
    sets: &'a HashMap<&'a str, &'a Value>,
    dynamic: &'a HashSet<String>,
    draft: &'a mut Draft,
    steps: Vec<Step>,
    pub(super) logs: Vec<Log>,
    pub(super) counter: Option<Counter>,
    pub(super) opaque: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        family: Family,
        table: &'a str,
        sets: &'a HashMap<&'a str, &'a Value>,
        dynamic: &'a HashSet<String>,
        draft: &'a mut Draft,
    ) -> Self {
        let (logs, steps) = (Vec::new(), Vec::new());
        Self { family, table, sets, dynamic, draft, steps, logs, counter: None, opaque: false }
    }

    /// The steps of a rule. `printed` is its text: what xtables added to it is named there and not in the JSON.
    pub(super) fn rule(&mut self, rule: &'a Value, printed: Option<&str>) -> Vec<Step> {
        match rule["expr"].as_array() {
            Some(list) => {
                for statement in list {
                    self.statement(statement, printed);
                }
            }
            None => self.unreadable(),
        }
        std::mem::take(&mut self.steps)
    }

    fn statement(&mut self, statement: &'a Value, printed: Option<&str>) {
        let first = statement.as_object().and_then(|o| o.iter().next());
        let Some((kind, body)) = first.map(|(k, v)| (k.as_str(), v)) else {
            // A statement without arguments may be its bare word.
            return match statement.as_str().and_then(verdict_word) {
                Some(verdict) => self.steps.push(Step::Do(verdict)),
                None => self.unreadable(),
            };
        };
        match kind {
            "match" => {
                let cond = self.condition(body);
                self.steps.push(Step::If(cond));
            }
            "log" => self.log(body),
            "counter" => self.count(body),
            "vmap" => self.map(body),
            "jump" | "goto" => {
                let target = self.target(kind, body);
                self.steps.push(Step::Do(target));
            }
            "queue" | "fwd" => self.steps.push(Step::Do(Verdict::Aside)),
            // The connection is set up, and the packet goes to the next base chain.
            "snat" | "dnat" | "masquerade" | "redirect" => self.steps.push(Step::Do(Verdict::Accept)),
            "limit" | "quota" | "ct count" | "set" | "map" | "meter" | "flow" | "tproxy" => {
                self.steps.push(Step::If(Cond::fickle()));
            }
            "mangle" => self.steps.push(Step::Change(changes(&body["key"]))),
            "notrack" => self.steps.push(Step::Change(Changes::CT_STATE)),
            "dup" | "last" => {}
            "ct helper" | "ct timeout" | "ct expectation" | "secmark" => {
                self.steps.push(Step::Change(Changes::OTHER));
            }
            "xt" => self.xt(body, printed),
            _ => match verdict_word(kind) {
                Some(verdict) => self.steps.push(Step::Do(verdict)),
                None => self.unreadable(),
            },
        }
    }

    /// Something that may do anything.
    fn unreadable(&mut self) {
        self.opaque = true;
        self.steps.extend([Step::If(Cond::fickle()), Step::Log(ANY_LOG)]);
        self.steps.push(Step::Change(Changes(u8::MAX)));
        self.steps.push(Step::Do(Verdict::Opaque));
    }

    /// A match or target of xtables: the JSON has at best its name.
    fn xt(&mut self, body: &Value, printed: Option<&str>) {
        let name = body["name"].as_str();
        if body["type"] == "match" {
            // Which arguments it has is not said, so that no two are the same.
            if name != Some("comment") {
                self.steps.push(Step::If(Cond::fickle()));
            }
            return;
        }
        let log = printed.and_then(super::text::log_in);
        match (name, log) {
            (Some("LOG" | "NFLOG"), Some(log)) => self.push_log(log),
            (Some("REJECT"), _) => self.steps.push(Step::Do(Verdict::Reject)),
            _ => self.unreadable(),
        }
    }

    fn log(&mut self, body: &Value) {
        // Goes to the audit subsystem, which makes no event.
        if body["level"] == "audit" {
            return;
        }
        let prefix = body["prefix"].as_str().unwrap_or_default().to_owned();
        let group = body["group"].as_u64().and_then(|g| u16::try_from(g).ok());
        self.push_log(Log { prefix, group });
    }

    fn push_log(&mut self, log: Log) {
        let number = u16::try_from(self.logs.len()).unwrap_or(ANY_LOG);
        self.steps.push(Step::Log(number));
        self.logs.push(log);
    }

    fn count(&mut self, body: &Value) {
        let counter = match body {
            Value::String(name) => Counter::Named(name.clone()),
            _ => Counter::Packets(body["packets"].as_u64().unwrap_or_default()),
        };
        if !matches!(self.counter, Some(Counter::Packets(_))) {
            self.counter = Some(counter);
        }
    }

    fn target(&mut self, kind: &str, body: &Value) -> Verdict {
        let Some(name) = body["target"].as_str().or_else(|| body.as_str()) else {
            self.opaque = true;
            return Verdict::Opaque;
        };
        let chain = self.draft.chain(Space::Nft, self.family, self.table, name);
        if kind == "goto" { Verdict::Goto(chain) } else { Verdict::Jump(chain) }
    }

    /// `{"op": "==", "left": what is read, "right": what it is compared with}`.
    fn condition(&self, body: &Value) -> Cond {
        self.readable(body).unwrap_or_else(|| {
            if is_fickle(&body["left"]) { Cond::fickle() } else { Cond::opaque(body.to_string()) }
        })
    }

    fn readable(&self, body: &Value) -> Option<Cond> {
        let (left, right) = (&body["left"], &body["right"]);
        let op = body["op"].as_str().unwrap_or("==");
        if let Some(parts) = left.get("concat").and_then(Value::as_array) {
            let keys = parts.iter().map(|p| expr::key(p, self.family)).collect::<Option<Vec<_>>>()?;
            let not = match op {
                "==" | "in" => false,
                "!=" => true,
                _ => return None,
            };
            let elements = self.elements(right)?;
            let elements = elements.iter().map(|e| element(&keys, e)).collect::<Option<Vec<_>>>()?;
            return Some(Cond::Concat { keys, not, elements: elements.into() });
        }
        let (left, mask) = match left.get("&").and_then(Value::as_array) {
            Some(parts) => {
                let key = expr::key(parts.first()?, self.family)?;
                let mask = parts[1..].iter().try_fold(u128::MAX, |m, v| Some(m & expr::one(key, v)?))?;
                (parts.first()?, mask)
            }
            None => (left, u128::MAX),
        };
        let key = expr::key(left, self.family)?;
        let flags = matches!(key, Key::TcpFlags | Key::CtState);
        let one = |value: &Value| expr::one(key, value);
        Some(match op {
            // Any of the bits; for what has no bits, membership.
            "in" if flags && right.get("set").is_none() => {
                Cond::masked(key, one(right)?, Ranges::one(0), true)
            }
            "!" => Cond::masked(key, one(right)?, Ranges::one(0), false),
            // Each packet has one state: what several together would be is not known here.
            "==" | "!=" if key == Key::CtState && right.is_array() => return None,
            "==" | "in" => Cond::masked(key, mask, self.members(key, right)?, false),
            "!=" => Cond::masked(key, mask, self.members(key, right)?, true),
            "<" => Cond::masked(key, mask, Ranges::new(below(one(right)?)), false),
            ">=" => Cond::masked(key, mask, Ranges::new(below(one(right)?)), true),
            ">" => Cond::masked(key, mask, Ranges::new(above(one(right)?)), false),
            "<=" => Cond::masked(key, mask, Ranges::new(above(one(right)?)), true),
            _ => return None,
        })
    }

    /// The numbers of a value, or of all elements of the set that it names.
    fn members(&self, key: Key, value: &Value) -> Option<Ranges> {
        if value.as_str().is_some_and(|s| s.starts_with('@')) {
            let ranges = self.elements(value)?.iter().try_fold(Vec::new(), |mut all, element| {
                all.push(expr::ranges(key, element)?);
                Some(all)
            })?;
            return Some(Ranges::join(&ranges));
        }
        expr::ranges(key, value)
    }

    /// The elements of a set: of its own or of the one that it names. `None` when packets add to it.
    fn elements(&self, value: &'a Value) -> Option<&'a [Value]> {
        let list = match value.as_str() {
            Some(name) => {
                let name = name.strip_prefix('@')?;
                if self.dynamic.contains(name) {
                    return None;
                }
                &self.sets.get(name)?["elem"]
            }
            None => &value["set"],
        };
        // A set without elements has no list.
        Some(list.as_array().map_or(&[][..], Vec::as_slice))
    }

    fn map(&mut self, body: &'a Value) {
        let (key, data) = (&body["key"], &body["data"]);
        let parts = match key.get("concat").and_then(Value::as_array) {
            Some(parts) => parts.iter().collect(),
            None => vec![key],
        };
        let keys: Option<Vec<Key>> = parts.iter().map(|p| expr::key(p, self.family)).collect();
        // Elements with timeouts go without notice; new ones come with a new generation.
        let open = self.elements(data).is_none();
        let named = data.as_str().and_then(|name| self.sets.get(name.strip_prefix('@')?));
        let listed = named.map_or_else(|| &data["set"], |set| &set["elem"]).as_array();
        let mut entries = Vec::new();
        if open && named.is_none() {
            self.opaque = true;
            entries.push((Vec::new(), Verdict::Opaque));
        }
        for entry in listed.map_or(&[][..], Vec::as_slice) {
            let verdict = self.entry_verdict(&entry[1]);
            // What cannot be compared may be any packet.
            let ranges = keys.as_ref().and_then(|keys| element(keys, &entry[0]));
            entries.push((ranges.unwrap_or_default(), verdict));
        }
        self.steps.push(Step::Map { keys: keys.unwrap_or_default(), entries: entries.into(), open });
    }

    fn entry_verdict(&mut self, value: &Value) -> Verdict {
        let first = value.as_object().and_then(|o| o.iter().next());
        match first.map(|(kind, body)| (kind.as_str(), body)) {
            Some((kind @ ("jump" | "goto"), body)) => Some(self.target(kind, body)),
            Some((kind, _)) => verdict_word(kind),
            None => value.as_str().and_then(verdict_word),
        }
        .unwrap_or(Verdict::Opaque)
    }
}

/// An element of a set of concatenations; of a plain set, when there is one key.
fn element(keys: &[Key], value: &Value) -> Option<Vec<Ranges>> {
    let value = value.get("elem").map_or(value, |e| &e["val"]);
    match value.get("concat").and_then(Value::as_array) {
        Some(parts) if parts.len() == keys.len() => {
            keys.iter().zip(parts).map(|(key, part)| expr::ranges(*key, part)).collect()
        }
        None if keys.len() == 1 => Some(vec![expr::ranges(keys[0], value)?]),
        _ => None,
    }
}

/// Whether the same packet may get another answer later: counts of a connection move with every packet.
fn is_fickle(left: &Value) -> bool {
    left.get("numgen").is_some()
        || matches!(left["ct"]["key"].as_str(), Some("bytes" | "packets" | "avgpkt"))
        || matches!(left["meta"]["key"].as_str(), Some("random"))
}

fn below(n: u128) -> Vec<(u128, u128)> {
    n.checked_sub(1).map(|high| (0, high)).into_iter().collect()
}

fn above(n: u128) -> Vec<(u128, u128)> {
    n.checked_add(1).map(|low| (low, u128::MAX)).into_iter().collect()
}

fn verdict_word(word: &str) -> Option<Verdict> {
    Some(match word {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "reject" => Verdict::Reject,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        _ => return None,
    })
}

fn changes(key: &Value) -> Changes {
    if key.get("payload").is_some() || key.get("tcp option").is_some() || key.get("exthdr").is_some() {
        return Changes::PACKET;
    }
    match key["meta"]["key"].as_str() {
        Some("mark") => Changes::MARK,
        _ => Changes::OTHER,
    }
}
