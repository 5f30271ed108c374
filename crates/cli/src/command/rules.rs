//! A host's rulesets: now, then, what changed between.

use super::ask::{add_range, list};
use crate::{
    args::{ConnectionArgs, RulesArgs},
    client::Client,
    clock,
    columns::{Column, Look},
    connection::Connection,
    diff::{self, Line},
    escape::for_terminal,
    failure::{Failure, talk},
    render::{Format, Style},
    when,
};
use anyhow::anyhow;
use serde_json::{Value, json};
use std::io::{self, BufWriter, Write};

/// Lines around a change that are shown with it.
const AROUND: usize = 3;

pub(crate) async fn rules(args: &ConnectionArgs, rules: RulesArgs, style: Style) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    if rules.history {
        return history(&client, &rules, style).await;
    }
    if rules.hits {
        return hits(&client, &rules, style).await;
    }
    if let [from, to] = rules.diff.as_slice() {
        let (from, to) = (ask(&client, &rules, Some(from)).await?, ask(&client, &rules, Some(to)).await?);
        return differences(&from, &to, &rules, style);
    }
    let mut question = place(&rules);
    if let Some(generation) = &rules.generation {
        question["generation"] = generation.as_str().into();
    }
    if let Some(at) = &rules.at {
        question["at"] = time(at)?.into();
    }
    show(&client.post("/api/v1/rules", &question).await?, &rules)
}

fn place(rules: &RulesArgs) -> Value {
    let mut question = json!({ "host": rules.host });
    if let Some(netns) = &rules.netns {
        question["netns"] = netns.as_str().into();
    }
    question
}

fn time(text: &str) -> Result<String, Failure> {
    let (now, zone) = clock::now();
    Ok(when::parse_time(text, now, &zone)?.to_string())
}

/// A ruleset by its generation, or by a time at which it was active.
async fn ask(client: &Client, rules: &RulesArgs, which: Option<&String>) -> Result<Value, Failure> {
    let mut question = place(rules);
    match which {
        Some(name) if name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()) => {
            question["generation"] = name.as_str().into();
        }
        Some(at) => question["at"] = time(at)?.into(),
        None => {}
    }
    client.post("/api/v1/rules", &question).await
}

fn show(answer: &Value, rules: &RulesArgs) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout());
    if rules.output != Format::Table {
        writeln!(out, "{}", crate::escape::json_for_terminal(&answer.to_string()))?;
        return Ok(out.flush()?);
    }
    let (form, text) = text(answer, rules.form.as_deref())?;
    let about = about(answer);
    // A comment in all forms but JSON, where it would not be one.
    if form.ends_with("json") {
        talk(&format!("# {about}"))
    } else {
        writeln!(out, "# {about}")?
    }
    for note in answer["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        talk(&format!("-- {} --", for_terminal(note)));
    }
    for line in text.lines() {
        writeln!(out, "{}", printable(line))?;
    }
    Ok(out.flush()?)
}

/// In one line which ruleset it is, since when, and by whom.
pub(super) fn about(change: &Value) -> String {
    let text = |key: &str| for_terminal(change[key].as_str().unwrap_or_default()).into_owned();
    let mut about = format!("ruleset {} of {}", text("generation"), text("host"));
    if !text("netns").is_empty() {
        about.push_str(&format!(", namespace {}", text("netns")));
    }
    about.push_str(&format!(", active since {}", text("time")));
    match (text("process"), change["pid"].as_i64()) {
        (process, Some(pid)) if !process.is_empty() => about.push_str(&format!(", by {process} (pid {pid})")),
        (process, None) if !process.is_empty() => about.push_str(&format!(", by {process}")),
        (_, Some(pid)) => about.push_str(&format!(", by pid {pid}")),
        _ => {}
    }
    about
}

