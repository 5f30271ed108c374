//! Hosts and join tokens.

use super::ask::list;
use super::saved::{columns, flat};
use crate::{
    args::{AuthorityCommand, ConnectionArgs, HostsCommand, TokenCommand},
    client::Client,
    columns::Look,
    connection::Connection,
    escape::for_terminal,
    failure::{Failure, talk},
    render::{Format, Style},
    when,
};
use anyhow::anyhow;
use serde_json::{Value, json};
use std::io::{self, Write as _};

const HOSTS: &[(&str, Look)] = &[
    ("name", Look::Text),
    ("state", Look::Text),
    ("group", Look::Text),
    ("reports", Look::Text),
    ("last_contact", Look::Time),
    ("last_event", Look::Time),
    ("events", Look::Number),
    ("lost", Look::Number),
    ("rate", Look::Number),
    ("spool_bytes", Look::Number),
    ("spool_batches", Look::Number),
    ("spool_oldest", Look::Time),
    ("version", Look::Text),
    ("cert_not_after", Look::Time),
    ("first_seen", Look::Time),
    ("clock_offset_ms", Look::Number),
    ("clone_seen", Look::Time),
    ("refused", Look::Number),
    ("refused_why", Look::Text),
    ("waiting_for", Look::Text),
    ("config", Look::Text),
    ("config_why", Look::Text),
    ("id", Look::Text),
];

const TOKENS: &[(&str, Look)] = &[
    ("id", Look::Text),
    ("state", Look::Text),
    ("uses_left", Look::Number),
    ("used", Look::Number),
    ("expires", Look::Time),
    ("group", Look::Text),
    ("networks", Look::Text),
    ("approval", Look::Text),
    ("refused", Look::Number),
    ("created", Look::Time),
    ("comment", Look::Text),
];

/// The list of hosts, and what people change of one.
pub(crate) async fn hosts(args: &ConnectionArgs, command: HostsCommand, style: Style) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    let (path, question) = match command {
        HostsCommand::List { output } => {
            let answer = client.get("/api/v1/hosts").await?;
            return list(&answer, columns(HOSTS), output, style);
        }
        HostsCommand::Revoke { host } => ("revoke", json!({ "host": host })),
        HostsCommand::Retire { host } => ("retire", json!({ "host": host })),
        HostsCommand::Rename { host, name } => ("rename", json!({ "host": host, "name": name })),
        HostsCommand::Approve { host, replace } => ("approve", json!({ "host": host, "replace": replace })),
    };
    let change = client.post(&format!("/api/v1/hosts/{path}"), &question).await?;
    let text = |value: &Value| for_terminal(value.as_str().unwrap_or_default()).to_string();
    let told = |standing: &Value| match standing["state"].as_str() {
        Some("in") => format!("{}, which may send", text(&standing["name"])),
        _ => format!("{}, {}", text(&standing["name"]), text(&standing["state"])),
    };
    talk(&format!(
        "-- host {}: {}; before {} --",
        text(&change["id"]),
        told(&change["now"]),
        told(&change["was"])
    ));
    Ok(())
}

/// The authority, and another that follows it.
pub(crate) async fn authority(
    args: &ConnectionArgs,
    command: AuthorityCommand,
    style: Style,
) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("pin", Look::Text),
        ("next", Look::Text),
        ("renewed", Look::Number),
        ("left", Look::Number),
        ("names", Look::Text),
    ];
    let client = Client::new(Connection::find(args)?)?;
    let rotate = "/api/v1/authority/rotate";
    let (answer, output) = match command {
        AuthorityCommand::Status(asked) => (client.get("/api/v1/authority").await?, asked.output),
        AuthorityCommand::Rotate(asked) => (client.post(rotate, &json!({})).await?, asked.output),
        AuthorityCommand::Finish { force, list } => {
            (client.post(rotate, &json!({ "finish": true, "force": force })).await?, list.output)
        }
    };
    list(&flat(json!([answer]), &["names"], output), columns(COLUMNS), output, style)
}

/// Join tokens.
pub(crate) async fn token(args: &ConnectionArgs, command: TokenCommand, style: Style) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { uses, ttl, comment, group, networks, approval, output } => {
            let ttl = when::parse_duration(&ttl)?.as_secs();
            let client = Client::new(Connection::find(args)?)?;
            let mut question = json!({ "uses": uses, "ttl_seconds": ttl, "comment": comment });
            // What is not asked for is not said, so that an older server understands it.
            if let Some(group) = group {
                question["group"] = group.into();
            }
            if !networks.is_empty() {
                question["networks"] = networks.into();
            }
            if approval {
                question["approval"] = true.into();
            }
            made(&client.post("/api/v1/tokens", &question).await?, output)
        }
        TokenCommand::List { output } => {
            let client = Client::new(Connection::find(args)?)?;
            let answer = client.get("/api/v1/tokens").await?;
            list(&flat(answer, &["networks"], output), columns(TOKENS), output, style)
        }
        TokenCommand::Revoke { id } => {
            let client = Client::new(Connection::find(args)?)?;
            client.post("/api/v1/tokens/revoke", &json!({ "id": id })).await.map(drop)
        }
    }
}

fn made(answer: &Value, output: Format) -> Result<(), Failure> {
    let token = answer["token"].as_str().ok_or_else(|| anyhow!("the answer holds no token"))?;
    let token = for_terminal(token);
    let mut out = io::stdout();
    match output {
        Format::Table => writeln!(out, "{token}")?,
        Format::Csv => write!(out, "token\r\n{token}\r\n")?,
        Format::Json | Format::Ndjson => {
            writeln!(out, "{}", json!({ "token": token, "id": answer["id"] }))?;
        }
    }
    Ok(())
}
