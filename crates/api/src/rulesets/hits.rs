//! What each rule of a ruleset counted and logged.

use super::Change;
use super::compare::{Placed, rules_of};
use super::listing::{Listings, Place, text};
use crate::body::{Body, When, window};
use crate::queries::{Current, Stats};
use crate::{ApiState, Problem, exact};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_filter::Filter;
use bartizan_model::{Kind, Micros};
use bartizan_query::render::time_text;
use bartizan_query::{Engine, QueryError, Window};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HitsBody {
    host: String,
    #[serde(default)]
    netns: String,
    since: Option<When>,
    until: Option<When>,
}

#[derive(Serialize)]
pub(crate) struct Hits {
    ruleset: Change,
    /// Every rule of the newest ruleset of the window, in order.
    rules: Vec<RuleHits>,
    /// Rules that counted or logged in the window and are not in that ruleset.
    gone: Vec<RuleHits>,
    /// Packets of events of which nobody can tell the rule.
    unattributed: i64,
    stats: Stats,
}

#[derive(Debug, PartialEq, Serialize)]
struct RuleHits {
    table: String,
    chain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    rule: String,
    #[serde(flatten)]
    sums: Sums,
    /// Logged of counted, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// `hit`, `never`, or `unknown` for a rule that neither counts nor logs.
    state: &'static str,
}

/// What became of a rule's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Sums {
    /// Packets that its counter counted; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<i64>,
    /// Packets of its events.
    logged: i64,
    #[serde(skip)]
    last: Option<i64>,
}

/// A rule as counters and events name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: String,
    chain: String,
    handle: Option<i64>,
    rule: String,
}

/// What each rule counted and logged.
pub(crate) async fn hits(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<HitsBody>,
) -> Result<Json<Hits>, Problem> {
    let window = window(body.since, body.until)?;
    let place = Place { host: &body.host, netns: &body.netns };
    let listings = Listings::new(&state.engine);
    let newest = listings.active(place, window.until.map(|until| Micros(until.0.saturating_sub(1)))).await?;
    let Some(newest) = newest else {
        return Err(Problem::not_found_thing(format!("no ruleset of host {} is known", body.host)));
    };
    let texts = listings.text(place, &newest.generation).await?.unwrap_or_default().0;
    let rules = tokio::task::spawn_blocking(move || rules_of(&texts)).await.map_err(|e| {
        Problem::internal(StatusCode::INTERNAL_SERVER_ERROR, "the ruleset cannot be read", &e)
    })?;
    let here = exact::is("host", place.host).and(exact::in_netns(place.netns));
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    let counted = here.clone().and(exact::is("kind", "rule"));
    add(&state.engine, Kind::Counters, &counted, window, &mut sums, |sums, packets, bytes| {
        *sums.counted.get_or_insert(0) += packets;
        *sums.bytes.get_or_insert(0) += bytes;
    })
    .await?;
    let logged = |sums: &mut Sums, packets, _| sums.logged += packets;
    let unattributed = add(&state.engine, Kind::Events, &here, window, &mut sums, logged).await?;
    let (rules, gone) = join(&rules, sums);
    Ok(Json(Hits { ruleset: newest.into(), rules, gone, unattributed, stats: asked.stats() }))
}

/// Adds what one table says; gives the packets that it says of no rule.
async fn add(
    engine: &Engine,
    kind: Kind,
    filter: &Filter,
    window: Window,
    sums: &mut BTreeMap<Key, Sums>,
    take: impl Fn(&mut Sums, i64, i64),
) -> Result<i64, QueryError> {
    let mut nameless = 0;
    let mut groups = engine.totals(kind, filter, window, &["table", "chain", "handle", "rule"]).await?;
    while let Some(batch) = groups.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let packets = number(&batch, "packets", row).unwrap_or(0);
            let Some(rule) = text(&batch, "rule", row) else {
                nameless += packets;
                continue;
            };
            let key = Key {
                table: text(&batch, "table", row).unwrap_or_default(),
                chain: text(&batch, "chain", row).unwrap_or_default(),
                handle: number(&batch, "handle", row),
                rule,
            };
            let sum = sums.entry(key).or_default();
            take(sum, packets, number(&batch, "bytes", row).unwrap_or(0));
            if packets > 0 {
                let last = batch.column_by_name("last");
                let last = last.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
                sum.last = sum.last.max(last.map(|last| last.value(row)));
            }
        }
    }
    Ok(nameless)
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    column.is_valid(row).then(|| column.value(row))
}

