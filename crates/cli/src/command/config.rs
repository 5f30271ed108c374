//! What the server says of its agents' configuration.

use super::ask::list;
use super::rules::difference;
use super::saved::{columns, flat, too_old};
use crate::{
    args::{ConfigCommand, ConnectionArgs},
    client::Client,
    columns::Look,
    connection::Connection,
    escape::for_terminal,
    failure::{Failure, talk},
    render::Style,
};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Bytes that are read of a text; the server takes fewer.
const MOST: u64 = 1 << 20;
const HISTORY: &str = "/api/v1/configurations/history";

const VERSIONS: &[(&str, Look)] = &[
    ("version", Look::Number),
    ("target", Look::Text),
    ("counts", Look::Text),
    ("hosts", Look::Number),
    ("at", Look::Time),
    ("who", Look::Text),
    ("comment", Look::Text),
];

const HOSTS: &[(&str, Look)] = &[
    ("name", Look::Text),
    ("config", Look::Text),
    ("config_wanted", Look::Text),
    ("config_has", Look::Text),
    ("config_held", Look::Text),
    ("config_after_restart", Look::Text),
    ("config_why", Look::Text),
];

/// Versions of what is said: written, shown, compared, taken back; and how far the hosts are with it.
pub(crate) async fn config(
    args: &ConnectionArgs,
    command: ConfigCommand,
    style: Style,
) -> Result<(), Failure> {
    // What cannot be read is told before anybody is asked.
    let text = match &command {
        ConfigCommand::Set { file, .. } => read(file)?,
        _ => String::new(),
    };
    let client = Client::new(Connection::find(args)?)?;
    let ask = async |question: Value| {
        client.post(HISTORY, &question).await.map_err(|failure| too_old(failure, "config"))
    };
    match command {
        ConfigCommand::List { target, limit, output } => {
            let mut question = json!({ "limit": limit });
            if let Some(target) = target {
                question["target"] = target.into();
            }
            list(&ask(question).await?, columns(VERSIONS), output, style)
        }
        ConfigCommand::Show { what } => {
            let one = one(&ask(wanted(&what)).await?, &what)?;
            let text = one["text"].as_str().unwrap_or_default();
            let mut out = io::stdout();
            for line in text.lines() {
                writeln!(out, "{}", for_terminal(line))?;
            }
            Ok(())
        }
        ConfigCommand::Diff { from, to } => {
            let new = one(&ask(wanted(&to)).await?, &to)?;
            let old = match from {
                Some(from) => one(&ask(wanted(&from)).await?, &from)?,
                None => {
                    let before = json!({ "target": new["target"], "before": new["version"], "limit": 1 });
                    let found = ask(before).await?;
                    // The first of its target follows nothing.
                    found[0]
                        .as_object()
                        .map_or_else(|| json!({ "text": "" }), |one| Value::Object(one.clone()))
                }
            };
            let about = |one: &Value| match &one["version"] {
                Value::Null => "nothing".to_owned(),
                version => {
                    format!("{} version {version}", for_terminal(one["target"].as_str().unwrap_or_default()))
                }
            };
            let text = |one: &Value| one["text"].as_str().unwrap_or_default().to_owned();
            difference([&about(&old), &about(&new)], [&text(&old), &text(&new)], style)
        }
        ConfigCommand::Set { target, comment, .. } => {
            let question = json!({ "target": target, "text": text, "comment": comment });
            let said = client.post("/api/v1/configurations", &question).await;
            told(&said.map_err(|failure| too_old(failure, "config"))?);
            Ok(())
        }
        ConfigCommand::Rollback { version, comment } => {
            let mut question = json!({ "version": version });
            if let Some(comment) = comment {
                question["comment"] = comment.into();
            }
            told(&client.post("/api/v1/configurations/rollback", &question).await?);
            Ok(())
        }
        ConfigCommand::Status { output } => {
            let mut hosts = client.get("/api/v1/hosts").await?;
            if let Some(hosts) = hosts.as_array_mut() {
                hosts.retain(|host| host["reports"].as_str().is_some_and(|by| by.starts_with("agent")));
            }
            let lists = ["config_wanted", "config_has", "config_held", "config_after_restart"];
            list(&flat(hosts, &lists, output), columns(HOSTS), output, style)
        }
    }
}

/// The text of a file, or of standard input.
fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().take(MOST).read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    let shown = file.display().to_string();
    let open = File::open(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!("there is no file {}", for_terminal(&shown))),
        _ => anyhow::Error::from(error).context(format!("cannot read {}", for_terminal(&shown))).into(),
    })?;
    let read = open.take(MOST).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {}", for_terminal(&shown)))?;
    Ok(text)
}

/// A version by its number, or the one that counts for a target.
fn wanted(what: &str) -> Value {
    match what.parse::<u64>() {
        Ok(version) => json!({ "version": version }),
        Err(_) => json!({ "target": what, "limit": 1 }),
    }
}

fn one(answer: &Value, what: &str) -> Result<Value, Failure> {
    answer.get(0).cloned().ok_or_else(|| {
        let what = for_terminal(what);
        Failure::NotFound(format!("nothing is said under `{what}`; see `bartizan config list`"))
    })
}

fn told(said: &Value) {
    let (version, hosts) = (&said["version"], &said["hosts"]);
    let target = for_terminal(said["target"].as_str().unwrap_or_default()).into_owned();
    talk(&format!(
        "-- version {version} counts for {target}: {hosts} hosts; see `bartizan config status` --"
    ));
}
