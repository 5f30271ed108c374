//! Questions that rollups answer, over the fleet's events: what they take, and what the rollups take to make.
//!
//! Hot means asked before: files are in the page cache, footers in memory, and no answer is kept.

use crate::figure::{Figure, Goal};
use crate::fleet::{Batching, Fleet, Plan, Senders, table_rows};
use anyhow::{Context as _, Result};
use bartizan_filter::{Context, Filter};
use bartizan_lake::{Append, Compact, DurableLocal, Options, RollOptions, Tables};
use bartizan_model::{Kind, Micros};
use bartizan_query::{Bucket, Engine, Histogram, Limits, RowStream, Window};
use bartizan_schema::Rollup;
use object_store::ObjectStore;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MINUTE: i64 = 60_000_000;
/// How often each question is asked; the median counts.
const TIMES: usize = 9;

/// The figures of a lake of so many events in a folder; it is made if it is not there.
pub(crate) fn run(events: f64, dir: &Path, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new(dir)?);
        let options = Options { hot_limit: 2 << 30, ..Options::default() };
        let tables = Tables::open(&store, &options, crate::fleet::END).await?;
        if tables.of(Kind::Events).view().files.is_empty() {
            fill(&tables, Plan::of(events), figure).await?;
        }
        ask(&tables, events, figure).await
    })
}

async fn fill(tables: &Tables, plan: Plan, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (fleet, mut senders) = (Fleet::new(plan), Senders::new(Batching { rows: 8192, age: MINUTE }));
    let table = tables.of(Kind::Events);
    let mut rows = 0_u64;
    for hour in 0..fleet.hours() {
        for sent in senders.cut(&fleet.hour(hour)) {
            let batch = table_rows(&fleet, std::slice::from_ref(&sent));
            rows += batch.num_rows() as u64;
            let appended = table.append(sent.id(&fleet), vec![batch], 1000, sent.received)?;
            anyhow::ensure!(appended == Append::Appended, "{appended:?}");
        }
        table.commit(crate::fleet::END).await?;
    }
    let later = Micros(crate::fleet::END.0 + 3_600_000_000);
    let began = Instant::now();
    while table.compact(&Compact::default(), later).await?.is_some() {}
    let compacted = began.elapsed();
    let began = Instant::now();
    while tables.roll(RollOptions::default(), later).await?.more {}
    let rolled = began.elapsed();
    let per = |took: Duration| rows as f64 / took.as_secs_f64() / 1e6;
    figure(Figure::new("rollups.compacted", per(compacted), "million rows/s", Goal::None));
    figure(Figure::new("rollups.rolled", per(rolled), "million rows/s", Goal::None));
    Ok(())
}

/// A name, which events, from when to when, by what, and how long a piece of time is.
type Asked<'a> = (&'a str, &'a Filter, Window, &'a [&'a str], Option<i64>);

async fn ask(tables: &Tables, events: f64, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let rows: u64 = tables.of(Kind::Events).view().files.iter().filter_map(|f| f.rows()).sum();
    for rollup in Rollup::ALL {
        let bytes: u64 = tables.rollup(rollup).view().files.iter().map(|f| f.size()).sum();
        let counts: u64 = tables.rollup(rollup).view().files.iter().filter_map(|f| f.rows()).sum();
        let name = format!("rollups.{}", rollup.as_str());
        figure(Figure::new(&name, bytes as f64 / rows as f64, "bytes/event", Goal::None));
        figure(Figure::new(&format!("{name}.rows"), counts as f64, "rows", Goal::None));
    }
    let goal = if events > 50e6 { 60.0 } else { 20.0 };
    let engine = Engine::new(Arc::new(tables.clone()), &Limits::default()).context("the engine")?;
    let day =
        Window { since: Some(Micros(crate::fleet::END.0 - Micros::DAY)), until: Some(crate::fleet::END) };
    let cut = Window {
        since: Some(Micros(crate::fleet::END.0 - Micros::DAY + 7 * MINUTE + 1)),
        until: Some(Micros(crate::fleet::END.0 - 3)),
    };
    let all = Filter::parse_for(Kind::Events, "", &Context::default())?;
    let drops = Filter::parse_for(Kind::Events, "action:drop", &Context::default())?;
    let ssh = Filter::parse_for(Kind::Events, "prefix:\"SSH-BRUTE \"", &Context::default())?;
    let hour = Window {
        since: Some(Micros(crate::fleet::END.0 - 5 * 60 * MINUTE)),
        until: Some(Micros(crate::fleet::END.0 - 4 * 60 * MINUTE)),
    };
    let none: &[&str] = &[];
    let asked: [Asked<'_>; 12] = [
        ("histogram", &all, day, none, Some(MINUTE)),
        ("histogram_by_action", &all, day, &["action"], Some(MINUTE)),
        ("histogram_cut", &drops, cut, none, Some(MINUTE)),
        ("histogram_of_host", &all, day, &["host"], Some(60 * MINUTE)),
        ("top_sources", &all, Window::ALL, &["src"], None),
        ("top_sources_dropped", &drops, Window::ALL, &["src"], None),
        ("top_sources_cut", &all, cut, &["src"], None),
        ("host_and_prefix", &all, Window::ALL, &["host", "prefix"], None),
        ("host_and_prefix_cut", &all, cut, &["host", "prefix"], None),
        ("ports_of_prefix_in_hour", &ssh, hour, &["dport"], None),
        ("ports", &all, Window::ALL, &["dport"], None),
        ("countries", &all, Window::ALL, &["src_country"], None),
    ];
    for (name, filter, window, by, width) in asked {
        let question = async || -> Result<RowStream> {
            let kind = Kind::Events;
            Ok(match width {
                Some(width) => {
                    let bucket = Bucket::new(width, Micros(0));
                    let by = by.iter().map(|name| (*name).to_owned()).collect();
                    engine.histogram(Histogram { kind, filter, window, bucket, by, limit: None }).await?
                }
                None => engine.top(kind, filter, window, by, 20).await?,
            })
        };
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let began = Instant::now();
            let answer = question().await?;
            let _ = answer.collect().await?;
            took.push(began.elapsed());
        }
        let cold = took[0];
        took.sort_unstable();
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        let median = ms(took[TIMES / 2]);
        figure(Figure::new(&format!("rollups.{name}"), median, "ms", Goal::Under(goal)));
        figure(Figure::new(&format!("rollups.{name}.first"), ms(cold), "ms", Goal::None));
        crate::say(&engine.explain(
            Kind::Events,
            filter,
            window,
            by,
            width.map(|w| Bucket::new(w, Micros(0))),
        )?);
    }
    Ok(())
}
