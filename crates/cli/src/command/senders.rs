//! Commands about senders without an agent: senders, unparsed.

use super::ask::{add_range, list};
use crate::{
    args::{ConnectionArgs, HostsArgs, UnparsedArgs},
    client::Client,
    columns::{Column, Look},
    connection::Connection,
    failure::{Failure, talk},
    render::Style,
    syntax,
};
use bartizan_model::Kind;
use serde_json::json;

fn columns(names: &[(&str, Look)]) -> Vec<Column> {
    names.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect()
}

/// Who delivers what.
pub(crate) async fn senders(args: &ConnectionArgs, asked: &HostsArgs, style: Style) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("host", Look::Text),
        ("sender", Look::Text),
        ("source", Look::Text),
        ("messages", Look::Number),
        ("rows", Look::Number),
        ("unparsed", Look::Number),
        ("other", Look::Number),
        ("kept", Look::Number),
        ("cut", Look::Number),
        ("over", Look::Number),
        ("first_seen", Look::Time),
        ("last_seen", Look::Time),
    ];
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.get("/api/v1/senders").await?;
    list(&answer, columns(COLUMNS), asked.output, style)
}

/// What was not fully understood.
pub(crate) async fn unparsed(
    args: &ConnectionArgs,
    asked: UnparsedArgs,
    style: Style,
) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("host", Look::Text),
        ("sender", Look::Text),
        ("events", Look::Number),
        ("first", Look::Time),
        ("last", Look::Time),
        ("shape", Look::Text),
        ("example", Look::Text),
        ("id", Look::Text),
    ];
    syntax::check_before_asking(Kind::Events, &asked.filter)?;
    let mut question = json!({ "filter": asked.filter, "limit": asked.limit });
    add_range(&mut question, &asked.range)?;
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.post("/api/v1/unparsed", &question).await;
    let answer = answer.map_err(|failure| syntax::with_text(failure, &asked.filter))?;
    list(&answer["groups"], columns(COLUMNS), asked.output, style)?;
    match answer["more"].as_u64() {
        Some(more) if more > 0 => talk(&format!("-- and {more} events of other shapes --")),
        _ => {}
    }
    if answer["complete"] == false {
        talk("-- only the newest events were looked at: ask for a shorter time with --since --");
    }
    Ok(())
}
