//! `status`: a running agent's own account, through a socket in its directory.
//!
//! ```text
//! DIR/status.sock: whoever connects is sent one JSON document, and the connection ends
//! ```
//! A socket and not a file: it works on a disk that is full or read-only, and costs nothing while nobody asks.

use anyhow::Context as _;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;

const SOCKET: &str = "status.sock";
/// How long one who asks may take to read.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to make the socket, on a disk that does not work.
const AGAIN: Duration = Duration::from_secs(10);

/// Answers whoever asks, for ever.
pub(crate) async fn serve(dir: &Path, tell: impl Fn() -> Value) {
    let path = dir.join(SOCKET);
    let mut said = false;
    let listener = loop {
        match listen(&path) {
            Ok(listener) => break listener,
            Err(error) if !said => {
                tracing::warn!(%error, path = %path.display(), "`bartizan-agent status` cannot be answered");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    };
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            // no more descriptors, perhaps; not in a circle without a rest
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let text = format!("{:#}\n", tell());
        drop(tokio::time::timeout(PATIENCE, stream.write_all(text.as_bytes())).await);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // one that a killed agent left; the lock says that nobody listens on it
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// No agent answers.
#[derive(Debug, thiserror::Error)]
#[error("no agent runs on {dir}")]
pub struct NotRunning {
    dir: String,
}

/// What the agent that runs on a directory says of itself.
///
/// # Errors
/// [`NotRunning`], and whatever keeps this from reading the answer.
pub fn ask(dir: &Path) -> anyhow::Result<Value> {
    let mut stream = match UnixStream::connect(dir.join(SOCKET)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(NotRunning { dir: dir.display().to_string() }.into());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot ask the agent on {}", dir.display()));
        }
    };
    stream.set_read_timeout(Some(PATIENCE * 3))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("the agent does not answer")?;
    serde_json::from_str(&text).context("the agent's answer is no JSON")
}

/// For people.
#[must_use]
pub fn table(status: &Value) -> String {
    let mut out = String::new();
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key:<14} {value}");
    };
    let (connection, spool, process) = (&status["connection"], &status["spool"], &status["process"]);
    line("agent", format!("{} (process {})", text(&status["version"]), text(&status["pid"])));
    let state = format!("{}, {}", text(&connection["state"]), text(&connection["server"]));
    match &connection["error"] {
        Value::String(error) => line("connection", format!("{state}: {error}")),
        _ => line("connection", format!("{state}, since {}", text(&connection["since"]))),
    }
    let certificate = &status["certificate"];
    line("certificate", format!("{}, until {}", text(&certificate["host"]), text(&certificate["not_after"])));
    let configuration = &status["configuration"];
    line(
        "configuration",
        format!("of {}, reloaded {} times", text(&configuration["loaded"]), text(&configuration["reloads"])),
    );
    if let Value::String(error) = &configuration["error"] {
        line("", format!("the newest was refused: {error}"));
    }
    for key in configuration["after_restart"].as_array().into_iter().flatten() {
        line("", format!("{} counts after a restart", text(key)));
    }
    let central = &configuration["central"];
    let list = |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(text).collect() };
    let versions = list(&central["versions"]);
    if !versions.is_empty() {
        let trial = if central["on_trial"] == true { ", on trial" } else { "" };
        line("of the server", format!("version {}{trial}", versions.join(", ")));
    }
    for key in list(&central["held"]) {
        line("", format!("{key} is held by this host, whatever the server says"));
    }
    if let Value::String(why) = &central["refused"]["why"] {
        let versions = list(&central["refused"]["versions"]).join(", ");
        line("", format!("version {versions} of the server was refused: {why}"));
    }
    for source in status["sources"].as_array().into_iter().flatten() {
        let netns =
            source["netns"].as_str().filter(|n| !n.is_empty()).map_or(String::new(), |n| format!(" in {n}"));
        let what = format!(
            "{}{netns}: {}, {} events, {}/s, {} lost, last {}",
            text(&source["source"]),
            text(&source["state"]),
            text(&source["events"]),
            text(&source["rate"]),
            text(&source["lost"]),
            text(&source["last_event"]),
        );
        line("source", what);
    }
    line(
        "spool",
        format!("{}, {} of {} bytes", text(&spool["state"]), text(&spool["bytes"]), text(&spool["budget"])),
    );
    if let Value::String(error) = &spool["error"] {
        line("", error.clone());
    }
    for lane in spool["lanes"].as_array().into_iter().flatten() {
        let what = format!(
            "{}: {} records, {} bytes, oldest {} s",
            text(&lane["lane"]),
            text(&lane["records"]),
            text(&lane["bytes"]),
            text(&lane["oldest_seconds"]),
        );
        line("lane", what);
    }
    for loss in status["losses"].as_array().into_iter().flatten() {
        let what = format!(
            "{} {} ({}, {})",
            text(&loss["count"]),
            text(&loss["kind"]),
            text(&loss["stage"]),
            text(&loss["reason"])
        );
        line("lost", what);
    }
    let sandbox = &status["sandbox"];
    line("sandbox", format!("uid {}, landlock {}", text(&sandbox["uid"]), text(&sandbox["landlock"])));
    for gap in sandbox["gaps"].as_array().into_iter().flatten() {
        line("", text(gap));
    }
    if let Value::String(why) = &status["progress"] {
        line("no progress", why.clone());
    }
    let memory =
        process["rss_bytes"].as_u64().map_or_else(|| "-".to_owned(), |b| format!("{:.1} MB", b as f64 / 1e6));
    line("process", format!("{memory}, {} CPU seconds", text(&process["cpu_seconds"])));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn one_who_asks_is_told_and_one_who_asks_nobody_too() {
        let dir = tempfile::tempdir().unwrap();
        let asking = |dir: std::path::PathBuf| tokio::task::spawn_blocking(move || ask(&dir));
        let nobody = asking(dir.path().to_owned()).await.unwrap().unwrap_err();
        assert!(nobody.is::<NotRunning>());
        let path = dir.path().to_owned();
        let serving = tokio::spawn(async move { serve(&path, || json!({ "pid": 7 })).await });
        let mut told = asking(dir.path().to_owned()).await.unwrap();
        while told.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            told = asking(dir.path().to_owned()).await.unwrap();
        }
        assert_eq!(told.unwrap()["pid"], 7);
        serving.abort();
    }

    #[test]
    fn the_table_says_what_is_wrong() {
        let status = json!({
            "connection": { "state": "not connected", "error": "refused" },
            "configuration": {
                "error": "agent.toml:3: no",
                "after_restart": ["dir"],
                "central": {
                    "versions": [3, 7],
                    "on_trial": true,
                    "held": ["groups"],
                    "refused": { "versions": [8], "why": "too much" },
                },
            },
            "spool": { "state": "degraded", "error": "read-only" },
            "losses": [{ "count": 3, "kind": "events", "stage": "kernel", "reason": "sequence gap" }],
        });
        let table = table(&status);
        for part in [
            "not connected, -: refused",
            "agent.toml:3: no",
            "dir counts after",
            "version 3, 7, on trial",
            "groups is held by this host",
            "version 8 of the server was refused: too much",
            "degraded",
            "read-only",
            "3 events (kernel, sequence gap)",
        ] {
            assert!(table.contains(part), "{part:?} is not in\n{table}");
        }
    }
}
