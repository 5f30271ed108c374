//! `bartizan backup` and `restore`: all of a server, to a folder and back.

use super::lake::{Asker, Shown};
use crate::args::{BackupArgs, ConnectionArgs, RestoreArgs};
use crate::client::Client;
use crate::columns::Look;
use crate::connection::Connection;
use crate::escape::for_terminal;
use crate::failure::{Failure, talk};
use crate::render::Style;
use bartizan_lake::Manifest;
use jiff::Timestamp;
use serde_json::json;
use std::io::{self, Write as _};
use std::path::Path;

const BACKUP: Shown = &[
    ("table", Look::Text),
    ("version", Look::Number),
    ("files", Look::Number),
    ("rows", Look::Number),
    ("damaged", Look::Number),
];

pub(crate) async fn backup(args: &ConnectionArgs, backup: BackupArgs, style: Style) -> Result<(), Failure> {
    let to = std::path::absolute(&backup.to)?;
    let asker = Asker { client: Client::new(Connection::find(args)?)?, style };
    asker.work("backup", &json!({ "to": to }), BACKUP, backup.output).await.map(drop)
}

pub(crate) async fn restore(args: RestoreArgs) -> Result<(), Failure> {
    match args.to {
        Some(to) => bring_back(&args.from, &to).await,
        None => check(&args.from).await,
    }
}

async fn check(from: &Path) -> Result<(), Failure> {
    let (manifest, wrong) = bartizan_server::check_backup(from).await?;
    tables(&manifest)?;
    if wrong.is_empty() {
        talk(&format!("-- {} files, each as it was written --", manifest.files.len()));
        return Ok(());
    }
    for name in &wrong {
        talk(&format!("missing or damaged: {}", for_terminal(name)));
    }
    Err(Failure::Partial(format!(
        "{} of {} files are not what was written",
        wrong.len(),
        manifest.files.len()
    )))
}

async fn bring_back(from: &Path, to: &Path) -> Result<(), Failure> {
    let restored = bartizan_server::restore_backup(from, to).await?;
    let rows: u64 = restored.manifest.tables.values().map(|table| table.rows).sum();
    talk(&format!(
        "-- {} files, {rows} rows: every file and every row is verified --",
        restored.manifest.files.len()
    ));
    tables(&restored.manifest)?;
    if restored.manifest.beside().any(|name| name.starts_with("config/")) {
        talk(&format!("-- its configuration is in {} --", to.join("config").display()));
    }
    if restored.problems.is_empty() {
        return Ok(());
    }
    for problem in &restored.problems {
        talk(&for_terminal(&problem.to_string()));
    }
    Err(Failure::Partial("the lake was damaged already when the backup was made".into()))
}

/// As of when it is, and what it has.
fn tables(manifest: &Manifest) -> Result<(), Failure> {
    let made = Timestamp::from_microsecond(manifest.made).unwrap_or(Timestamp::UNIX_EPOCH);
    talk(&format!("-- as of {made}, by {} --", for_terminal(&manifest.engine)));
    let mut out = io::stdout();
    for (table, copy) in &manifest.tables {
        writeln!(out, "{table}: {} rows as of entry {}", copy.rows, copy.version)?;
    }
    Ok(())
}
