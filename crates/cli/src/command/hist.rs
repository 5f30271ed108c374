//! How many over time, as bars.

use super::ask::{add_range, incomplete, list, question, told};
use crate::{
    args::{ConnectionArgs, HistArgs},
    client::Client,
    clock,
    columns::{self, Column, Look},
    connection::Connection,
    failure::Failure,
    render::{Format, Style},
    syntax, when,
};
use anyhow::anyhow;
use bartizan_model::Kind;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The widths of a bar that are chosen from, in seconds.
const WIDTHS: [i64; 10] = [1, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400];
/// About so many bars are what a person reads at once.
const BARS: i64 = 120;
/// Columns of the longest bar.
const LONGEST: f64 = 50.0;

pub(crate) async fn hist(args: &ConnectionArgs, hist: HistArgs, style: Style) -> Result<(), Failure> {
    const KIND: Kind = Kind::Events;
    syntax::check_before_asking(KIND, &hist.filter)?;
    let by = columns::wanted(KIND, &hist.by)?;
    let mut question = question(KIND, &hist.filter);
    add_range(&mut question, &hist.range)?;
    let width = match &hist.bucket {
        Some(text) => when::parse_duration(text)?.as_secs().max(1),
        None => width_of(&question, clock::now().0),
    };
    question["bucket_seconds"] = width.into();
    question["by"] = by.iter().map(|c| c.name.as_str()).collect();
    question["explain"] = hist.explain.into();
    let client = Client::new(Connection::find(args)?)?;
    let answer = client.post("/api/v1/histogram", &question).await;
    let answer = answer.map_err(|failure| syntax::with_text(failure, &hist.filter))?;
    let names = answer["columns"].as_array().ok_or_else(|| anyhow!("the answer names no columns"))?;
    let mut columns: Vec<_> =
        names.iter().filter_map(Value::as_str).map(|name| Column::of(KIND, name)).collect();
    let rows = answer["rows"].as_array().ok_or_else(|| anyhow!("the answer is not a list"))?;
    if hist.output == Format::Table {
        columns.push(Column { name: "bar".into(), look: Look::Text });
        let rows = if by.is_empty() { without_gaps(rows, width) } else { rows.clone() };
        list(&Value::Array(with_bars(rows)), columns, hist.output, style)?;
    } else {
        list(&answer["rows"], columns, hist.output, style)?;
    }
    told(&answer);
    incomplete(&answer)
}

/// Seconds of a bar for the time that is asked for.
fn width_of(question: &Value, now: Timestamp) -> i64 {
    let time = |key: &str| question[key].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let Some(since) = time("since") else { return WIDTHS[WIDTHS.len() - 1] };
    let seconds = time("until").unwrap_or(now).duration_since(since).as_secs();
    WIDTHS.into_iter().find(|width| seconds / width <= BARS).unwrap_or(WIDTHS[WIDTHS.len() - 1])
}

/// With a row for each piece of time between the first and the last, where nothing was as well.
fn without_gaps(rows: &[Value], width: i64) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::with_capacity(rows.len());
    let mut next: Option<Timestamp> = None;
    for row in rows {
        let time = row["time"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        // A clock that was years off makes a gap that nobody wants to see.
        let gap = next.zip(time).map_or(0, |(next, time)| time.duration_since(next).as_secs() / width);
        if (1..=10 * BARS).contains(&gap) {
            let mut empty = next;
            while let Some(at) = empty.filter(|at| time.is_some_and(|time| *at < time)) {
                all.push(json!({"time": at.to_string(), "packets": 0, "rows": 0}));
                empty = at.checked_add(SignedDuration::from_secs(width)).ok();
            }
        }
        all.push(row.clone());
        next = time.and_then(|time| time.checked_add(SignedDuration::from_secs(width)).ok());
    }
    all
}

/// The rows with a bar that is as long as their packets are many.
fn with_bars(rows: Vec<Value>) -> Vec<Value> {
    let packets = |row: &Value| row["packets"].as_f64().unwrap_or(0.0).max(0.0);
    let most = rows.iter().map(packets).fold(1.0, f64::max);
    let bar = |row: Value| {
        let length = (packets(&row) / most * LONGEST).ceil() as usize;
        let mut row: Map<String, Value> = row.as_object().cloned().unwrap_or_default();
        row.insert("bar".to_owned(), "#".repeat(length).into());
        Value::Object(row)
    };
    rows.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_about_as_many_as_can_be_read() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let width = |since: &str| width_of(&json!({"since": since}), now);
        assert_eq!(width("2026-11-23T11:59:00Z"), 1);
        assert_eq!(width("2026-11-23T11:00:00Z"), 30);
        assert_eq!(width("2026-11-22T12:00:00Z"), 900);
        assert_eq!(width("2025-11-22T12:00:00Z"), 86_400);
        assert_eq!(width_of(&json!({}), now), 86_400);
    }

    #[test]
    fn gaps_are_rows_and_bars_are_in_proportion() {
        let rows = [
            json!({"time": "2026-11-23T12:00:00Z", "packets": 100, "rows": 1}),
            json!({"time": "2026-11-23T12:03:00Z", "packets": 1, "rows": 1}),
        ];
        let rows = with_bars(without_gaps(&rows, 60));
        let bars: Vec<_> = rows.iter().map(|row| row["bar"].as_str().unwrap().len()).collect();
        assert_eq!(bars, [50, 0, 0, 1]);
        assert_eq!(rows[2]["time"], "2026-11-23T12:02:00Z");
        let far = [json!({"time": "1970-01-01T00:00:00Z"}), json!({"time": "2026-11-23T12:03:00Z"})];
        assert_eq!(without_gaps(&far, 60).len(), 2);
    }
}
