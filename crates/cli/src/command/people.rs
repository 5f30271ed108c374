//! Who may ask, and what was done.

use super::ask::{add_range, list};
use super::saved::{columns, too_old};
use crate::{
    args::ConnectionArgs,
    args::{AccessCommand, AuditArgs, AuditCommand, May, UsersCommand},
    client::Client,
    columns::Look,
    connection::Connection,
    escape::for_terminal,
    failure::{Failure, talk},
    render::{Format, Style},
};
use anyhow::anyhow;
use serde_json::{Value, json};
use std::io::{self, Write as _};

/// Adds what is said of a user or a token to a question.
fn add(question: &mut Value, May { role, scope, payload }: May) {
    for (name, value) in [
        ("role", role.map(Value::from)),
        ("scope", scope.map(Value::from)),
        ("payload", payload.map(Value::from)),
    ] {
        if let Some(value) = value {
            question[name] = value;
        }
    }
}

pub(crate) async fn users(args: &ConnectionArgs, command: UsersCommand, style: Style) -> Result<(), Failure> {
    let connection = Connection::find(args)?;
    let page = format!("https://{}", connection.address.authority());
    let client = Client::new(connection)?;
    let old = |failure| too_old(failure, "users");
    match command {
        UsersCommand::List(output) => {
            const COLUMNS: &[(&str, Look)] = &[
                ("name", Look::Text),
                ("role", Look::Text),
                ("scope", Look::Text),
                ("payload", Look::Text),
                ("totp", Look::Text),
                ("disabled", Look::Text),
                ("last_sign_in", Look::Time),
                ("invited_until", Look::Time),
                ("provider", Look::Text),
            ];
            let answer = client.get("/api/v1/users").await.map_err(old)?;
            list(&answer, columns(COLUMNS), output.output, style)
        }
        UsersCommand::Add { name, may } => {
            let mut question = json!({ "name": name });
            add(&mut question, may);
            if question["role"].is_null() {
                question["role"] = "viewer".into();
            }
            invited(&client.post("/api/v1/users", &question).await.map_err(old)?, &page)
        }
        UsersCommand::Change { name, may, disabled } => {
            let mut question = json!({ "name": name });
            add(&mut question, may);
            if let Some(disabled) = disabled {
                question["disabled"] = disabled.into();
            }
            client.post("/api/v1/users/change", &question).await.map(drop).map_err(old)
        }
        UsersCommand::Invite { name } => {
            let answer = client.post("/api/v1/users/invite", &json!({ "name": name })).await;
            invited(&answer.map_err(old)?, &page)
        }
        UsersCommand::Rm { name } => {
            client.post("/api/v1/users/delete", &json!({ "name": name })).await.map(drop).map_err(old)
        }
    }
}

/// The link alone on stdout, so that a script can send it.
fn invited(answer: &Value, page: &str) -> Result<(), Failure> {
    let text = |member: &str| answer[member].as_str().ok_or_else(|| anyhow!("the answer has no {member}"));
    talk(&format!(
        "-- give this to {}: it is good once, until {} --",
        for_terminal(text("name")?),
        for_terminal(text("until")?)
    ));
    Ok(writeln!(io::stdout(), "{page}/#/invitation?code={}", for_terminal(text("code")?))?)
}

pub(crate) async fn access(
    args: &ConnectionArgs,
    command: AccessCommand,
    style: Style,
) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    let old = |failure| too_old(failure, "access");
    match command {
        AccessCommand::List(output) => {
            const COLUMNS: &[(&str, Look)] = &[
                ("name", Look::Text),
                ("user", Look::Text),
                ("role", Look::Text),
                ("scope", Look::Text),
                ("payload", Look::Text),
                ("created", Look::Time),
                ("expires", Look::Time),
                ("used", Look::Time),
                ("comment", Look::Text),
            ];
            let answer = client.get("/api/v1/access").await.map_err(old)?;
            list(&answer, columns(COLUMNS), output.output, style)
        }
        AccessCommand::Make { name, may, service, days, comment } => {
            let mut question = json!({ "name": name, "service": service, "comment": comment });
            add(&mut question, may);
            if let Some(days) = days {
                question["days"] = days.into();
            }
            let answer = client.post("/api/v1/access", &question).await.map_err(old)?;
            let token = answer["token"].as_str().ok_or_else(|| anyhow!("the answer holds no token"))?;
            Ok(writeln!(io::stdout(), "{}", for_terminal(token))?)
        }
        AccessCommand::Revoke { name } => {
            client.post("/api/v1/access/revoke", &json!({ "name": name })).await.map(drop).map_err(old)
        }
    }
}

pub(crate) async fn audit(args: &ConnectionArgs, command: AuditCommand, style: Style) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    let old = |failure| too_old(failure, "audit");
    match command {
        AuditCommand::List(AuditArgs { range, who, what, limit, output }) => {
            const COLUMNS: &[(&str, Look)] = &[
                ("id", Look::Number),
                ("at", Look::Time),
                ("who", Look::Text),
                ("address", Look::Text),
                ("what", Look::Text),
                ("about", Look::Text),
                ("old", Look::Text),
                ("new", Look::Text),
            ];
            let mut question = json!({ "limit": limit });
            add_range(&mut question, &range)?;
            for (name, value) in [("who", who), ("what", what)] {
                if let Some(value) = value {
                    question[name] = value.into();
                }
            }
            let mut answer = client.post("/api/v1/audit", &question).await.map_err(old)?;
            if answer["more"] == true {
                talk("-- there are older ones: say more with -n, or --until --");
            }
            let mut entries = answer["entries"].take();
            if matches!(output, Format::Table | Format::Csv) {
                entries.as_array_mut().into_iter().flatten().for_each(in_cells);
            }
            list(&entries, columns(COLUMNS), output, style)
        }
        AuditCommand::Verify => {
            let answer = client.post("/api/v1/audit/verify", &json!({})).await.map_err(old)?;
            let head = for_terminal(answer["head"].as_str().unwrap_or_default()).into_owned();
            if answer["whole"] == true {
                return Ok(writeln!(
                    io::stdout(),
                    "{} entries, all whole; the last has the hash {head}",
                    answer["entries"]
                )?);
            }
            let text = format!(
                "entry {} is missing or was changed; {} before it are whole, the last of them has the hash {head}",
                answer["broken_at"], answer["entries"]
            );
            Err(Failure::Partial(text))
        }
    }
}

/// Objects as texts.
fn in_cells(entry: &mut Value) {
    for member in ["about", "old", "new"] {
        if entry[member].is_object() || entry[member].is_array() {
            entry[member] = entry[member].to_string().into();
        }
    }
}
