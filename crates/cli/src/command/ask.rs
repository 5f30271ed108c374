//! Commands that ask once: search, count, top, hosts, losses, token.

use crate::{
    args::{ConnectionArgs, HostsArgs, LossesArgs, RangeArgs, SearchArgs, TailArgs, TokenCommand},
    client::Client,
    clock,
    columns::{self, Column, EVENTS_SHOWN, LOSSES_SHOWN, Look},
    connection::Connection,
    failure::{Failure, talk},
    render::{Format, Rows, Style},
    stream::{Lines, Piece, next_piece},
    syntax, when,
};
use anyhow::anyhow;
use bartizan_model::Kind;
use serde_json::{Value, json};
use std::{
    io::{self, BufWriter, Write as _},
    time::Duration,
};

/// How long a search may go without a row.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most rows that the server gives at once.
const ALL: u64 = 100_000_000;

pub(crate) async fn search(args: &ConnectionArgs, search: SearchArgs, style: Style) -> Result<(), Failure> {
    if search.follow {
        let SearchArgs { filter, output, columns, .. } = search;
        return super::tail(args, TailArgs { filter, output, columns, limit: 0 }, style).await;
    }
    syntax::check_before_asking(&search.filter)?;
    let mut question = json!({ "filter": search.filter });
    add_range(&mut question, &search.range)?;
    let by = columns::wanted(&search.by)?;
    let named = columns::wanted(&search.columns)?;
    let client = Client::new(Connection::find(args)?)?;
    let done = if search.count {
        count(&client, &question, search.output).await
    } else if by.is_empty() {
        rows_of_events(&client, question, named, &search, style).await
    } else {
        question["by"] = by.iter().map(|c| c.name.as_str()).collect();
        question["limit"] = search.top.into();
        top(&client, &question, by, search.output, style).await
    };
    done.map_err(|failure| syntax::with_text(failure, &search.filter))
}

async fn count(client: &Client, question: &Value, format: Format) -> Result<(), Failure> {
    let answer = client.post("/api/v1/count", question).await?;
    let count = answer["count"].as_u64().ok_or_else(|| anyhow!("the answer holds no count"))?;
    let mut out = io::stdout();
    match format {
        Format::Table => writeln!(out, "{count}")?,
        Format::Csv => write!(out, "count\r\n{count}\r\n")?,
        Format::Json | Format::Ndjson => writeln!(out, "{}", json!({ "count": count }))?,
    }
    Ok(())
}

async fn top(
    client: &Client,
    question: &Value,
    mut by: Vec<Column>,
    format: Format,
    style: Style,
) -> Result<(), Failure> {
    let answer = client.post("/api/v1/top", question).await?;
    by.push(Column { name: "count".into(), look: Look::Number });
    list(&answer["rows"], by, format, style)
}

async fn rows_of_events(
    client: &Client,
    mut question: Value,
    named: Vec<Column>,
    search: &SearchArgs,
    style: Style,
) -> Result<(), Failure> {
    let columns = match (named.is_empty(), search.output) {
        (false, _) => named,
        (true, Format::Table) => columns::named(Kind::Events, EVENTS_SHOWN),
        (true, _) => columns::all(Kind::Events),
    };
    // JSON without wishes has what the server gives: a newer one may know more columns than this client.
    if !search.columns.is_empty() || !matches!(search.output, Format::Json | Format::Ndjson) {
        question["columns"] = columns.iter().map(|c| c.name.as_str()).collect();
    }
    question["limit"] = if search.limit > 0 { search.limit } else { ALL }.into();
    let rows = stream(client, "/api/v1/search", &question, columns, search.output, style).await?;
    if search.limit > 0 && rows == search.limit {
        talk(&format!(
            "-- the newest {rows} rows; there may be more: -n {}, or -n 0 for all --",
            rows.saturating_mul(10)
        ));
    }
    Ok(())
}

pub(crate) async fn losses(args: &ConnectionArgs, losses: LossesArgs, style: Style) -> Result<(), Failure> {
    let mut question = json!({ "limit": ALL });
    add_range(&mut question, &losses.range)?;
    if let Some(host) = &losses.host {
        question["host"] = host.as_str().into();
    }
    let columns = match losses.output {
        Format::Table => columns::named(Kind::Losses, LOSSES_SHOWN),
        _ => columns::all(Kind::Losses),
    };
    let client = Client::new(Connection::find(args)?)?;
    stream(&client, "/api/v1/losses", &question, columns, losses.output, style).await.map(drop)
}

/// The rows of an answer to stdout; how many there were.
async fn stream(
    client: &Client,
    path: &str,
    question: &Value,
    columns: Vec<Column>,
    format: Format,
    style: Style,
) -> Result<u64, Failure> {
    let response = client.post_stream(path, question).await?;
    let mut lines = Lines::new(response.into_body(), PATIENCE);
    let (_, zone) = clock::now();
    let mut rows = Rows::new(format, columns, style, zone, BufWriter::new(io::stdout()));
    let mut count = 0;
    let end = loop {
        match next_piece(&mut lines).await {
            Ok(Piece::Row(line)) => {
                count += 1;
                rows.line(&line)?;
            }
            Ok(Piece::End(_)) => break Ok(count),
            Err(failure) => break Err(failure),
        }
    };
    // What came before a fault is still the person's.
    rows.finish()?;
    end
}

pub(crate) async fn hosts(args: &ConnectionArgs, hosts: &HostsArgs, style: Style) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("name", Look::Text),
        ("state", Look::Text),
        ("last_contact", Look::Time),
        ("last_event", Look::Time),
        ("events", Look::Number),
        ("lost", Look::Number),
        ("cert_not_after", Look::Time),
        ("first_seen", Look::Time),
        ("id", Look::Text),
    ];
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.get("/api/v1/hosts").await?;
    let columns = COLUMNS.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect();
    list(&answer, columns, hosts.output, style)
}

pub(crate) async fn token(
    args: &ConnectionArgs,
    command: TokenCommand,
    _style: Style,
) -> Result<(), Failure> {
    let TokenCommand::Create { uses, ttl, comment, output } = command;
    let ttl = when::parse_duration(&ttl)?.as_secs();
    let client = Client::new(Connection::find(args)?)?;
    let question = json!({ "uses": uses, "ttl_seconds": ttl, "comment": comment });
    let answer = client.post("/api/v1/tokens", &question).await?;
    let token = answer["token"].as_str().ok_or_else(|| anyhow!("the answer holds no token"))?;
    let token = crate::escape::for_terminal(token);
    let mut out = io::stdout();
    match output {
        Format::Table => writeln!(out, "{token}")?,
        Format::Csv => write!(out, "token\r\n{token}\r\n")?,
        Format::Json | Format::Ndjson => writeln!(out, "{}", json!({ "token": token }))?,
    }
    Ok(())
}

/// A list of objects to stdout.
fn list(items: &Value, columns: Vec<Column>, format: Format, style: Style) -> Result<(), Failure> {
    let items = items.as_array().ok_or_else(|| anyhow!("the answer is not a list"))?;
    let (_, zone) = clock::now();
    let mut rows = Rows::new(format, columns, style, zone, BufWriter::new(io::stdout()));
    for item in items {
        rows.line(&item.to_string())?;
    }
    Ok(rows.finish()?)
}

fn add_range(question: &mut Value, range: &RangeArgs) -> Result<(), Failure> {
    let (now, zone) = clock::now();
    for (key, text) in [("since", &range.since), ("until", &range.until)] {
        if let Some(text) = text {
            question[key] = when::parse_time(text, now, &zone)?.to_string().into();
        }
    }
    Ok(())
}
