//! `bartizan doctor --bundle FILE`: what somebody who helps has to know, in one file that can be given away.
//!
//! No event is in it, no filter of a question, and no secret: of the configuration every value whose key sounds like
//! one, and what stands before the `@` of an address, is left out. Names and addresses of hosts are in it, because what
//! is wrong mostly has a host. A part that cannot be had says why, so that a bundle can be made of whatever is left.

use crate::args::ConnectionArgs;
use crate::client::Client;
use crate::clock;
use crate::connection::Connection;
use crate::failure::{Failure, talk};
use anyhow::Context as _;
use bartizan_config::load_program;
use serde_json::{Map, Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Documents of the server, each under its name.
const DOCUMENTS: &[(&str, &str)] = &[
    ("server", "/api/v1/health"),
    ("hosts", "/api/v1/hosts"),
    ("lake", "/api/v1/lake"),
    ("senders", "/api/v1/senders"),
    ("authority", "/api/v1/authority"),
    ("enrich", "/api/v1/enrich"),
];
/// What a key sounds like whose value is for nobody else.
const SECRETS: &[&str] = &["password", "secret", "token", "credential", "key"];
/// What stands in the place of what is left out.
const LEFT_OUT: &str = "(left out)";

/// Makes a bundle; the file must not be there yet.
pub(super) async fn bundle(
    args: &ConnectionArgs,
    client: Option<&Client>,
    config: &Path,
    to: &Path,
) -> Result<(), Failure> {
    let mut bundle = Map::new();
    bundle.insert("made".to_owned(), clock::now().0.to_string().into());
    bundle.insert("program".to_owned(), json!({ "version": env!("CARGO_PKG_VERSION"), "system": system() }));
    bundle.insert("configuration".to_owned(), configuration(config));
    if let Ok(connection) = Connection::find(args) {
        bundle.insert("address".to_owned(), connection.address.authority().as_str().into());
    }
    if let Some(client) = client {
        for (name, path) in DOCUMENTS {
            bundle.insert((*name).to_owned(), part(client.get(path).await));
        }
        bundle.insert("losses".to_owned(), part(client.post("/api/v1/ledger", &json!({})).await));
        bundle.insert("metrics".to_owned(), part(client.text("/api/v1/metrics").await.map(Value::from)));
    }
    let text = serde_json::to_string_pretty(&bundle).context("write a bundle")?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    file.and_then(|mut file| writeln!(file, "{text}"))
        .with_context(|| format!("cannot make {}", to.display()))?;
    talk(&format!(
        "-- {} has no event and no secret in it; look through it before you give it away --",
        to.display()
    ));
    Ok(())
}

/// A part, or why it is not there.
fn part(answer: Result<Value, Failure>) -> Value {
    answer.unwrap_or_else(|failure| json!({ "problem": failure.text() }))
}

/// Kernel and distribution.
fn system() -> Value {
    let first = |path: &str| std::fs::read_to_string(path).ok();
    let release = first("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({ "kernel": first("/proc/version").map(|v| v.trim().to_owned()), "name": name.map(|n| n.trim_matches('"')) })
}

/// The configuration of the server of this machine, without what is secret.
fn configuration(path: &Path) -> Value {
    match load_program::<Value>(None, path, "BARTIZAN_", &[]) {
        Ok(mut value) => {
            leave_out(&mut value);
            value
        }
        Err(error) => json!({ "problem": error.to_string() }),
    }
}

/// Leaves out what is secret or might be.
fn leave_out(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.to_ascii_lowercase();
                if SECRETS.iter().any(|secret| key.contains(secret)) && !key.ends_with("_file") {
                    *member = LEFT_OUT.into();
                } else {
                    leave_out(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        Value::String(text) => {
            if let Some((scheme, rest)) = text.split_once("://")
                && let Some((_, place)) = rest.rsplit_once('@')
            {
                *text = format!("{scheme}://{LEFT_OUT}@{place}");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_left_out_and_the_rest_is_there() {
        let mut value = json!({
            "dir": "/var/lib/bartizan",
            "lake": { "url": "s3://bucket/x", "credentials": "/etc/s3" },
            "sink": [
                { "url": "postgres://me:hunter2@db/x", "password_file": "/run/pw", "password": "hunter2" },
                { "url": "postgres://a@b:hunter2@db/x", "api_key": ["hunter2"], "rows": 5 },
            ],
        });
        leave_out(&mut value);
        let text = value.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        for there in ["/var/lib/bartizan", "s3://bucket/x", "@db/x", "/run/pw", "\"rows\":5"] {
            assert!(text.contains(there), "{there}: {text}");
        }
    }

    #[test]
    fn a_configuration_that_is_wrong_is_a_problem_and_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.toml");
        std::fs::write(&path, "dir = \"/x\"\n[lake]\ncredentials = \"hunter2\"\n").unwrap();
        let value = configuration(&path);
        assert_eq!((&value["dir"], &value["lake"]["credentials"]), (&"/x".into(), &LEFT_OUT.into()));
        std::fs::write(&path, "dir = ").unwrap();
        assert!(configuration(&path)["problem"].is_string());
    }
}
