//! nftables: `nft -j list ruleset` (libnftables-json(5), also as nft 0.9 writes it), beside it the text that nft
//! prints for people.

mod expr;
mod print;
mod statement;
mod text;

pub(crate) use expr::{mac, prefix as network_prefix};
pub(crate) use text::{Text, cut_handle, without_counts};

use crate::model::{Base, Devices, Hook, Verdict, name_value};
use crate::ruleset::{Draft, Space};
use crate::{Family, Rule, iptables};
use serde_json::Value;
use statement::Reader;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The number of a family's word.
pub(crate) fn family(word: &str) -> Option<Family> {
    [1, 2, 3, 5, 7, 10].map(Family).into_iter().find(|f| f.as_str() == word)
}

/// Builds the ruleset of a JSON listing. Tables of `saved` that it lists as well are built here, of the saved
/// text with the numbers that nf_tables gave their rules, and taken out of `saved`; those that are not what
/// iptables made are dropped.
pub(crate) fn build(json: &str, text: Option<&Text>, saved: &mut Vec<iptables::Table>, draft: &mut Draft) {
    let (objects, rest) = objects(json);
    if !rest.is_empty() {
        let read = objects.len();
        draft.incomplete(format!("the JSON listing cannot be read behind its first {read} objects"));
    }
    let mut tables: BTreeMap<(String, String), Table<'_>> = BTreeMap::new();
    let mut order = Vec::new();
    for (kind, object) in objects.iter().filter_map(|o| o.as_object()?.iter().next()) {
        let word = |key: &str| object.get(key).and_then(Value::as_str);
        let Some(family) = word("family") else { continue };
        let Some(table) = word(if kind == "table" { "name" } else { "table" }) else { continue };
        let key = (family.to_owned(), table.to_owned());
        let table = tables.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Table::default()
        });
        match (kind.as_str(), word("name")) {
            ("chain", Some(name)) => table.chains.push((name, object)),
            ("set" | "map", Some(name)) => _ = table.sets.insert(name, object),
            ("rule", _) => {
                if let Some(chain) = word("chain") {
                    table.rules.entry(chain).or_default().push(object);
                }
            }
            _ => {}
        }
    }
    for key in order {
        let table = &tables[&key];
        let name = format!("{} {}", key.0, key.1);
        let Some(family) = family(&key.0) else {
            draft.note(format!("the table {name} is of a family that is not known here"));
            continue;
        };
        if let Some(at) = saved.iter().position(|s| s.name == name) {
            let saved = saved.swap_remove(at);
            if table.is(&saved) {
                iptables::build(&saved, Space::Nft, &table.handles(), draft);
                continue;
            }
        }
        table.build(family, &name, text, draft);
    }
}

/// The listed objects up to the place where the text is cut off or broken, and what stands from there on.
pub(crate) fn objects(json: &str) -> (Vec<Value>, &str) {
    let mut objects = Vec::new();
    let list = json.find("\"nftables\"").and_then(|at| Some(at + json[at..].find('[')? + 1));
    let Some(start) = list else { return (objects, json.trim()) };
    let mut rest = &json[start..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if rest.starts_with(']') {
            return (objects, "");
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => objects.push(value),
            Some(Err(_)) => return (objects, rest),
            // A list without its end; nothing stands there.
            None => return (objects, "..."),
        }
        rest = &rest[values.byte_offset()..];
    }
}

/// One table's objects, in their order.
#[derive(Default)]
struct Table<'a> {
    chains: Vec<(&'a str, &'a Value)>,
    sets: HashMap<&'a str, &'a Value>,
    rules: HashMap<&'a str, Vec<&'a Value>>,
}

