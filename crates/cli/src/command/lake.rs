//! `bartizan lake`: work on the lake of a running server.

use crate::args::ConnectionArgs;
use crate::args::{LakeCommand, Output};
use crate::client::Client;
use crate::clock;
use crate::columns::{Column, Look};
use crate::connection::Connection;
use crate::escape::for_terminal;
use crate::failure::{Failure, talk};
use crate::render::{Rows, Style};
use crate::stream::Lines;
use anyhow::anyhow;
use serde_json::{Value, json};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

/// Columns of an answer.
pub(super) type Shown = &'static [(&'static str, Look)];

const STATUS: Shown = &[
    ("table", Look::Text),
    ("rows", Look::Number),
    ("hot_rows", Look::Number),
    ("files", Look::Number),
    ("bytes", Look::Number),
    ("bytes_per_row", Look::Number),
    ("removed", Look::Number),
    ("version", Look::Number),
];
const PROBLEMS: Shown =
    &[("table", Look::Text), ("problem", Look::Text), ("file", Look::Text), ("detail", Look::Text)];
const COMPACT: Shown = &[
    ("table", Look::Text),
    ("shape", Look::Text),
    ("files", Look::Number),
    ("rows", Look::Number),
    ("bytes", Look::Number),
    ("bytes_after", Look::Number),
];
const VACUUM: Shown = &[
    ("table", Look::Text),
    ("removed_files", Look::Number),
    ("data_files", Look::Number),
    ("log_files", Look::Number),
    ("bytes", Look::Number),
    ("waiting", Look::Number),
];

const RETAIN: Shown = &[
    ("table", Look::Text),
    ("rows", Look::Number),
    ("of", Look::Number),
    ("bytes", Look::Number),
    ("why", Look::Text),
    ("file", Look::Text),
];
const ERASE: Shown = &[
    ("table", Look::Text),
    ("rows", Look::Number),
    ("of", Look::Number),
    ("held", Look::Number),
    ("file", Look::Text),
    ("checksum", Look::Text),
    ("replaced_by", Look::Text),
    ("checksum_after", Look::Text),
];
const ERASURES: Shown = &[
    ("erasure", Look::Number),
    ("at", Look::Time),
    ("deleted", Look::Time),
    ("addresses", Look::Number),
    ("rows", Look::Number),
    ("held", Look::Number),
    ("reason", Look::Text),
];
const HOLDS: Shown = &[
    ("name", Look::Text),
    ("table", Look::Text),
    ("filter", Look::Text),
    ("created", Look::Time),
    ("comment", Look::Text),
];

pub(crate) async fn lake(args: &ConnectionArgs, command: LakeCommand, style: Style) -> Result<(), Failure> {
    if let LakeCommand::Verify { stopped: true, quick, output, .. } = &command {
        return verify_stopped(args, *quick, *output, style).await;
    }
    let client = Client::new(Connection::find(args)?)?;
    let asker = Asker { client, style };
    match command {
        LakeCommand::Status(output) => {
            let answer = asker.client.get("/api/v1/lake").await?;
            super::ask::list(&answer["tables"], columns(STATUS), output.output, style)?;
            if let Some(doing) = answer["doing"].as_str() {
                talk(&format!("-- {} is being done --", for_terminal(doing)));
            }
            Ok(())
        }
        LakeCommand::Verify { quick, repair, output, .. } => {
            let question = json!({ "quick": quick, "repair": repair });
            asker.work("verify", &question, PROBLEMS, output).await.map(drop)
        }
        LakeCommand::Compact(output) => asker.work("compact", &json!({}), COMPACT, output).await.map(drop),
        LakeCommand::Vacuum { dry_run, output } => {
            asker.work("vacuum", &json!({ "dry_run": dry_run }), VACUUM, output).await.map(drop)
        }
        LakeCommand::Retain { dry_run, output } => {
            asker.work("retain", &json!({ "dry_run": dry_run }), RETAIN, output).await.map(drop)
        }
        LakeCommand::Erase { addresses, reason, dry_run, output } => {
            let question = json!({ "addresses": addresses, "reason": reason, "dry_run": dry_run });
            asker.work("erase", &question, ERASE, output).await.map(drop)
        }
        LakeCommand::Erasures(output) => {
            let answer = asker.client.get("/api/v1/lake/erasures").await?;
            super::ask::list(&answer, columns(ERASURES), output.output, style)
        }
        LakeCommand::Hold { name, filter, table, comment } => {
            let question = json!({ "name": name, "filter": filter, "table": table, "comment": comment });
            let answer = asker.client.post("/api/v1/lake/holds", &question).await;
            answer.map(drop).map_err(|failure| crate::syntax::with_text(failure, &filter))
        }
        LakeCommand::Holds(output) => {
            let answer = asker.client.get("/api/v1/lake/holds").await?;
            super::ask::list(&answer, columns(HOLDS), output.output, style)
        }
        LakeCommand::Release { name } => {
            asker.client.post("/api/v1/lake/holds/release", &json!({ "name": name })).await.map(drop)
        }
    }
}

