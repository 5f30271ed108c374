//! What may stand at a place of the command line: fields of the filter language, and what there is on the server.
//!
//! A shell waits for this at each press of a key. So the server gets [`PATIENCE`], and whatever goes wrong, goes wrong
//! silently: then only what is known without it is offered.

use crate::{args::ConnectionArgs, client, clock, connection::Connection, contexts::Contexts};
use bartizan_model::Kind;
use bartizan_schema::{FIELDS, Field, FieldKind};
use clap_complete::engine::CompletionCandidate;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::{ffi::OsStr, path::PathBuf, time::Duration};

const PATIENCE: Duration = Duration::from_millis(400);
/// Values that are offered.
const VALUES: u64 = 20;
/// Seconds back that values are looked for.
const BACK: i64 = 86_400;

/// The last term of a filter of events.
pub(crate) fn filter(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = current.to_str() else { return Vec::new() };
    let (before, word) = last_term(text);
    let sign = word.len() - word.trim_start_matches(['-', '!']).len();
    let (signs, term) = word.split_at(sign);
    let lead = format!("{before}{signs}");
    match term.split_once(':') {
        None => fields(Kind::Events)
            .filter(|field| field.name.starts_with(&term.to_lowercase()))
            .map(|field| candidate(format!("{lead}{}:", field.name), field.doc))
            .collect(),
        Some((name, list)) => {
            let Some(field) = bartizan_schema::field(&name.to_lowercase()) else { return Vec::new() };
            let (done, value) = list.rsplit_once(',').map_or(("", list), |(done, value)| (done, value));
            let comma = if done.is_empty() { "" } else { "," };
            values(field, value)
                .into_iter()
                .map(|found| candidate(format!("{lead}{name}:{done}{comma}{found}"), ""))
                .collect()
        }
    }
}

/// Names of hosts.
pub(crate) fn host(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = current.to_str() else { return Vec::new() };
    live("host", text).into_iter().map(|name| candidate(name, "")).collect()
}

/// Names of contexts.
pub(crate) fn context(current: &OsStr) -> Vec<CompletionCandidate> {
    let begun = current.to_str().unwrap_or_default();
    let names = Contexts::find().map(|contexts| contexts.names()).unwrap_or_default();
    names.into_iter().filter(|name| name.starts_with(begun)).map(|name| candidate(name, "")).collect()
}

/// Columns of events.
pub(crate) fn column(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = current.to_str() else { return Vec::new() };
    let (done, begun) = text.rsplit_once(',').map_or(("", text), |(done, begun)| (done, begun));
    let comma = if done.is_empty() { "" } else { "," };
    bartizan_schema::table_columns(Kind::Events)
        .iter()
        .filter(|column| column.name.starts_with(begun))
        .map(|column| candidate(format!("{done}{comma}{}", column.name), column.doc))
        .collect()
}

fn candidate(text: String, help: &str) -> CompletionCandidate {
    let help = help.split([':', ';']).next().unwrap_or_default();
    let candidate = CompletionCandidate::new(text);
    if help.is_empty() { candidate } else { candidate.help(Some(help.to_owned().into())) }
}

fn fields(kind: Kind) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(move |field| field.is_in(kind))
}

/// What stands before the last term, and it.
fn last_term(text: &str) -> (&str, &str) {
    let at = text.rfind([' ', '(']).map_or(0, |at| at + 1);
    text.split_at(at)
}

