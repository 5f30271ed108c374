//! How long the longest question works on after its asker has gone.

use super::{Paths, ask, load, questions};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const QUESTION: &str = "Q7b";
/// The asker goes after this long, twice as long, and so on.
const STEP: Duration = Duration::from_millis(40);
const TIMES: u32 = 10;
/// How often it is looked whether somebody still works.
const LOOK: Duration = Duration::from_micros(500);

pub(super) fn run(paths: &Paths) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let tables = paths.tables(load::options()).await?;
        let engine = ask::engine(&tables, 0)?;
        // once to its end, so that the files are in memory
        questions::ask(&engine, QUESTION).await?;
        let (mut cut, mut worst) = (0, 0.0_f64);
        for time in 1..=TIMES {
            if tokio::time::timeout(STEP * time, questions::ask(&engine, QUESTION)).await.is_ok() {
                break; // it is quicker than that
            }
            cut += 1;
            let gone = Instant::now();
            while engine.working() > 0 {
                tokio::time::sleep(LOOK).await;
            }
            worst = worst.max(ask::millis(gone.elapsed()));
        }
        ensure!(cut > 0, "{QUESTION} took less than {STEP:?}");
        Ok(json!({ "cut": cut, "worst_ms": worst }))
    })
}
