//! `tail`: rows as they come, over any number of connections.

use crate::{
    args::{ConnectionArgs, TailArgs},
    client::Client,
    clock, columns,
    connection::Connection,
    failure::{Failure, talk},
    render::{Rows, Style},
    seen::Seen,
    stream::{Lines, SentEvent, next_event},
    syntax,
};
use bartizan_model::Kind;
use serde_json::{Map, Value, json};
use std::{
    io::{self, BufWriter, Write},
    time::Duration,
};

const PATH: &str = "/api/v1/tail";
/// The server sends its counters each second; silence for so long is a dead connection.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

pub(crate) async fn tail(args: &ConnectionArgs, tail: TailArgs, style: Style) -> Result<(), Failure> {
    syntax::check_before_asking(Kind::Events, &tail.filter)?;
    let named = columns::wanted(Kind::Events, &tail.columns)?;
    let only: Option<Vec<String>> =
        (!named.is_empty()).then(|| named.iter().map(|c| c.name.clone()).collect());
    let columns = match (&only, tail.output) {
        (Some(_), _) => named,
        (None, crate::render::Format::Csv) => columns::all(Kind::Events),
        (None, _) => columns::named(Kind::Events, columns::shown(Kind::Events)),
    };
    let client = Client::new(Connection::find(args)?)?;
    let (_, zone) = clock::now();
    let mut shown = Shown {
        rows: Rows::new(tail.output, columns, style, zone, BufWriter::new(io::stdout())),
        only,
        left: (tail.limit > 0).then_some(tail.limit),
        skipped: 0,
        last: None,
        seen: Seen::default(),
    };
    let mut connected_before = false;
    let mut wait = FIRST_WAIT;
    loop {
        let end = follow(&client, &tail.filter, &mut shown, &mut connected_before, &mut wait).await;
        shown.rows.flush()?;
        shown.seen.lost();
        match end {
            Ok(()) => return Ok(shown.rows.finish()?),
            // Only what may pass by itself is tried again, and only after it has worked once.
            Err(Failure::Partial(why) | Failure::Unreachable(why)) if connected_before => {
                talk(&format!("-- connection lost ({}), trying again --", crate::escape::for_terminal(&why)));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(Failure::Partial(why)) => return Err(Failure::Unreachable(why)),
            Err(failure) => return Err(syntax::with_text(failure, &tail.filter)),
        }
    }
}

/// One connection's worth of rows; well ended when the person has seen as many as they wanted.
async fn follow(
    client: &Client,
    filter: &str,
    shown: &mut Shown<impl Write>,
    connected_before: &mut bool,
    wait: &mut Duration,
) -> Result<(), Failure> {
    let mut question = json!({ "filter": filter });
    if let Some(last) = &shown.last {
        question["after"] = last.as_str().into();
    }
    let response = client.post_stream(PATH, &question).await?;
    if std::mem::replace(connected_before, true) {
        talk(match shown.last {
            Some(_) => "-- connected again; what came in between follows --",
            None => "-- connected again; what came in between is found by `bartizan search` --",
        });
    }
    *wait = FIRST_WAIT;
    // The server counts from nothing on each connection.
    shown.skipped = 0;
    let mut lines = Lines::new(response.into_body(), PATIENCE);
    while let Some(event) = next_event(&mut lines).await? {
        if shown.event(&event)? {
            return Ok(());
        }
        if !lines.has_line() {
            shown.rows.flush()?;
        }
    }
    Err(Failure::Partial("the server has ended the stream".into()))
}

/// Why the server ended a stream of events.
pub(crate) fn ended(problem: &str) -> Failure {
    let problem: Value = serde_json::from_str(problem).unwrap_or_default();
    let problem = if problem["problem"].is_object() { &problem["problem"] } else { &problem };
    let detail = problem["detail"].as_str().unwrap_or("the server has ended the stream").to_owned();
    // Whoever cancels it wants it to stay ended; anything else may pass by itself.
    if problem["type"] == "urn:bartizan:cancelled" {
        return Failure::Error(anyhow::anyhow!(detail));
    }
    Failure::Partial(detail)
}

struct Shown<W: Write> {
    rows: Rows<W>,
    only: Option<Vec<String>>,
    left: Option<u64>,
    skipped: u64,
    /// How far it came, where the server says so: behind that it goes on.
    last: Option<String>,
    seen: Seen,
}

impl<W: Write> Shown<W> {
    /// Whether that was the last one wanted.
    fn event(&mut self, event: &SentEvent) -> Result<bool, Failure> {
        if !event.id.is_empty() {
            self.last = Some(event.id.clone());
        }
        match event.name.as_str() {
            "row" if self.seen.is_new(&event.data) => {
                self.row(&event.data)?;
                self.left = self.left.map(|n| n.saturating_sub(1));
            }
            "stats" => {
                let stats: Value = serde_json::from_str(&event.data).unwrap_or_default();
                let skipped = ["skipped", "missed"].iter().filter_map(|key| stats[key].as_u64()).sum::<u64>();
                if skipped > self.skipped {
                    self.rows.flush()?;
                    talk(&format!("-- {} rows skipped, this reader is too slow --", skipped - self.skipped));
                }
                self.skipped = skipped;
            }
            "end" => return Err(ended(&event.data)),
            _ => {}
        }
        Ok(self.left == Some(0))
    }

    fn row(&mut self, data: &str) -> Result<(), Failure> {
        let Some(only) = &self.only else { return Ok(self.rows.line(data)?) };
        let mut row: Map<String, Value> = serde_json::from_str(data).unwrap_or_default();
        row.retain(|name, _| only.contains(name));
        Ok(self.rows.line(&Value::Object(row).to_string())?)
    }
}
