//! The name of a ruleset's content.
//!
//! Each thing that the ruleset consists of is one line; the lines are sorted and hashed. Rules carry their
//! position in their chain. What changes while the rules stay the same is taken out first: counters, quotas
//! used, times left, handles, the elements that packets add to sets, and tables that do nothing.

use crate::nft::{self, Text};
use crate::{Form, Listing};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// 32 hexadecimal digits.
pub(crate) fn of(listing: &Listing) -> String {
    let mut lines = Vec::new();
    let json = listing.0.iter().any(|(form, _)| *form == Form::NftJson);
    // What the JSON leaves out of the rules of iptables stands in their saved text, or else in nft's.
    let saved = listing.0.iter().any(|(form, _)| matches!(form, Form::IptablesSave | Form::Ip6tablesSave));
    let text = listing.0.iter().find(|(form, _)| *form == Form::Nft && !saved).map(|(_, text)| text);
    for (form, text_of) in &listing.0 {
        match form {
            Form::NftJson => json_lines(text_of, text.map(|t| Text::read(t)).as_ref(), &mut lines),
            // The JSON says the same, and does not depend on how lines are broken.
            Form::Nft if json => {}
            Form::Nft => text_lines(text_of, &mut lines),
            _ => saved_lines(*form, text_of, &mut lines),
        }
    }
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in &lines {
        hash.update((line.len() as u64).to_be_bytes());
        hash.update(line);
    }
    hash.finalize()[..16].iter().fold(String::with_capacity(32), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn json_lines(json: &str, text: Option<&Text>, lines: &mut Vec<String>) {
    let (objects, rest) = nft::objects(json);
    if !rest.is_empty() {
        lines.push(format!("unread {rest}"));
    }
    let word = |object: &Value, key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let mut dynamic: HashSet<(String, String, String)> = HashSet::new();
    for (kind, object) in objects.iter().filter_map(|o| o.as_object()?.iter().next()) {
        let names = match kind.as_str() {
            "set" | "map" if nft::is_dynamic(object) => vec![word(object, "name")],
            "rule" => nft::added_to(object),
            _ => continue,
        };
        let place = |name| (word(object, "family"), word(object, "table"), name);
        dynamic.extend(names.into_iter().map(place));
    }
    let mut positions: HashMap<(String, String, String), usize> = HashMap::new();
    for (kind, object) in objects.iter().filter_map(|o| o.as_object()?.iter().next()) {
        let place = (word(object, "family"), word(object, "table"), word(object, "name"));
        let mut line = format!("{kind} ");
        match kind.as_str() {
            "metainfo" => continue,
            "rule" => {
                let chain = (place.0.clone(), place.1.clone(), word(object, "chain"));
                let _ = write!(line, "{chain:?} ");
                let position = positions.entry(chain.clone()).or_default();
                let _ = write!(line, "{position:08} ");
                let opaque =
                    object["expr"].as_array().is_some_and(|l| l.iter().any(|e| e.get("xt").is_some()));
                if opaque && let Some(text) = text {
                    let (table, handle) = (format!("{} {}", chain.0, chain.1), object["handle"].as_i64());
                    line.push_str(
                        text.rule(&table, &chain.2, handle, *position, usize::MAX).unwrap_or_default(),
                    );
                }
                *position += 1;
            }
            _ => {}
        }
        let skip_elements = matches!(kind.as_str(), "set" | "map") && dynamic.contains(&place);
        let Some(fields) = object.as_object() else { continue };
        let mut parts: Vec<String> = Vec::new();
        for (key, value) in fields {
            let state = match key.as_str() {
                "handle" | "used" => true,
                "packets" | "bytes" if kind == "counter" => true,
                "elem" => skip_elements,
                _ => false,
            };
            if !state {
                let mut part = format!("{key:?}:");
                canonical(key, value, &mut part);
                parts.push(part);
            }
        }
        parts.sort_unstable();
        line.push_str(&parts.join(","));
        lines.push(line);
    }
}

/// A value with its keys in order, sets sorted, and without what statements have counted. serde_json refuses
/// values that are nested deeper than 128.
fn canonical(under: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut parts: Vec<String> = Vec::new();
            for (key, value) in fields {
                let state = match key.as_str() {
                    "expires" | "used" | "last" => true,
                    "packets" | "bytes" => under == "counter",
                    _ => false,
                };
                if !state {
                    let mut part = format!("{key:?}:");
                    canonical(key, value, &mut part);
                    parts.push(part);
                }
            }
            parts.sort_unstable();
            // `"counter": {"packets": 0, "bytes": 0}` and `"counter": null` are the same counter.
            let empty = parts.is_empty() && under == "counter";
            out.push_str(&if empty { "null".to_owned() } else { format!("{{{}}}", parts.join(",")) });
        }
        Value::Array(list) => {
            let mut parts: Vec<String> = list
                .iter()
                .map(|value| {
                    let mut part = String::new();
                    canonical("", value, &mut part);
                    part
                })
                .collect();
            if matches!(under, "set" | "elem") {
                parts.sort_unstable();
            }
            let _ = write!(out, "[{}]", parts.join(","));
        }
        plain => _ = write!(out, "{plain}"),
    }
}

fn text_lines(text: &str, lines: &mut Vec<String>) {
    let mut out = Vec::new();
    let (mut dynamic, mut elements) = (false, false);
    for line in text.lines() {
        let line = nft::without_counts(nft::cut_handle(line.trim()).0);
        if line.ends_with('{') && !line.starts_with("elements") {
            dynamic = false;
        }
        dynamic |= line.starts_with("flags ") && (line.contains("dynamic") || line.contains("timeout"));
        let first = line.starts_with("elements = {");
        let skip = dynamic && (first || elements);
        elements = (first || elements) && !line.ends_with('}');
        let counted = line.starts_with("packets ") || line.contains(" used ");
        if !skip && !counted && !line.is_empty() {
            out.push(line);
        }
    }
    // Blocks belong together: one line for all.
    lines.push(out.join("\n"));
}

fn saved_lines(form: Form, text: &str, lines: &mut Vec<String>) {
    let (mut table, mut chains, mut found) = (String::new(), HashMap::new(), Vec::new());
    let mut idle = true;
    for line in text.lines().map(str::trim_end).chain(["COMMIT"]) {
        let line = line.strip_prefix('[').and_then(|l| Some(l.split_once("] ")?.1)).unwrap_or(line);
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(chain) = line.strip_prefix(':') {
            let chain = chain.split(" [").next().unwrap_or(chain);
            idle &= chain.ends_with(" ACCEPT");
            found.push(format!("{} {table} :{chain}", form.as_str()));
        } else if line == "COMMIT" {
            // A table that accepts everything is there or not, as somebody looked into it or not.
            if !idle {
                lines.append(&mut found);
            }
            found.clear();
            chains.clear();
            idle = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            idle = false;
            let chain = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let position: &mut usize = chains.entry(chain).or_default();
            found.push(format!("{} {table} {position:08} {line}", form.as_str()));
            *position += 1;
        }
    }
}
