//! Commands that ask once: search, flows, counters, losses.

use crate::{
    args::{AskArgs, ConnectionArgs, LossesArgs, RangeArgs, SearchArgs, TailArgs},
    client::Client,
    clock,
    columns::{self, Column, Look},
    connection::Connection,
    escape::for_terminal,
    failure::{Failure, talk},
    render::{Format, Rows, Style},
    stream::{End, Lines, Piece, next_piece},
    syntax, when,
};
use anyhow::anyhow;
use bartizan_model::Kind;
use bartizan_schema::measures;
use serde_json::{Value, json};
use std::{
    io::{self, BufWriter, Write as _},
    time::Duration,
};

/// How long a search may go without a row.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// The most rows that the server gives at once.
const ALL: u64 = 100_000_000;

pub(crate) async fn search(args: &ConnectionArgs, search: SearchArgs, style: Style) -> Result<(), Failure> {
    if search.follow {
        let AskArgs { filter, output, columns, .. } = search.ask;
        return super::tail(args, TailArgs { filter, output, columns, limit: 0 }, style).await;
    }
    rows(args, Kind::Events, search.ask, style).await
}

/// A question about any table.
pub(crate) async fn rows(
    args: &ConnectionArgs,
    kind: Kind,
    ask: AskArgs,
    style: Style,
) -> Result<(), Failure> {
    syntax::check_before_asking(kind, &ask.filter)?;
    let mut question = question(kind, &ask.filter);
    add_range(&mut question, &ask.range)?;
    let by = columns::wanted(kind, &ask.by)?;
    let named = columns::wanted(kind, &ask.columns)?;
    if ask.distinct.is_some() && by.len() != 1 {
        return Err(Failure::Usage("--distinct goes with one column in --by".to_owned()));
    }
    if !ask.spread.is_empty() && (ask.spread.len() != 2 || kind != Kind::Events) {
        return Err(Failure::Usage(
            "--spread takes two numbers, PORTS,HOSTS, and is about events".to_owned(),
        ));
    }
    if ask.explain {
        if ask.distinct.is_some() || !ask.count && by.is_empty() {
            return Err(Failure::Usage("--explain goes with --count or --by".to_owned()));
        }
        question["explain"] = true.into();
    }
    let client = Client::new(Connection::find(args)?)?;
    let done = if !ask.spread.is_empty() {
        spread(&client, question, &ask, style).await
    } else if let Some(of) = &ask.distinct {
        distinct(&client, kind, question, (&by[0], of), &ask, style).await
    } else if ask.count {
        count(&client, kind, &question, ask.output, style).await
    } else if by.is_empty() {
        rows_of(&client, kind, question, named, &ask, style).await
    } else {
        top(&client, kind, question, &by, ask.top, ask.output, style).await
    };
    done.map_err(|failure| syntax::with_text(failure, &ask.filter))
}

/// Events are what is asked for when no table is named.
pub(super) fn question(kind: Kind, filter: &str) -> Value {
    match kind {
        Kind::Events => json!({ "filter": filter }),
        other => json!({ "table": other.as_str(), "filter": filter }),
    }
}

async fn count(
    client: &Client,
    kind: Kind,
    question: &Value,
    format: Format,
    style: Style,
) -> Result<(), Failure> {
    let mut answer = client.post("/api/v1/count", question).await?;
    let missing = incomplete(&answer);
    told(&answer);
    if answer["rows"].as_u64().is_none() {
        return Err(anyhow!("the answer holds no number of rows").into());
    }
    let names = measures(kind).iter().copied().chain(std::iter::once("rows"));
    let columns: Vec<_> = names.map(|name| Column::of(kind, name)).collect();
    if let Some(answer) = answer.as_object_mut() {
        answer.retain(|name, _| {
            !["took_ms", "complete", "problem", "plan", "exact", "stats"].contains(&name.as_str())
        });
    }
    match format {
        // One count is one object, not a list of one.
        Format::Json | Format::Ndjson => writeln!(io::stdout(), "{answer}")?,
        Format::Table | Format::Csv => list(&json!([answer]), columns, format, style)?,
    }
    missing
}

