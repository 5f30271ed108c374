//! What was lost on the way, summed up.

use crate::ask::parse;
use crate::body::{Body, When, window};
use crate::queries::{Current, Stats};
use crate::{ApiState, Problem, exact};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use axum::Json;
use axum::extract::State;
use bartizan_model::{Kind, Micros};
use bartizan_query::render::time_text;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerBody {
    #[serde(default)]
    filter: String,
    since: Option<When>,
    until: Option<When>,
    host: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Ledger {
    /// Each stage, reason and kind of row, the largest first.
    entries: Vec<Entry>,
    /// All of them.
    count: i64,
    stats: Stats,
}

#[derive(Serialize)]
pub(crate) struct Entry {
    stage: String,
    reason: String,
    /// Of which table's rows; `events` where the entry says none.
    kind: String,
    /// What was lost.
    count: i64,
    /// Entries of the ledger.
    rows: i64,
    /// The time of the latest.
    last: String,
}

/// Losses by stage and reason.
pub(crate) async fn ledger(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<LedgerBody>,
) -> Result<Json<Ledger>, Problem> {
    let mut filter = parse(&state, Kind::Losses, &body.filter)?;
    if let Some(host) = &body.host {
        filter = filter.and(exact::is("host", host));
    }
    let window = window(body.since, body.until)?;
    let by = ["stage", "reason", "kind"];
    let batches = state.engine.totals(Kind::Losses, &filter, window, &by).await?.collect().await?;
    let mut entries = Vec::new();
    for batch in &batches {
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name)?.as_string_view_opt()?;
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let number = |name: &str, row: usize| {
            batch.column_by_name(name)?.as_primitive_opt::<Int64Type>().map(|numbers| numbers.value(row))
        };
        let last =
            batch.column_by_name("last").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        entries.extend((0..batch.num_rows()).map(|row| Entry {
            stage: text("stage", row).unwrap_or_default(),
            reason: text("reason", row).unwrap_or_default(),
            kind: text("kind", row).unwrap_or_else(|| Kind::Events.as_str().to_owned()),
            count: number("count", row).unwrap_or_default(),
            rows: number("rows", row).unwrap_or_default(),
            last: last.map(|times| time_text(Micros(times.value(row)))).unwrap_or_default(),
        }));
    }
    let count = entries.iter().fold(0_i64, |sum, entry| sum.saturating_add(entry.count));
    Ok(Json(Ledger { entries, count, stats: asked.stats() }))
}