/// Gives each rule its sums: by place, handle and text; what is left by place and text alone, because a ruleset that
/// was loaded anew has new handles. What belongs to no rule is gone.
fn join(rules: &[Placed], mut sums: BTreeMap<Key, Sums>) -> (Vec<RuleHits>, Vec<RuleHits>) {
    let key = |rule: &Placed, handle| Key {
        table: rule.table.clone(),
        chain: rule.chain.clone(),
        handle,
        rule: rule.text.clone(),
    };
    let mut own: Vec<Sums> =
        rules.iter().map(|rule| sums.remove(&key(rule, Some(rule.handle))).unwrap_or_default()).collect();
    let mut first: BTreeMap<Key, usize> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        first.entry(key(rule, None)).or_insert(at);
    }
    let mut gone: BTreeMap<Key, Sums> = BTreeMap::new();
    for (key, left) in sums {
        let nameless = Key { handle: None, ..key };
        match first.get(&nameless) {
            Some(at) => own[*at].add(left),
            None => gone.entry(nameless).or_default().add(left),
        }
    }
    let rules = rules.iter().zip(own).map(|(rule, mut sums)| {
        if rule.counts {
            // A counter that did not move makes no row.
            sums.counted.get_or_insert(0);
            sums.bytes.get_or_insert(0);
        }
        let state = match (sums.counted.unwrap_or(0) > 0 || sums.logged > 0, rule.counts || rule.logs) {
            (true, _) => "hit",
            (false, true) => "never",
            (false, false) => "unknown",
        };
        let place = (Some(rule.handle), Some(rule.position));
        RuleHits::new(key(rule, None), place, sums, state, rule.logs)
    });
    let gone =
        gone.into_iter().map(|(key, sums)| RuleHits::new(key, (None, None), sums, "hit", sums.logged > 0));
    (rules.collect(), gone.collect())
}

impl Sums {
    fn add(&mut self, other: Self) {
        let both = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.counted = both(self.counted, other.counted);
        self.bytes = both(self.bytes, other.bytes);
        self.logged = self.logged.saturating_add(other.logged);
        self.last = self.last.max(other.last);
    }
}

impl RuleHits {
    fn new(
        key: Key,
        (handle, position): (Option<i64>, Option<usize>),
        sums: Sums,
        state: &'static str,
        logs: bool,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
        let percent = |counted: i64| (sums.logged as f64 * 1000.0 / counted as f64).round() / 10.0;
        Self {
            table: key.table,
            chain: key.chain,
            handle,
            position,
            rule: key.rule,
            coverage: sums.counted.filter(|counted| logs && *counted > 0).map(percent),
            last: sums.last.map(|last| time_text(Micros(last))),
            sums,
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(handle: i64, text: &str, counts: bool, logs: bool) -> Placed {
        let (table, chain) = ("inet filter".to_owned(), "input".to_owned());
        Placed { table, chain, handle, position: 1, text: text.to_owned(), comment: None, counts, logs }
    }

    fn key(handle: i64, rule: &str) -> Key {
        Key { table: "inet filter".into(), chain: "input".into(), handle: Some(handle), rule: rule.into() }
    }

    fn sums(counted: Option<i64>, logged: i64, last: i64) -> Sums {
        Sums { counted, bytes: counted.map(|c| c * 100), logged, last: Some(last) }
    }

    #[test]
    fn each_rule_gets_what_it_counted_and_logged() {
        let rules = [
            rule(4, "ssh log drop", true, true),
            rule(5, "accept", false, false),
            rule(6, "log drop", true, true),
            rule(7, "log", false, true),
        ];
        let found = [
            (key(4, "ssh log drop"), sums(Some(8), 6, 1)),
            // before it was loaded anew
            (key(2, "ssh log drop"), sums(Some(2), 2, 9)),
            (key(3, "old drop"), sums(Some(1), 0, 3)),
            (key(9, "old drop"), sums(None, 1, 4)),
        ];
        let (rules, gone) = join(&rules, found.into_iter().collect());
        let seen: Vec<_> =
            rules.iter().map(|r| (r.sums.counted, r.sums.logged, r.coverage, r.state)).collect();
        assert_eq!(
            seen,
            [
                (Some(10), 8, Some(80.0), "hit"),
                (None, 0, None, "unknown"),
                (Some(0), 0, None, "never"),
                (None, 0, None, "never"),
            ]
        );
        assert_eq!(rules[0].last.as_deref(), Some("1970-01-01T00:00:00.000009Z"));
        assert_eq!(gone.len(), 1);
        assert_eq!(
            (gone[0].rule.as_str(), gone[0].sums.counted, gone[0].sums.logged),
            ("old drop", Some(1), 1)
        );
    }
}