/// The text in a form; without a wish the one that nft prints, or else the first.
fn text<'a>(answer: &'a Value, wanted: Option<&str>) -> Result<(&'a str, &'a str), Failure> {
    let forms: Vec<(&str, &str)> = answer["forms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|form| Some((form["form"].as_str()?, form["text"].as_str()?)))
        .collect();
    let named = |name: &str| forms.iter().find(|(form, _)| *form == name).copied();
    match wanted {
        None => named("nft")
            .or_else(|| forms.first().copied())
            .ok_or_else(|| Failure::NotFound("the text of this ruleset has not come yet".into())),
        Some(wanted) => named(wanted).ok_or_else(|| {
            let there: Vec<_> = forms.iter().map(|(form, _)| for_terminal(form).into_owned()).collect();
            Failure::NotFound(format!("there is no form {wanted:?} of it; there are: {}", there.join(", ")))
        }),
    }
}

/// A line of a ruleset: tabs are its layout, everything else that moves a terminal is not.
fn printable(line: &str) -> String {
    line.split('\t').map(for_terminal).collect::<Vec<_>>().join("\t")
}

async fn history(client: &Client, rules: &RulesArgs, style: Style) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("time", Look::Time),
        ("netns", Look::Text),
        ("generation", Look::Text),
        ("process", Look::Text),
        ("pid", Look::Number),
        ("kernel_generation", Look::Number),
    ];
    let mut question = place(rules);
    add_range(&mut question, &rules.range)?;
    question["limit"] = rules.limit.max(1).into();
    let answer = client.post("/api/v1/rules/history", &question).await?;
    let columns = COLUMNS.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect();
    list(&answer["generations"], columns, rules.output, style)
}

async fn hits(client: &Client, rules: &RulesArgs, style: Style) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("table", Look::Text),
        ("chain", Look::Text),
        ("handle", Look::Number),
        ("state", Look::Text),
        ("counted", Look::Number),
        ("logged", Look::Number),
        ("coverage", Look::Number),
        ("last", Look::Time),
        ("rule", Look::Text),
    ];
    let mut question = place(rules);
    add_range(&mut question, &rules.range)?;
    let mut answer = client.post("/api/v1/rules/hits", &question).await?;
    if rules.output == Format::Json {
        return Ok(writeln!(io::stdout(), "{}", crate::escape::json_for_terminal(&answer.to_string()))?);
    }
    if rules.output == Format::Table {
        talk(&format!("-- {} --", about(&answer["ruleset"])));
        if let Some(packets @ 1..) = answer["unattributed"].as_i64() {
            talk(&format!("-- {packets} logged packets are of no rule that could be told --"));
        }
    }
    let mut list_of = |key: &str| answer[key].as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut all = list_of("rules");
    all.extend(list_of("gone").into_iter().map(|mut rule| {
        rule["state"] = "gone".into();
        rule
    }));
    let columns = COLUMNS.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect();
    list(&Value::Array(all), columns, rules.output, style)
}

fn differences(from: &Value, to: &Value, rules: &RulesArgs, style: Style) -> Result<(), Failure> {
    let (form, old) = text(from, rules.form.as_deref())?;
    let (_, new) = text(to, Some(form))?;
    if rules.output != Format::Table {
        return Err(anyhow!("differences are written as text only").into());
    }
    difference([&about(from), &about(to)], [old, new], style)
}

/// What two texts do not have in common, with what each is called.
pub(super) fn difference(about: [&str; 2], texts: [&str; 2], style: Style) -> Result<(), Failure> {
    let lines = diff::lines(texts[0], texts[1]);
    let changed = |at: usize| {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len());
        lines[around].iter().any(|line| !matches!(line, Line::Both(_)))
    };
    let mut out = BufWriter::new(io::stdout());
    writeln!(out, "--- {}\n+++ {}", about[0], about[1])?;
    let mut shown_before = true;
    for (at, line) in lines.iter().enumerate() {
        let shown = changed(at);
        if shown && !shown_before {
            writeln!(out, "@@")?;
        }
        shown_before = shown;
        if !shown {
            continue;
        }
        let (sign, colour, text) = match line {
            Line::Both(text) => (' ', None, text),
            Line::Removed(text) => ('-', Some(31), text),
            Line::Added(text) => ('+', Some(32), text),
        };
        match colour.filter(|_| style.colour_stdout) {
            Some(code) => writeln!(out, "\x1b[{code}m{sign}{}\x1b[0m", printable(text))?,
            None => writeln!(out, "{sign}{}", printable(text))?,
        }
    }
    Ok(out.flush()?)
}
