//! One event: all of it, the rule that logged it as it was, and what has become of that rule.

use super::rules::about;
use crate::{
    args::{ConnectionArgs, ShowArgs},
    client::Client,
    connection::Connection,
    escape::{for_terminal, json_for_terminal},
    failure::Failure,
    render::{Format, Style},
};
use bartizan_model::Kind;
use bartizan_schema::table_columns;
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};

/// Columns that are said in words, or that the id holds.
const SAID: [&str; 9] = ["action", "rule", "generation", "table", "chain", "handle", "stream", "seq", "row"];

pub(crate) async fn show(args: &ConnectionArgs, show: ShowArgs, _style: Style) -> Result<(), Failure> {
    if !matches!(show.output, Format::Table | Format::Json) {
        return Err(Failure::Usage("one event is shown in words, or with -o json".into()));
    }
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.post("/api/v1/event", &json!({ "id": show.event })).await?;
    let mut out = BufWriter::new(io::stdout());
    match show.output {
        Format::Json => writeln!(out, "{}", json_for_terminal(&answer.to_string()))?,
        _ => in_words(&answer, &mut out)?,
    }
    Ok(out.flush()?)
}

fn in_words(answer: &Value, out: &mut impl Write) -> io::Result<()> {
    let event = &answer["event"];
    let mut line = |name: &str, text: &str| writeln!(out, "{name:<12} {}", for_terminal(text));
    line("event", event["id"].as_str().unwrap_or_default())?;
    for column in table_columns(Kind::Events).iter().filter(|c| !SAID.contains(&c.name)) {
        match &event[column.name] {
            Value::Null => {}
            Value::String(text) => line(column.name, text)?,
            other => line(column.name, &other.to_string())?,
        }
    }
    line("action", event["action"].as_str().unwrap_or_default())?;
    writeln!(out)?;
    let in_flight: Vec<_> = answer["in_flight"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(for_terminal)
        .collect();
    if !in_flight.is_empty() {
        writeln!(out, "while        the rules changed: under one of {}", in_flight.join(", "))?;
    }
    let rule = &answer["rule"];
    if rule.is_null() {
        return without_rule(answer, out);
    }
    writeln!(out, "logged by    {}", for_terminal(text_of(rule)))?;
    writeln!(out, "             {}", place_of(rule))?;
    if rule["ruleset"].is_object() {
        writeln!(out, "             in {}", about(&rule["ruleset"]))?;
    }
    writeln!(out)?;
    let now = &answer["now"];
    let newest = match now["ruleset"].is_object() {
        true => format!(" ({})", about(&now["ruleset"])),
        false => String::new(),
    };
    match now["state"].as_str() {
        Some("same") => writeln!(out, "since then   unchanged{newest}"),
        Some("moved") => writeln!(out, "since then   moved to {}{newest}", place_of(&now["rule"])),
        Some("changed") => {
            writeln!(out, "since then   changed{newest}")?;
            writeln!(out, "             - {}", for_terminal(text_of(rule)))?;
            writeln!(out, "             + {}", for_terminal(text_of(&now["rule"])))?;
            writeln!(out, "             {}", place_of(&now["rule"]))
        }
        Some("deleted") => writeln!(out, "since then   deleted{newest}"),
        _ => writeln!(out, "since then   not known: the ruleset of then or of now is not here{newest}"),
    }
}

fn without_rule(answer: &Value, out: &mut impl Write) -> io::Result<()> {
    let candidates: Vec<_> = answer["candidates"].as_array().into_iter().flatten().collect();
    if candidates.is_empty() {
        return writeln!(out, "logged by    not known");
    }
    writeln!(out, "logged by    one of these, which cannot be told apart:")?;
    for candidate in candidates {
        let text = candidate.as_str().map_or_else(|| candidate.to_string(), str::to_owned);
        writeln!(out, "             {}", for_terminal(&text))?;
    }
    Ok(())
}

fn text_of(rule: &Value) -> &str {
    rule["text"].as_str().unwrap_or_default()
}

fn place_of(rule: &Value) -> String {
    let text = |key: &str| for_terminal(rule[key].as_str().unwrap_or("?")).into_owned();
    let mut place = format!("table {}, chain {}", text("table"), text("chain"));
    if let Some(position) = rule["position"].as_u64() {
        place.push_str(&format!(", rule {position}"));
    }
    if let Some(handle) = rule["handle"].as_i64() {
        place.push_str(&format!(", handle {handle}"));
    }
    place
}
