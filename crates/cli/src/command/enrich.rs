//! `bartizan enrich`: what is known of addresses.

use super::ask::list;
use crate::args::{ConnectionArgs, EnrichCommand};
use crate::client::Client;
use crate::columns::{Column, Look};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::render::{Format, Style};
use serde_json::{Value, json};

const FILES: &[(&str, Look)] = &[
    ("file", Look::Text),
    ("kind", Look::Text),
    ("date", Look::Time),
    ("loaded", Look::Time),
    ("ranges", Look::Number),
    ("skipped", Look::Number),
    ("countries", Look::Text),
    ("systems", Look::Text),
    ("problem", Look::Text),
];
const SETS: &[(&str, Look)] = &[("name", Look::Text), ("ranges", Look::Number), ("problem", Look::Text)];
const FOUND: &[(&str, Look)] = &[
    ("address", Look::Text),
    ("country", Look::Text),
    ("asn", Look::Number),
    ("as_name", Look::Text),
    ("sets", Look::Text),
];

pub(crate) async fn enrich(
    args: &ConnectionArgs,
    command: EnrichCommand,
    style: Style,
) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    let columns = |names: &[(&str, Look)]| -> Vec<Column> {
        names.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect()
    };
    match command {
        EnrichCommand::Status(asked) => {
            let answer = client.get("/api/v1/enrich").await?;
            list(&answer["files"], columns(FILES), asked.output, style)
        }
        EnrichCommand::Sets(asked) => {
            let answer = client.get("/api/v1/enrich").await?;
            list(&answer["sets"], columns(SETS), asked.output, style)
        }
        EnrichCommand::Lookup { addresses, output } => {
            let question = json!({ "addresses": addresses });
            let mut answer = client.post("/api/v1/enrich/lookup", &question).await?;
            if matches!(output, Format::Table | Format::Csv) {
                in_one_cell(&mut answer);
            }
            list(&answer, columns(FOUND), output, style)
        }
    }
}

/// The sets of an address as one text.
fn in_one_cell(answer: &mut Value) {
    for found in answer.as_array_mut().into_iter().flatten() {
        let sets = found["sets"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let sets = sets.map(|name| format!("@{name}")).collect::<Vec<_>>().join(" ");
        found["sets"] = if sets.is_empty() { Value::Null } else { sets.into() };
    }
}