/// What the server says of how it found the answer, to stderr.
pub(super) fn told(answer: &Value) {
    for line in answer["plan"].as_str().unwrap_or_default().lines() {
        talk(&format!("-- {} --", crate::escape::for_terminal(line)));
    }
    if answer["exact"].as_bool() == Some(false) {
        talk("-- not exact: of rows that are gone only whole minutes or hours are counted --");
    }
}

/// Whether the server said that rows are missing.
pub(super) fn incomplete(answer: &Value) -> Result<(), Failure> {
    if answer["complete"].as_bool() != Some(false) {
        return Ok(());
    }
    let why = answer["problem"]["detail"].as_str().unwrap_or("the server could not read everything");
    Err(Failure::Partial(format!("these are not all rows: {why}")))
}

async fn top(
    client: &Client,
    kind: Kind,
    mut question: Value,
    by: &[Column],
    top: u64,
    format: Format,
    style: Style,
) -> Result<(), Failure> {
    question["by"] = by.iter().map(|c| c.name.as_str()).collect();
    question["limit"] = top.into();
    let answer = client.post("/api/v1/top", &question).await?;
    told(&answer);
    groups(&answer, kind, format, style)
}

/// Different values of one column by another.
async fn distinct(
    client: &Client,
    kind: Kind,
    mut question: Value,
    (by, of): (&Column, &str),
    ask: &AskArgs,
    style: Style,
) -> Result<(), Failure> {
    let of = columns::wanted(kind, &[of.to_owned()])?;
    question["by"] = by.name.as_str().into();
    question["of"] = of.iter().map(|c| c.name.as_str()).collect::<String>().into();
    question["limit"] = ask.top.into();
    groups(&client.post("/api/v1/distinct", &question).await?, kind, ask.output, style)
}

/// Sources that touched many ports on many hosts.
async fn spread(client: &Client, mut question: Value, ask: &AskArgs, style: Style) -> Result<(), Failure> {
    for (name, least) in ["ports", "hosts"].into_iter().zip(&ask.spread) {
        question[name] = (*least).into();
    }
    question["limit"] = ask.top.into();
    groups(&client.post("/api/v1/spread", &question).await?, Kind::Events, ask.output, style)
}

/// Groups as the server names their columns.
pub(super) fn groups(answer: &Value, kind: Kind, format: Format, style: Style) -> Result<(), Failure> {
    let names = answer["columns"].as_array().ok_or_else(|| anyhow!("the answer names no columns"))?;
    let columns = names.iter().filter_map(Value::as_str).map(|name| Column::of(kind, name)).collect();
    list(&answer["rows"], columns, format, style)?;
    incomplete(answer)
}

async fn rows_of(
    client: &Client,
    kind: Kind,
    mut question: Value,
    named: Vec<Column>,
    ask: &AskArgs,
    style: Style,
) -> Result<(), Failure> {
    let columns = match (named.is_empty(), ask.output) {
        (false, _) => named,
        (true, Format::Table) => columns::named(kind, columns::shown(kind)),
        (true, _) => columns::all(kind),
    };
    // JSON without wishes has what the server gives: a newer one may know more columns than this client.
    if !ask.columns.is_empty() || !matches!(ask.output, Format::Json | Format::Ndjson) {
        question["columns"] = columns.iter().map(|c| c.name.as_str()).collect();
    }
    question["limit"] = if ask.limit > 0 { ask.limit } else { ALL }.into();
    if let Some(after) = &ask.after {
        question["after"] = after.as_str().into();
    }
    let End { rows, cursor } =
        stream(client, "/api/v1/search", &question, columns, ask.output, style).await?;
    if ask.limit > 0 && rows == ask.limit {
        let more = cursor.map(|cursor| format!("; behind them: --after {}", for_terminal(&cursor)));
        talk(&format!(
            "-- the newest {rows} rows; there may be more: -n {}, or -n 0 for all{} --",
            rows.saturating_mul(10),
            more.unwrap_or_default()
        ));
    }
    Ok(())
}

