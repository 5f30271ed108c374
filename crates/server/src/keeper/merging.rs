//! Compaction at once: what the background work would do in time, without its pauses.

use super::{End, Keeper, Listener, of_table};
use bartizan_lake::{LakeError, RollOptions};
use serde_json::json;

/// Merges and sorts until nothing is left to do, then makes the rollups. The background work takes pieces meanwhile.
pub(super) async fn compact(keeper: Keeper, mut listener: Listener) -> Result<End, LakeError> {
    let (mut pieces, mut rows, mut rolled) = (0, 0, 0);
    keeper.tables.settle_history(bartizan_clock::now()).await?;
    for table in keeper.tables.iter() {
        loop {
            let done = match table.compact(&keeper.compact, bartizan_clock::now()).await {
                Ok(None) => break,
                Ok(Some(done)) => done,
                // another one merged these files
                Err(LakeError::Replaced { .. }) => continue,
                Err(error) => return Err(error),
            };
            pieces += 1;
            rows += done.rows;
            let item = json!({
                "shape": done.shape.as_str(), "files": done.files, "rows": done.rows, "bytes": done.read,
                "bytes_after": done.written,
            });
            listener.item(&of_table(table.relation(), &item)).await;
        }
    }
    loop {
        let made = keeper.tables.roll(RollOptions::default(), bartizan_clock::now()).await?;
        rolled += made.made;
        listener.progress(|| format!("{rolled} files of rollups"));
        if !made.more {
            break;
        }
    }
    Ok(End::new(true, json!({ "pieces": pieces, "rows": rows, "rollups": rolled })))
}