/// Values of a field that begin so: those that are always there, then those that the server has seen.
fn values(field: &Field, begun: &str) -> Vec<String> {
    let begun = begun.to_lowercase();
    let always: &[&str] = match (field.kind, field.name) {
        (FieldKind::Addr, _) => &["private", "public", "loopback", "linklocal", "multicast", "fleet"],
        (FieldKind::Flags, _) => &["syn", "ack", "fin", "rst", "psh", "urg", "ece", "cwr", "ae"],
        (FieldKind::Proto, _) => &["tcp", "udp", "icmp", "icmpv6", "esp", "gre", "sctp"],
        (_, "action") => &["drop", "reject", "accept", "log"],
        (_, "hook") => &["prerouting", "input", "forward", "output", "postrouting", "ingress"],
        (_, "family") => &["ip", "ip6", "inet", "arp", "bridge", "netdev"],
        (_, "ct") => &["new", "established", "related", "untracked", "invalid"],
        _ => &[],
    };
    let mut found: Vec<String> =
        always.iter().filter(|word| word.starts_with(&begun)).map(|word| (*word).to_owned()).collect();
    // one column has values that can be listed; two would need two questions
    if field.columns_in(Kind::Events).nth(1).is_none()
        && let Some(column) = field.columns_in(Kind::Events).next()
        && !matches!(field.kind, FieldKind::Flags | FieldKind::Group)
    {
        for value in live(column.name, &begun) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
    }
    found
}

/// The most frequent values of a column that begin so, as they are written in a filter.
fn live(column: &str, begun: &str) -> Vec<String> {
    let ask = async {
        let connection = Connection::find(&from_environment()).ok()?;
        let since = clock::now().0.checked_sub(SignedDuration::from_secs(BACK)).ok()?;
        let question = json!({
            "filter": "", "by": [column], "since": since.to_string(), "limit": VALUES * 5,
        });
        let client = client::Client::new(connection).ok()?;
        client.post("/api/v1/top", &question).await.ok()
    };
    let answer = client::block_on(async { tokio::time::timeout(PATIENCE, ask).await.ok().flatten() });
    let Ok(Some(answer)) = answer else { return Vec::new() };
    let rows = answer["rows"].as_array().into_iter().flatten();
    rows.filter_map(|row| written(&row[column]))
        .filter(|value| value.to_lowercase().starts_with(begun))
        .take(usize::try_from(VALUES).unwrap_or(20))
        .collect()
}

/// A value as a filter has it; nothing for what would need quotes, which a shell would take for its own.
fn written(value: &Value) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let plain = |c: char| c.is_alphanumeric() || "_-.:/".contains(c);
    (!value.is_null() && !text.is_empty() && text.chars().all(plain)).then_some(text)
}

/// Flags of a line that is not finished are not known; what the environment says counts.
fn from_environment() -> ConnectionArgs {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = |name| set(name).map(PathBuf::from);
    let text = |name| set(name).and_then(|value| value.into_string().ok());
    ConnectionArgs {
        server: text("BARTIZAN_SERVER"),
        ca: path("BARTIZAN_CA"),
        token_file: path("BARTIZAN_TOKEN_FILE"),
        dir: path("BARTIZAN_DIR"),
        context: text("BARTIZAN_CONTEXT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(text: &str) -> Vec<String> {
        let found = filter(OsStr::new(text));
        found.iter().map(|c| c.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn fields_and_what_is_always_there_are_offered_for_the_last_term() {
        assert_eq!(offered("dp"), ["dport:"]);
        assert_eq!(offered("host:a -dp"), ["host:a -dport:"]);
        assert_eq!(offered("(action:dr"), ["(action:drop"]);
        assert_eq!(offered("flags:syn,a"), ["flags:syn,ack", "flags:syn,ae"]);
        assert_eq!(offered("nosuch:"), Vec::<String>::new());
        assert!(offered("").len() > 40);
    }

    #[test]
    fn columns_are_offered_in_lists() {
        let found = column(OsStr::new("src,dpo"));
        assert_eq!(found[0].get_value(), "src,dport");
    }

    #[test]
    fn only_plain_values_are_offered() {
        assert_eq!(written(&json!("web-01")).as_deref(), Some("web-01"));
        assert_eq!(written(&json!(22)).as_deref(), Some("22"));
        for value in [json!(null), json!(""), json!("a b"), json!("$(reboot)"), json!("\u{1b}[2J")] {
            assert_eq!(written(&value), None, "{value}");
        }
    }
}