pub(crate) async fn losses(args: &ConnectionArgs, losses: LossesArgs, style: Style) -> Result<(), Failure> {
    const KIND: Kind = Kind::Losses;
    syntax::check_before_asking(KIND, &losses.filter)?;
    let by = columns::wanted(KIND, &losses.by)?;
    let mut range = json!({});
    add_range(&mut range, &losses.range)?;
    let client = Client::new(Connection::find(args)?)?;
    let done = if losses.sum {
        ledger(&client, range, &losses, style).await
    } else if by.is_empty() {
        let mut question = range;
        question["limit"] = ALL.into();
        if !losses.filter.is_empty() {
            question["filter"] = losses.filter.as_str().into();
        }
        if let Some(host) = &losses.host {
            question["host"] = host.as_str().into();
        }
        let columns = match losses.output {
            Format::Table => columns::named(KIND, columns::shown(KIND)),
            _ => columns::all(KIND),
        };
        stream(&client, "/api/v1/losses", &question, columns, losses.output, style).await.map(drop)
    } else {
        let mut question = question(KIND, &losses.filter);
        add_range(&mut question, &losses.range)?;
        top(&client, KIND, question, &by, 10_000, losses.output, style).await
    };
    done.map_err(|failure| syntax::with_text(failure, &losses.filter))
}

/// What was lost at each stage, and in all.
async fn ledger(
    client: &Client,
    mut question: Value,
    losses: &LossesArgs,
    style: Style,
) -> Result<(), Failure> {
    const COLUMNS: &[(&str, Look)] = &[
        ("stage", Look::Text),
        ("reason", Look::Text),
        ("kind", Look::Text),
        ("count", Look::Number),
        ("rows", Look::Number),
        ("last", Look::Time),
    ];
    question["filter"] = losses.filter.as_str().into();
    if let Some(host) = &losses.host {
        question["host"] = host.as_str().into();
    }
    let answer = client.post("/api/v1/ledger", &question).await;
    let answer = answer.map_err(|failure| super::saved::too_old(failure, "ledger"))?;
    let columns = COLUMNS.iter().map(|(name, look)| Column { name: (*name).into(), look: *look }).collect();
    list(&answer["entries"], columns, losses.output, style)?;
    if losses.output == Format::Table {
        talk(&format!("-- {} in all --", answer["count"]));
    }
    incomplete(&answer)
}

/// The rows of an answer to stdout.
async fn stream(
    client: &Client,
    path: &str,
    question: &Value,
    columns: Vec<Column>,
    format: Format,
    style: Style,
) -> Result<End, Failure> {
    let response = client.post_stream(path, question).await?;
    let (_, zone) = clock::now();
    let mut rows = Rows::new(format, columns, style, zone, BufWriter::new(io::stdout()));
    let end = each_row(response, |line| rows.line(line)).await;
    // What came before a fault is still the person's.
    rows.finish()?;
    end
}

/// Every row of an answer; how many there were, and where the last one stands.
pub(crate) async fn each_row(
    response: http::Response<hyper::body::Incoming>,
    mut take: impl FnMut(&str) -> io::Result<()>,
) -> Result<End, Failure> {
    let mut lines = Lines::new(response.into_body(), PATIENCE);
    let mut rows = 0;
    loop {
        match next_piece(&mut lines).await? {
            Piece::Row(line) => {
                rows += 1;
                take(&line)?;
            }
            Piece::End(end) => return Ok(End { rows, ..end }),
        }
    }
}

/// A list of objects to stdout.
pub(super) fn list(items: &Value, columns: Vec<Column>, format: Format, style: Style) -> Result<(), Failure> {
    let items = items.as_array().ok_or_else(|| anyhow!("the answer is not a list"))?;
    let (_, zone) = clock::now();
    let mut rows = Rows::new(format, columns, style, zone, BufWriter::new(io::stdout()));
    for item in items {
        rows.line(&item.to_string())?;
    }
    Ok(rows.finish()?)
}

pub(super) fn add_range(question: &mut Value, range: &RangeArgs) -> Result<(), Failure> {
    let (now, zone) = clock::now();
    for (key, text) in [("since", &range.since), ("until", &range.until)] {
        if let Some(text) = text {
            question[key] = when::parse_time(text, now, &zone)?.to_string().into();
        }
    }
    Ok(())
}