impl Table<'_> {
    /// Whether this is the table that iptables saved: the same chains with as many rules, each with the counter
    /// that iptables gives every rule.
    fn is(&self, saved: &iptables::Table) -> bool {
        let counted = |rule: &&Value| {
            let list = rule["expr"].as_array();
            list.is_some_and(|list| list.iter().any(|e| e.get("counter").is_some()))
        };
        self.rules.values().flatten().all(counted)
            && self.rules.iter().all(|(chain, rules)| saved.rules_of(chain) == rules.len())
            && saved
                .chains
                .iter()
                .all(|c| saved.rules_of(&c.name) == self.rules.get(c.name.as_str()).map_or(0, Vec::len))
    }

    /// The numbers of the rules of each chain.
    fn handles(&self) -> HashMap<String, Vec<i64>> {
        let handle = |rule: &&Value| rule["handle"].as_i64().unwrap_or_default();
        self.rules
            .iter()
            .map(|(chain, rules)| ((*chain).to_owned(), rules.iter().map(handle).collect()))
            .collect()
    }

    fn build(&self, family: Family, name: &str, text: Option<&Text>, draft: &mut Draft) {
        let dynamic = self.dynamic_sets();
        let (mut listed, mut known): (Vec<&str>, HashSet<&str>) = Default::default();
        for (chain, object) in &self.chains {
            let number = draft.chain(Space::Nft, family, name, chain);
            let base = base(family, object, text.and_then(|t| t.devices(name, chain)));
            draft.list_chain(number, base);
            // Twice the same one is once.
            if known.insert(chain) {
                listed.push(chain);
            }
        }
        // Rules of chains that are missing in a broken listing.
        let mut rest: Vec<&str> = self.rules.keys().copied().filter(|c| !known.contains(c)).collect();
        rest.sort_unstable();
        for chain in listed.into_iter().chain(rest) {
            let number = draft.chain(Space::Nft, family, name, chain);
            let rules = self.rules.get(chain).map_or(&[][..], Vec::as_slice);
            for (at, object) in rules.iter().enumerate() {
                let printed =
                    text.and_then(|t| t.rule(name, chain, object["handle"].as_i64(), at, rules.len()));
                let mut reader = Reader::new(family, name, &self.sets, &dynamic, draft);
                let body = reader.rule(object, printed);
                let rule = Rule {
                    table: name.to_owned(),
                    chain: chain.to_owned(),
                    handle: object["handle"].as_i64().unwrap_or_default(),
                    text: printed.map_or_else(|| print::rule(object), str::to_owned),
                    comment: object["comment"].as_str().map(str::to_owned),
                    logs: reader.logs,
                    counter: reader.counter,
                    opaque: reader.opaque,
                };
                if rule.opaque {
                    draft.note(format!("not understood in {name} {chain}: {}", rule.text));
                }
                draft.rule(number, rule, body);
            }
        }
    }

    /// The sets whose elements come and go with packets: those with timeouts, and those that a rule adds to
    /// (nft before 1.1 does not list the flag `dynamic`).
    fn dynamic_sets(&self) -> HashSet<String> {
        let flagged = self.sets.iter().filter(|(_, set)| is_dynamic(set)).map(|(name, _)| (*name).to_owned());
        let rules = self.rules.values().flatten();
        flagged.chain(rules.flat_map(|rule| added_to(rule))).collect()
    }
}

/// Whether a set says of itself that packets add to it.
pub(crate) fn is_dynamic(set: &Value) -> bool {
    let flags = |flag: &Value| matches!(flag.as_str(), Some("dynamic" | "timeout"));
    match &set["flags"] {
        Value::Array(list) => list.iter().any(flags),
        one => flags(one),
    }
}

/// The sets that a rule adds to.
pub(crate) fn added_to(rule: &Value) -> Vec<String> {
    let list = rule["expr"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |statement: &Value| {
        let (kind, value) = statement.as_object()?.iter().next()?;
        if !matches!(kind.as_str(), "set" | "map" | "meter") {
            return None;
        }
        let set =
            value["set"].as_str().or_else(|| value["map"].as_str()).or_else(|| value["name"].as_str())?;
        Some(set.trim_start_matches('@').to_owned())
    };
    list.iter().filter_map(name).collect()
}

fn base(family: Family, object: &Value, devices: Option<Devices>) -> Option<Base> {
    let hook = Hook::from_word(object["hook"].as_str()?)?;
    let policy = match object["policy"].as_str() {
        Some("drop") => Verdict::Drop,
        _ => Verdict::Accept,
    };
    let bound = family.as_str() == "netdev" || hook == Hook::Ingress || hook == Hook::Egress;
    let listed = match &object["dev"] {
        Value::String(name) => Some(Devices::Only(vec![name_value(name)])),
        Value::Array(names) => {
            Some(Devices::Only(names.iter().filter_map(Value::as_str).map(name_value).collect()))
        }
        _ => devices,
    };
    let devices = listed.unwrap_or(if bound { Devices::Unknown } else { Devices::All });
    let priority = object["prio"].as_i64().unwrap_or_default();
    Some(Base { hook, priority, policy, devices, nat: object["type"] == "nat" })
}
