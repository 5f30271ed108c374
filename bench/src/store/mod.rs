//! The store beside those that people would pick instead: ClickHouse, DuckDB, VictoriaLogs, PostgreSQL with ulogd2's
//! flat table. The same events, the same questions, the same machine, one run.
//!
//! Each step is a process of its own, so that memory is that of the step: load (from agents' batches, committed),
//! settle (compaction and rollups to the end, as others merge), ask (one process per question: cold with the store's
//! files dropped from the page cache, then repeated), busy (the questions while events come at half of the rate).
//! *Hot* is repeated without any cache of answers; with ours it is a figure of its own. Answers are compared.
//!
//! The records of a run stay in `target/bench/store-EVENTS.json`; [`curve`] draws those of all runs.

mod ask;
mod busy;
mod cancel;
mod curve;
mod load;
mod peers;
mod questions;
mod report;
mod settle;

use crate::figure::Figure;
use crate::fleet::{Batching, END, Form, Plan, write};
use anyhow::{Context as _, Result, bail, ensure};
use bartizan_lake::{DurableLocal, Options, Tables};
use bartizan_model::Micros;
use object_store::ObjectStore;
use peers::Python;
use questions::QUESTIONS;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// Rows that PostgreSQL and VictoriaLogs get at most: both take minutes for millions.
const POSTGRES_ROWS: u64 = 3_000_000;
const VICTORIA_ROWS: u64 = 3_000_000;

/// Where a run has its things.
#[derive(Debug)]
struct Paths {
    /// `target/bench/store-EVENTS`.
    root: PathBuf,
    fleet: PathBuf,
    lake: PathBuf,
    plan: Plan,
}

impl Paths {
    fn new(events: f64) -> Self {
        let root = target().join(format!("bench/store-{events}"));
        Self { fleet: root.join("fleet"), lake: root.join("lake"), root, plan: Plan::of(events) }
    }

    async fn tables(&self, options: Options) -> Result<Tables> {
        let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new(&self.lake)?);
        Ok(Tables::open(&store, &options, self.now()).await?)
    }

    /// The time of the fleet when all has come.
    const fn now(&self) -> Micros {
        load::after(END)
    }

    fn text(&self, below: &str) -> String {
        self.root.join(below).display().to_string()
    }
}

fn target() -> PathBuf {
    root().join("target")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// What was asked for.
#[derive(Debug)]
struct Wanted {
    events: f64,
    peers: Vec<String>,
    postgres: u64,
    victoria: u64,
    keep: bool,
}

impl Wanted {
    fn parse(args: &[String]) -> Result<Self> {
        let mut wanted = Self {
            events: 20e6,
            peers: ["clickhouse", "duckdb", "victorialogs", "postgresql"].map(str::to_owned).to_vec(),
            postgres: POSTGRES_ROWS,
            victoria: VICTORIA_ROWS,
            keep: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--events" => wanted.events = value()?.parse()?,
                "--peers" => wanted.peers = value()?.split(',').map(str::to_owned).collect(),
                "--postgres-rows" => wanted.postgres = value()?.parse()?,
                "--victoria-rows" => wanted.victoria = value()?.parse()?,
                // the lake and the fleet's files as they are: only ask
                "--keep" => wanted.keep = true,
                other => bail!("{USAGE}; not {other}"),
            }
        }
        Ok(wanted)
    }
}

const USAGE: &str = "usage: bartizan-bench store [--events N] [--peers clickhouse,duckdb,victorialogs,postgresql|none] \
    [--postgres-rows N] [--victoria-rows N] [--keep]";

/// `store [OPTIONS]`.
pub(crate) fn run(args: &[String], figure: &mut dyn FnMut(Figure), say: &mut dyn FnMut(&str)) -> Result<()> {
    let wanted = Wanted::parse(args)?;
    let paths = Paths::new(wanted.events);
    let begun = Instant::now();
    let mut step = |what: &str| eprintln!("[{:>4.0} s] {what}", begun.elapsed().as_secs_f64());
    let mut records = Vec::new();

    step("events as agents send them");
    let rows = write(paths.plan, Batching::bulk(paths.plan), &paths.fleet, Form::Wire)?;
    if !wanted.keep {
        let _ = fs::remove_dir_all(&paths.lake);
        fs::create_dir_all(&paths.lake)?;
        step("load");
        records.push(part(&paths, "load", &[])?);
        step("settle");
        records.push(part(&paths, "settle", &[])?);
    }
    for (name, _) in QUESTIONS {
        step(&format!("ask {name}"));
        match part(&paths, "ask", &[name]) {
            Ok(record) => records.push(record),
            Err(error) => eprintln!("{name}: {error:#}"),
        }
    }
    step("ask, and go away");
    match part(&paths, "cancel", &[]) {
        Ok(record) => records.push(record),
        Err(error) => eprintln!("{error:#}"),
    }
    step("ask while events come");
    records.push(part(&paths, "busy", &[])?);
    records.push(json!({ "part": "fleet", "events": wanted.events, "rows": rows }));
    save(wanted.events, &records)?;
    others(&wanted, &paths, rows, &mut records, &mut step)?;
    report(wanted.events, figure, say)?;
    if let Some(drawn) = curve::draw(&target().join("bench"), &root().join("bench/cost.svg"))? {
        step(&format!("drew {}", drawn.display()));
    }
    step("done");
    Ok(())
}

