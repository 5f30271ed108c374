//! Figures with their goals and peers from the records of a run, and all engines in one table.

use super::questions::{self, Answer, QUESTIONS};
use crate::figure::{Figure, Goal};
use serde_json::Value;
use std::fmt::Write as _;

/// Of the smallest peer's bytes.
const SHARE: f64 = 0.68;
/// Milliseconds that were promised for hot answers on 20 million rows.
const PROMISED: [(&str, f64); 6] =
    [("Q1", 20.0), ("Q2", 20.0), ("Q4", 10.0), ("Q6", 20.0), ("Q8", 5.0), ("Q7b", 1000.0)];
const ENGINES: [&str; 5] = ["bartizan", "clickhouse", "duckdb", "victorialogs", "postgresql"];

fn number(record: &Value, key: &str) -> Option<f64> {
    record[key].as_f64()
}

fn part<'a>(records: &'a [Value], name: &str) -> Option<&'a Value> {
    records.iter().find(|record| record["part"] == name)
}

/// The record of loading a peer.
fn loaded<'a>(records: &'a [Value], engine: &str) -> Option<&'a Value> {
    records.iter().find(|r| r["engine"] == engine && r.get("question").is_none())
}

/// The record of a question to an engine.
fn asked<'a>(records: &'a [Value], engine: &str, question: &str) -> Option<&'a Value> {
    records.iter().find(|r| r["engine"] == engine && r["question"] == question)
}

/// The peer with the best value of a key of its record of loading.
fn best(records: &[Value], of: impl Fn(&Value) -> Option<f64>, most: bool) -> Option<(&'static str, f64)> {
    let found = ENGINES[1..].iter().filter_map(|name| Some((*name, of(loaded(records, name)?)?)));
    found.reduce(|a, b| if (b.1 > a.1) == most { b } else { a })
}

fn beside(figure: Figure, peer: Option<(&str, f64)>) -> Figure {
    match peer {
        Some((name, value)) => figure.beside(name, value),
        None => figure,
    }
}

/// All figures of a run.
pub(super) fn figures(records: &[Value], rows: u64, figure: &mut dyn FnMut(Figure)) {
    let rows = rows as f64;
    let per_row = |record: &Value| Some(number(record, "bytes")? / number(record, "rows")?);
    let rate = |record: &Value| Some(number(record, "rows")? / number(record, "seconds")?);
    if let Some(load) = part(records, "load") {
        let ours = rate(load).unwrap_or_default();
        let peer = best(records, rate, true);
        let goal = peer.map_or(Goal::None, |(_, value)| Goal::AtLeast(value.round()));
        figure(beside(Figure::new("load to committed", ours, "rows/s", goal), peer));
        if let Some(victoria) = loaded(records, "victorialogs").and_then(rate) {
            let goal = Goal::AtLeast((victoria * 10.0).round());
            let ten = Figure::new("load to committed, ten times VictoriaLogs", ours, "rows/s", goal);
            figure(ten.beside("victorialogs", victoria));
        }
        let cpu = number(load, "cpu_s").unwrap_or_default() / rows * 1e6;
        figure(Figure::new("load to committed, CPU", cpu, "s/million", Goal::None));
        let memory = number(load, "memory_mb").unwrap_or_default();
        figure(Figure::new("memory while loading, peak", memory, "MB", Goal::Under(1000.0)));
        figure(Figure::new(
            "before compaction",
            per_row(load).unwrap_or_default(),
            "bytes/event",
            Goal::None,
        ));
    }
    if let Some(settle) = part(records, "settle") {
        let peer = best(records, per_row, false);
        let goal = peer.map_or(Goal::None, |(_, bytes)| Goal::Under((bytes * SHARE * 100.0).round() / 100.0));
        let ours = per_row(settle).unwrap_or_default();
        figure(beside(Figure::new("events, all columns, compacted", ours, "bytes/event", goal), peer));
        let columns = settle["columns"].as_object();
        let of = |names: &[&str]| -> f64 {
            names.iter().filter_map(|name| columns?.get(*name)?.as_f64()).sum::<f64>() / rows
        };
        let book = of(&["stream", "seq", "row", "received"]);
        // what the peers' tables have
        let same =
            Figure::new("events, without stream, seq, row, received", ours - book, "bytes/event", goal);
        figure(beside(same, peer));
        let rollups = settle["rollups"].as_object();
        let sum: f64 =
            rollups.into_iter().flat_map(|all| all.values()).filter_map(|r| number(r, "bytes")).sum();
        figure(Figure::new("rollups", sum / rows, "bytes/event", Goal::None));
        for (name, of) in columns.into_iter().flatten() {
            let bytes = of.as_f64().unwrap_or_default() / rows;
            if bytes >= 0.05 {
                figure(Figure::new(&format!("column {name}"), bytes, "bytes/event", Goal::None));
            }
        }
        for (name, of) in rollups.into_iter().flatten() {
            let bytes = number(of, "bytes").unwrap_or_default() / rows;
            figure(Figure::new(&format!("rollup {name}"), bytes, "bytes/event", Goal::None));
        }
        let clickhouse = loaded(records, "clickhouse").and_then(|r| number(r, "settle_s"));
        let seconds = number(settle, "seconds").unwrap_or_default();
        let compaction = Figure::new("compaction of everything", seconds, "s", Goal::None);
        figure(beside(compaction, clickhouse.map(|s| ("clickhouse", s))));
        figure(Figure::new(
            "rollups of everything",
            number(settle, "roll_s").unwrap_or_default(),
            "s",
            Goal::None,
        ));
        let memory = number(settle, "memory_mb").unwrap_or_default();
        figure(Figure::new("memory while compacting, peak", memory, "MB", Goal::Under(1000.0)));
    }
    questions(records, rows, figure);
    if let Some(cancel) = part(records, "cancel") {
        let worst = number(cancel, "worst_ms").unwrap_or_default();
        let title = format!("a question ends after its asker has gone, worst of {}", cancel["cut"]);
        figure(Figure::new(&title, worst, "ms", Goal::Under(200.0)));
    }
    if let Some(busy) = part(records, "busy") {
        let pace = number(busy, "pace").unwrap_or_default();
        let rate = number(busy, "rate").unwrap_or_default();
        figure(Figure::new("events while asking", rate, "rows/s", Goal::AtLeast((pace * 0.95).round())));
        for (name, text) in QUESTIONS {
            let of = |key: &str| busy["questions"][name][key].as_f64();
            if let (Some(quiet), Some(busy)) = (of("quiet_ms"), of("busy_ms")) {
                let title = format!("{name} {text}, busy to quiet");
                figure(Figure::new(&title, busy / quiet, "times", Goal::Under(1.5)));
            }
        }
    }
}