async fn verify_stopped(
    args: &ConnectionArgs,
    quick: bool,
    output: Output,
    style: Style,
) -> Result<(), Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| "/var/lib/bartizan".into());
    let problems = bartizan_server::verify_stopped(&dir, quick).await?;
    let mut rows = Vec::new();
    for (table, problem) in &problems {
        let mut row = serde_json::to_value(problem).map_err(|e| anyhow!(e))?;
        row["table"] = table.as_str().into();
        rows.push(row);
    }
    super::ask::list(&Value::Array(rows), columns(PROBLEMS), output.output, style)?;
    if problems.iter().all(|(_, problem)| problem.is_harmless()) {
        talk("-- the lake is as it should be --");
        return Ok(());
    }
    Err(Failure::Partial("the lake is not as it should be".into()))
}

fn columns(shown: Shown) -> Vec<Column> {
    shown.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect()
}

/// Who has work done.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) style: Style,
}

impl Asker {
    /// Has work done, and shows what comes of it; gives its end.
    pub(super) async fn work(
        &self,
        path: &str,
        question: &Value,
        shown: Shown,
        output: Output,
    ) -> Result<Value, Failure> {
        let response = self.client.post_stream(&format!("/api/v1/lake/{path}"), question).await?;
        let (_, zone) = clock::now();
        let out = BufWriter::new(io::stdout());
        let mut rows = Rows::new(output.output, columns(shown), self.style, zone, out);
        let end = each_line(response, |line| rows.line(line)).await;
        rows.finish()?;
        let end = end?;
        talk(&format!("-- {} --", for_terminal(&sums(&end))));
        match end["complete"].as_bool() {
            Some(true) => Ok(end),
            _ if !end["problem"].is_null() => {
                let detail = end["problem"]["detail"].as_str().unwrap_or("it does not say why");
                Err(Failure::Error(anyhow!("{}", detail.to_owned())))
            }
            _ => Err(Failure::Partial("the lake is not as it should be".into())),
        }
    }
}

/// Every item of an answer; its end.
async fn each_line(
    response: http::Response<hyper::body::Incoming>,
    mut take: impl FnMut(&str) -> io::Result<()>,
) -> Result<Value, Failure> {
    let mut lines = Lines::new(response.into_body(), super::ask::PATIENCE);
    let terminal = io::stderr().is_terminal();
    while let Some(line) = lines.next().await? {
        if line.starts_with("{\"end\"") {
            let mut value: Value = serde_json::from_str(&line)
                .map_err(|e| Failure::Error(anyhow!("the end of the answer: {e}")))?;
            return Ok(value["end"].take());
        }
        if !line.starts_with("{\"progress\"") {
            take(&line)?;
        } else if terminal {
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            let text = for_terminal(value["progress"].as_str().unwrap_or_default()).into_owned();
            let _ = write!(io::stderr(), "\r\x1b[K{text}\r");
        }
    }
    Err(Failure::Partial("the answer broke off; the work may go on".into()))
}

/// The sums of an end, in words.
fn sums(end: &Value) -> String {
    let sums =
        end.as_object().into_iter().flatten().filter(|(key, _)| *key != "complete" && *key != "problem");
    let sums: Vec<_> = sums
        .map(|(key, value)| match value {
            Value::String(text) => format!("{} {text}", key.replace('_', " ")),
            other => format!("{} {other}", key.replace('_', " ")),
        })
        .collect();
    sums.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_words() {
        let end = json!({ "complete": true, "files": 2, "taken_out": 0, "to": "/b" });
        assert_eq!(sums(&end), "files 2, taken out 0, to /b");
    }
}
