//! `bartizan imports`: what was imported.

use crate::args::{ConnectionArgs, HostsArgs};
use crate::client::Client;
use crate::columns::{Column, Look};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::render::Style;
use serde_json::Value;

const COLUMNS: &[(&str, Look)] = &[
    ("name", Look::Text),
    ("format", Look::Text),
    ("state", Look::Text),
    ("rows", Look::Number),
    ("unparsed", Look::Number),
    ("records", Look::Number),
    ("started", Look::Time),
    ("touched", Look::Time),
    ("finished", Look::Time),
    ("position", Look::Number),
    ("import", Look::Text),
];

pub(crate) async fn imports(args: &ConnectionArgs, imports: &HostsArgs, style: Style) -> Result<(), Failure> {
    let client = Client::new(Connection::find(args)?)?;
    let mut answer = client.get("/api/v1/imports").await?;
    for import in answer.as_array_mut().into_iter().flatten() {
        for name in ["rows", "unparsed", "records"] {
            import[name] = import["totals"].get(name).cloned().unwrap_or(Value::Null);
        }
    }
    let columns = COLUMNS.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect();
    super::ask::list(&answer, columns, imports.output, style)
}
