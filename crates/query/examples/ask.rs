//! What questions take on a lake that is there: `ask LAKE [ROUNDS]`. Times are the least of the rounds, without any
//! cache of answers.

#![expect(clippy::print_stdout, reason = "a measuring tool for people")]

use bartizan_filter::{Context, Filter};
use bartizan_lake::{Options, Tables};
use bartizan_model::{Kind, Micros};
use bartizan_query::{Engine, Inquiry, Limits, Search, Spread, Stats, Window, asked_for};
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use std::sync::Arc;
use std::time::Instant;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let lake = args.next().ok_or("ask LAKE [ROUNDS]")?;
    let rounds: usize = args.next().map_or(Ok(5), |n| n.parse())?;
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(&lake)?);
    let tables = Tables::open(&store, &Options::default(), Micros(0)).await?;
    let view = tables.of(Kind::Events).view();
    let (rows, bytes) = view
        .files
        .iter()
        .fold((0, 0), |(rows, bytes), file| (rows + file.rows().unwrap_or(0), bytes + file.size()));
    println!("{} files, {rows} rows, {bytes} bytes", view.files.len());
    let engine = Engine::new(Arc::new(tables), &Limits::default())?;

    let filter = |text: &str| Filter::parse(text, &Context::default());
    let needle = std::env::var("NEEDLE").unwrap_or_else(|_| "203.0.113.77".to_owned());
    let host = std::env::var("HOST_NAME").unwrap_or_else(|_| "host016".to_owned());
    for text in [
        format!("src:{needle}"),
        "src:203.0.113.0/24 dport:22".to_owned(),
        format!("host:{host} -dport:443"),
        "-dport:443".to_owned(),
    ] {
        let filter = filter(&text)?;
        let search = || Search { limit: Some(100), ..Search::new(Kind::Events, &filter) };
        time(&text, rounds, async || {
            let mut rows = engine.search(search()).await?;
            let mut n = 0;
            while let Some(batch) = rows.next().await {
                n += batch?.num_rows();
            }
            Ok((n, rows.stats()))
        })
        .await?;
    }
    let all = Filter::all();
    time("distinct src by dport", rounds, async || {
        let mut rows = engine.distinct(Kind::Events, &all, Window::ALL, "dport", "src", 50).await?;
        let n = rows.next().await.transpose()?.map_or(0, |batch| batch.num_rows());
        Ok((n, rows.stats()))
    })
    .await?;
    time("spread 100,5", rounds, async || {
        let mut rows = engine.spread(&all, Window::ALL, Spread { ports: 100, hosts: 5 }, 100).await?;
        let n = rows.next().await.transpose()?.map_or(0, |batch| batch.num_rows());
        Ok((n, rows.stats()))
    })
    .await?;
    let latest = view.files.iter().filter_map(|file| file.time()).map(|(_, max)| max.0).max().unwrap_or(0);
    let hour = Window { since: Some(Micros(latest - 3_600_000_000)), until: None };
    let fields = ["action", "host", "src", "dst", "dport", "proto", "prefix", "in"];
    for (name, window) in [("8 facets of an hour", hour), ("8 facets of all", Window::ALL)] {
        time(name, rounds, async || {
            let inquiry = Arc::new(Inquiry::default());
            let found =
                asked_for(Arc::clone(&inquiry), engine.facets(Kind::Events, &all, window, &fields, 10))
                    .await?;
            let cost = inquiry.cost();
            let opened = usize::try_from(cost.files)?;
            let stats = Stats { opened, looked_at: cost.rows, bytes: cost.bytes, ..Stats::default() };
            Ok((usize::try_from(found.rows)?, stats))
        })
        .await?;
    }
    time("top src", rounds.min(2), async || {
        let mut rows = engine.top(Kind::Events, &all, Window::ALL, &["src"], 20).await?;
        let n = rows.next().await.transpose()?.map_or(0, |batch| batch.num_rows());
        Ok((n, rows.stats()))
    })
    .await?;
    Ok(())
}

async fn time(
    name: &str,
    rounds: usize,
    mut ask: impl AsyncFnMut() -> Result<(usize, Stats), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut took = Vec::new();
    let mut last = (0, Stats::default());
    for _ in 0..rounds {
        let started = Instant::now();
        last = ask().await?;
        took.push(started.elapsed());
    }
    let (n, stats) = last;
    println!(
        "{name}: first {:?}, best {:?}; {n} rows, {} of {} files, {} rows looked at, {} bytes",
        took.first(),
        took.iter().min(),
        stats.opened,
        stats.files,
        stats.looked_at,
        stats.bytes
    );
    Ok(())
}