fn questions(records: &[Value], rows: f64, figure: &mut dyn FnMut(Figure)) {
    let mut memory = 0.0_f64;
    for (name, text) in QUESTIONS {
        let Some(ours) = asked(records, "bartizan", name) else { continue };
        memory = memory.max(number(ours, "memory_mb").unwrap_or_default());
        for (key, word) in [("hot_ms", "hot"), ("cold_ms", "cold")] {
            let value = number(ours, key).unwrap_or_default();
            let peers = ENGINES[1..4].iter();
            let of = peers.filter_map(|peer| Some((*peer, number(asked(records, peer, name)?, key)?)));
            let fastest = of.reduce(|a, b| if b.1 < a.1 { b } else { a });
            let goal = fastest.map_or(Goal::None, |(_, peer)| Goal::Under((peer * 10.0).round() / 10.0));
            figure(beside(Figure::new(&format!("{name} {text}, {word}"), value, "ms", goal), fastest));
        }
        if let Some((_, promised)) = PROMISED.iter().find(|(of, _)| *of == name) {
            let hot = number(ours, "hot_ms").unwrap_or_default();
            let limit = if rows > 50e6 && *promised == 20.0 { 60.0 } else { *promised };
            figure(Figure::new(&format!("{name} {text}, promised"), hot, "ms", Goal::Under(limit)));
        }
        if let Some(cached) = number(ours, "cached_ms") {
            figure(Figure::new(&format!("{name} {text}, answers kept"), cached, "ms", Goal::None));
        }
        for peer in &ENGINES[1..] {
            if let Some(equal) = equal(records, name, peer, rows) {
                let title = format!("{name} answered as {peer} does");
                figure(Figure::new(&title, f64::from(u8::from(equal)), "", Goal::Equal(1.0)));
            }
        }
    }
    figure(Figure::new("memory while asking, peak", memory, "MB", Goal::Under(1500.0)));
}

/// Whether a peer gives our answer. Peers that hold only the last hours are compared where that is enough.
fn equal(records: &[Value], question: &str, peer: &str, rows: f64) -> Option<bool> {
    let answer = |engine: &str| -> Option<Answer> {
        serde_json::from_value(asked(records, engine, question)?["answer"].clone()).ok()
    };
    let holds_all = number(loaded(records, peer)?, "rows")? >= rows;
    let (ours, theirs) = (answer("bartizan")?, answer(peer)?);
    (holds_all || matches!(question, "Q3" | "Q8")).then(|| questions::same(question, &ours, &theirs))
}

/// Milliseconds of all engines, hot and cold.
pub(super) fn matrix(records: &[Value]) -> String {
    let mut out = String::from("\nmilliseconds, hot / cold\n");
    let held = |engine: &str| {
        let rows = loaded(records, engine).and_then(|r| number(r, "rows"));
        rows.map_or_else(|| engine.to_owned(), |rows| format!("{engine} ({:.1} M)", rows / 1e6))
    };
    let _ = write!(out, "{:<44}", "question");
    for engine in ENGINES {
        let _ = write!(out, " {:>22}", held(engine));
    }
    for (name, text) in QUESTIONS {
        let _ = write!(out, "\n{:<44}", format!("{name} {text}"));
        for engine in ENGINES {
            let cell = match asked(records, engine, name) {
                Some(record) if record.get("error").is_some() => "failed".to_owned(),
                Some(record) => {
                    let of = |key| number(record, key).unwrap_or(f64::NAN);
                    format!("{:.1} / {:.1}", of("hot_ms"), of("cold_ms"))
                }
                None => "-".to_owned(),
            };
            let _ = write!(out, " {cell:>22}");
        }
    }
    out.push('\n');
    out
}
