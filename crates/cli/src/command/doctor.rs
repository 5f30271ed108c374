//! Is the server reached, and is all well there? Each line says what was tried; what is wrong says what to do.

use super::bundle::bundle;
use crate::{
    args::{ConnectionArgs, DoctorArgs},
    client::Client,
    connection::Connection,
    contexts::Contexts,
    escape::for_terminal,
    failure::Failure,
    render::Style,
};
use anyhow::anyhow;
use serde_json::Value;
use std::io::{self, Write as _};

/// What was found, and whether that is well.
struct Report {
    out: io::Stdout,
    colour: bool,
    bad: u32,
}

impl Report {
    fn line(&mut self, word: &str, code: &str, text: &str) -> Result<(), Failure> {
        let word = if self.colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
        Ok(writeln!(self.out, "{word} {}", for_terminal(text))?)
    }

    fn ok(&mut self, text: &str) -> Result<(), Failure> {
        self.line("ok  ", "32", text)
    }

    fn warn(&mut self, text: &str) -> Result<(), Failure> {
        self.line("note", "33", text)
    }

    fn bad(&mut self, text: &str) -> Result<(), Failure> {
        self.bad += 1;
        self.line("bad ", "31", text)
    }
}

pub(crate) async fn doctor(args: &ConnectionArgs, doctor: DoctorArgs, style: Style) -> Result<(), Failure> {
    let examined = examine(args, style).await;
    if let Some(to) = &doctor.bundle {
        let client = Connection::find(args).and_then(Client::new).ok();
        bundle(args, client.as_ref(), &doctor.config, to).await?;
    }
    examined
}

async fn examine(args: &ConnectionArgs, style: Style) -> Result<(), Failure> {
    let mut report = Report { out: io::stdout(), colour: style.colour_stdout, bad: 0 };
    let current = Contexts::find().and_then(|contexts| contexts.current());
    match (&args.server, args.context.as_ref().or(current.as_ref())) {
        (Some(server), _) => report.ok(&format!("asks {server}, as it was told"))?,
        (None, Some(name)) if args.dir.is_none() => {
            report.ok(&format!("asks the server of the context {name}"))?
        }
        _ => report.ok("asks the server of this machine")?,
    }
    let connection = Connection::find(args)?;
    report.ok(&format!("address {}", connection.address.authority()))?;
    match &connection.token {
        Some(_) => report.ok("has a token")?,
        None => report.bad("has no token: give --token-file, or `bartizan login`")?,
    }
    let client = Client::new(connection)?;
    let health = client.get("/api/v1/health").await?;
    let version = health["version"].as_str().unwrap_or_default();
    report.ok(&format!("the server answers, version {version}"))?;
    let ours = env!("CARGO_PKG_VERSION");
    if version != ours {
        report.warn(&format!("this program is version {ours}: some commands may not fit the server"))?;
    }
    hosts(&mut report, &client.get("/api/v1/hosts").await?)?;
    lake(&mut report, &client).await?;
    // Who sees a part of the fleet only may not ask that.
    if let Ok(metrics) = client.text("/api/v1/metrics").await {
        walls(&mut report, &metrics)?;
    }
    match report.bad {
        0 => Ok(()),
        n => Err(anyhow!("{n} of these are bad").into()),
    }
}

fn hosts(report: &mut Report, hosts: &Value) -> Result<(), Failure> {
    report.ok("the token is accepted")?;
    let hosts = hosts.as_array().map(Vec::as_slice).unwrap_or_default();
    let state = |state: &str| hosts.iter().filter(|host| host["state"] == state).count();
    let text = format!("{} hosts, {} online", hosts.len(), state("online"));
    if hosts.is_empty() {
        report.warn("no host reports yet: `bartizan token create`, then `bartizan-agent enrol` on one")?;
    } else {
        report.ok(&text)?;
    }
    let named = |state: &str| -> Vec<&str> {
        hosts
            .iter()
            .filter(|host| host["state"] == state)
            .filter_map(|host| host["name"].as_str())
            .take(5)
            .collect()
    };
    if state("offline") > 0 {
        report.warn(&format!("{} offline: {} …", state("offline"), named("offline").join(", ")))?;
    }
    let lost: u64 = hosts.iter().filter_map(|host| host["lost"].as_u64()).sum();
    if lost > 0 {
        report.warn(&format!("{lost} rows are on the ledger: `bartizan losses --sum` says where and why"))?;
    }
    Ok(())
}

async fn lake(report: &mut Report, client: &Client) -> Result<(), Failure> {
    let lake = client.get("/api/v1/lake").await?;
    let tables = lake["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |member: &str| -> u64 { tables.iter().filter_map(|table| table[member].as_u64()).sum() };
    let (rows, files) = (sum("rows").saturating_add(sum("hot_rows")), sum("files"));
    report
        .ok(&format!("the lake has {rows} rows in {files} files; `bartizan lake verify` reads them all"))?;
    Ok(())
}

/// Whether the server is shut in, as its metrics say.
fn walls(report: &mut Report, metrics: &str) -> Result<(), Failure> {
    let parts: Vec<(&str, bool)> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("bartizan_sandbox{part=\"")?.split_once("\"} "))
        .map(|(part, holds)| (part, holds == "1"))
        .collect();
    let open: Vec<&str> = parts.iter().filter(|(_, holds)| !holds).map(|(part, _)| *part).collect();
    match (parts.len(), open.len()) {
        (0, _) => report.warn("the server does not say whether it is shut in: it is of another version"),
        (_, 0) => report.ok("the server is shut in: it reads and writes what its configuration needs"),
        _ => report.warn(&format!(
            "the server is not shut in by {}: its log says why at the start",
            open.join(", ")
        )),
    }
}
