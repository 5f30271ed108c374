//! One question in a process of its own: cold, with the lake's files dropped from the page cache, then repeated.

use super::{Paths, load, questions};
use crate::machine::{median, peak_megabytes};
use anyhow::Result;
use bartizan_query::{Engine, Limits};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a question is repeated, and for how long.
pub(super) const TIMES: usize = 5;
/// Bytes for answers, where they are kept.
const ANSWERS: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(12);

pub(super) fn run(paths: &Paths, name: &str) -> Result<Value> {
    evict(&paths.lake)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let tables = paths.tables(load::options()).await?;
        let engine = engine(&tables, 0)?;
        let open = begun.elapsed();
        // what opening has read is cold again
        evict(&paths.lake)?;
        let begun = Instant::now();
        let first = questions::ask(&engine, name).await?;
        let cold = begun.elapsed();
        let hot = repeated(&engine, name).await?;
        let memory = peak_megabytes(std::process::id())?;
        let cached = repeated(&self::engine(&tables, ANSWERS)?, name).await?;
        Ok(json!({
            "engine": "bartizan", "question": name, "open_ms": millis(open), "cold_ms": millis(cold),
            "hot_ms": hot, "cached_ms": cached, "memory_mb": memory, "answer": questions::answer(name, &first)?,
        }))
    })
}

/// With the server's limits, and so many bytes for answers; without, each question is worked out anew.
pub(super) fn engine(tables: &bartizan_lake::Tables, answers: usize) -> Result<Engine> {
    let limits = Limits { answer_cache: answers, ..Limits::default() };
    Ok(Engine::new(Arc::new(tables.clone()), &limits)?)
}

/// The median of some runs, in milliseconds.
pub(super) async fn repeated(engine: &Engine, name: &str) -> Result<f64> {
    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < TIMES && (times.is_empty() || begun.elapsed() < PATIENCE) {
        let started = Instant::now();
        questions::ask(engine, name).await?;
        times.push(millis(started.elapsed()));
    }
    Ok(median(times))
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Drops the files below a folder from the page cache.
pub(super) fn evict(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            evict(&path)?;
        } else {
            let file = File::open(&path)?;
            file.sync_data()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