fn saved(events: f64) -> PathBuf {
    target().join(format!("bench/store-{events}.json"))
}

/// After each store, so that a run that is ended early is not for nothing.
fn save(events: f64, records: &[Value]) -> Result<()> {
    Ok(fs::write(saved(events), serde_json::to_vec(records)?)?)
}

/// `store-report EVENTS`: figures and table of the records that the last run of so many events left.
pub(crate) fn report(events: f64, figure: &mut dyn FnMut(Figure), say: &mut dyn FnMut(&str)) -> Result<()> {
    let records: Vec<Value> = serde_json::from_slice(&fs::read(saved(events))?)?;
    let fleet = records.iter().find(|r| r["part"] == "fleet").context("no record of the fleet")?;
    report::figures(&records, fleet["rows"].as_u64().context("rows of the fleet")?, figure);
    say(&report::matrix(&records));
    Ok(())
}

/// The other stores, one after the other. One that fails is told, and the rest goes on.
fn others(
    wanted: &Wanted,
    paths: &Paths,
    rows: u64,
    records: &mut Vec<Value>,
    step: &mut dyn FnMut(&str),
) -> Result<()> {
    let names: Vec<&str> = QUESTIONS.iter().map(|(name, _)| *name).collect();
    let python = if wanted.peers == ["none"] { return Ok(()) } else { Python::ready(&root())? };
    for peer in &wanted.peers {
        let store = paths.text(peer);
        let result: Result<Vec<Value>> = (|| match peer.as_str() {
            "clickhouse" | "duckdb" => {
                step(&format!("{peer}: load"));
                write(paths.plan, Batching::bulk(paths.plan), &paths.fleet, Form::Parquet)?;
                let mut found =
                    python.run("embedded.py", &["load", peer, &paths.text("fleet/parquet"), &store])?;
                for name in &names {
                    step(&format!("{peer}: ask {name}"));
                    match python.run("embedded.py", &["ask", peer, &store, name]) {
                        Ok(lines) => found.extend(lines),
                        Err(error) => eprintln!("{error:#}"),
                    }
                }
                Ok(found)
            }
            "postgresql" | "victorialogs" => {
                let (form, most) = match peer.as_str() {
                    "postgresql" => (Form::Tsv, wanted.postgres),
                    _ => (Form::Json, wanted.victoria),
                };
                if peer == "victorialogs" && peers::victoria_logs().is_none() {
                    step("victorialogs: there is no `victoria-logs` in the path and none in VICTORIA_LOGS");
                    return Ok(Vec::new());
                }
                step(&format!("{peer}: load"));
                let hours = hours_for(paths.plan, rows, most);
                crate::fleet::write_last(paths.plan, Batching::bulk(paths.plan), &paths.fleet, form, hours)?;
                let script = format!("{peer}.py");
                let source = paths.text(&format!("fleet/{}", form.name()));
                let mut found = python.run(&script, &["load", &source, &store, &most.to_string()])?;
                step(&format!("{peer}: ask"));
                let mut ask = vec!["ask", &store];
                ask.extend(&names);
                found.extend(python.run(&script, &ask)?);
                Ok(found)
            }
            other => bail!("there is no peer {other}"),
        })();
        match result {
            Ok(found) => records.extend(found),
            Err(error) => eprintln!("{peer}: {error:#}"),
        }
        save(wanted.events, records)?;
    }
    Ok(())
}

/// The last hours that surely hold so many rows.
fn hours_for(plan: Plan, rows: u64, most: u64) -> u32 {
    let all = plan.days * 24;
    let needed = (most as f64 / rows.max(1) as f64 * f64::from(all) * 1.4).ceil() as u32 + 1;
    needed.min(all)
}

/// A step of ours in a process of its own; its record is its last line.
fn part(paths: &Paths, name: &str, args: &[&str]) -> Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .args(["store-part", name, &paths.plan.events.to_string()])
        .args(args)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the part {name} {args:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let mut record: Value = serde_json::from_str(text.lines().last().context("a part that says nothing")?)?;
    record["part"] = json!(name);
    Ok(record)
}

/// `store-part NAME EVENTS [QUESTION]`: one step, for [`run`].
pub(crate) fn run_part(args: &[String]) -> Result<Value> {
    let [name, events, rest @ ..] = args else { bail!("store-part NAME EVENTS [QUESTION]") };
    let paths = Paths::new(events.parse()?);
    match (name.as_str(), rest) {
        ("load", []) => load::run(&paths),
        ("settle", []) => settle::run(&paths),
        ("ask", [question]) => ask::run(&paths, question),
        ("cancel", []) => cancel::run(&paths),
        ("busy", []) => busy::run(&paths),
        _ => bail!("there is no part {name} {rest:?}"),
    }
}
