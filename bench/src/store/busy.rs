//! The questions while events come in at half of the rate at which they were loaded, beside the same without, right
//! after it and of the same rows. Nothing is compacted meanwhile.

use super::{Paths, ask, load, questions};
use anyhow::{Context as _, Result};
use bartizan_model::{Epoch, Kind};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Asked this often, with events and without in turn, so that what else the machine does hits both.
const ROUNDS: usize = 2;
/// For how long events have come when a question is asked.
const LEAD: Duration = Duration::from_secs(1);

pub(super) fn run(paths: &Paths) -> Result<Value> {
    // on a copy, so that later questions have the same answers
    let copy = Paths {
        lake: paths.root.join("busy"),
        root: paths.root.clone(),
        fleet: paths.fleet.clone(),
        ..*paths
    };
    let _ = fs::remove_dir_all(&copy.lake);
    link(&paths.lake, &copy.lake)?;
    let record: Value = serde_json::from_slice(
        &fs::read(paths.root.join("load.json")).context("how fast it was loaded; run the part load")?,
    )?;
    let rows = record["rows"].as_f64().context("rows")?;
    let pace = rows / record["seconds"].as_f64().context("seconds")? / 2.0;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let result = runtime.block_on(async {
        let tables = copy.tables(load::options()).await?;
        let engine = ask::engine(&tables, 0)?;
        let receiver = Arc::new(load::Receiver::new(&copy)?);
        let mut quiet: Vec<Vec<f64>> = vec![Vec::new(); questions::QUESTIONS.len()];
        let mut busy = quiet.clone();
        let (mut came, mut seconds, mut epoch) = (0, 0.0, 1);
        for _ in 0..ROUNDS {
            for (n, (name, _)) in questions::QUESTIONS.iter().enumerate() {
                let stop = AtomicBool::new(false);
                let asking = async {
                    tokio::time::sleep(LEAD).await;
                    busy[n].extend(ask::repeated(&engine, name).await.ok());
                    stop.store(true, Ordering::Relaxed);
                };
                epoch += 1;
                let feed = load::Feed {
                    paths: &copy,
                    receiver: Arc::clone(&receiver),
                    epoch: Epoch(epoch),
                    pace: Some(pace),
                    stop: Some(&stop),
                };
                let begun = Instant::now();
                let (loaded, ()) = tokio::join!(feed.run(tables.of(Kind::Events)), asking);
                came += loaded?.rows;
                seconds += begun.elapsed().as_secs_f64();
                // of the same rows, so that the difference is what the work beside it costs
                quiet[n].extend(ask::repeated(&engine, name).await.ok());
            }
        }
        let rate = came as f64 / seconds;
        let mut times = Map::new();
        for (n, (name, _)) in questions::QUESTIONS.iter().enumerate() {
            let of = |times: &[f64]| crate::machine::median(times.iter().copied());
            times.insert((*name).to_owned(), json!({ "quiet_ms": of(&quiet[n]), "busy_ms": of(&busy[n]) }));
        }
        Ok(json!({ "pace": pace, "rate": rate, "questions": times }))
    });
    fs::remove_dir_all(&copy.lake)?;
    result
}

/// The same files under other names; a lake changes no file that it has written.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|e| (e.path(), e.file_name()))?;
        if path.is_dir() {
            link(&path, &to.join(name))?;
        } else {
            fs::hard_link(&path, to.join(name))?;
        }
    }
    Ok(())
}
