//! What upkeep does in time, done at once: compaction until nothing is left to do, then the rollups.

use super::{Paths, load};
use crate::machine::{cpu_seconds, peak_megabytes};
use anyhow::Result;
use bartizan_lake::{RollOptions, Table, Tables};
use bartizan_model::{Kind, Micros};
use bartizan_schema::{Rollup, table_columns};
use serde_json::{Map, Value, json};
use std::time::Instant;

pub(super) fn run(paths: &Paths) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let tables = paths.tables(load::options()).await?;
        let (begun, cpu) = (Instant::now(), cpu_seconds(std::process::id())?);
        let pieces = compact(&tables, paths).await?;
        let compacted = begun.elapsed().as_secs_f64();
        roll(&tables, paths).await?;
        let rolled = begun.elapsed().as_secs_f64() - compacted;
        let cpu = cpu_seconds(std::process::id())? - cpu;
        let events = tables.of(Kind::Events);
        let (files, rows, bytes) = size(events);
        let mut rollups = Map::new();
        for rollup in Rollup::ALL {
            let (files, rows, bytes) = size(tables.rollup(rollup));
            rollups.insert(rollup.as_str().to_owned(), json!({ "files": files, "rows": rows, "bytes": bytes }));
        }
        Ok(json!({
            "seconds": compacted, "roll_s": rolled, "pieces": pieces, "cpu_s": cpu, "rows": rows, "bytes": bytes,
            "files": files, "rollups": rollups, "columns": columns(paths, events)?,
            "memory_mb": peak_megabytes(std::process::id())?,
        }))
    })
}

async fn compact(tables: &Tables, paths: &Paths) -> Result<usize> {
    let (how, mut pieces) = (bartizan_lake::Compact::default(), 0);
    // long after the last commit, so that what is left of the last day is put in order too
    let quiet = Micros(paths.now().0 + Micros::DAY);
    while tables.of(Kind::Events).compact(&how, quiet).await?.is_some() {
        pieces += 1;
    }
    Ok(pieces)
}

async fn roll(tables: &Tables, paths: &Paths) -> Result<()> {
    while tables.roll(RollOptions::default(), paths.now()).await?.more {}
    Ok(())
}

fn size(table: &Table) -> (usize, u64, u64) {
    let files = table.view().files;
    let sum = |of: fn(&bartizan_lake::DataFile) -> u64| files.iter().map(|file| of(file)).sum::<u64>();
    (files.len(), sum(|f| f.rows().unwrap_or(0)), sum(bartizan_lake::DataFile::size))
}

/// Bytes of each column, as the files' footers say.
fn columns(paths: &Paths, table: &Table) -> Result<Map<String, Value>> {
    use parquet::file::reader::FileReader as _;
    let mut bytes = vec![0_i64; table_columns(Kind::Events).len()];
    for file in table.view().files.iter() {
        let file = std::fs::File::open(paths.lake.join(file.path().as_ref()))?;
        let reader = parquet::file::serialized_reader::SerializedFileReader::new(file)?;
        for group in reader.metadata().row_groups() {
            for (sum, column) in bytes.iter_mut().zip(group.columns()) {
                *sum += column.compressed_size();
            }
        }
    }
    let named = table_columns(Kind::Events).iter().zip(bytes).filter(|(_, bytes)| *bytes > 0);
    Ok(named.map(|(column, bytes)| (column.name.to_owned(), json!(bytes))).collect())
}
