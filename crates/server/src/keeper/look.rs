//! Verify and vacuum.

use super::{End, Keeper, Listener, of_table};
use bartizan_api::Verify;
use bartizan_lake::{Collected, LakeError};
use serde_json::json;

pub(super) async fn verify(keeper: Keeper, mut listener: Listener, asked: Verify) -> Result<End, LakeError> {
    let (mut files, mut bytes, mut rows, mut problems, mut harmless, mut taken) = (0, 0, 0, 0, 0, 0);
    let mut read = 0_u64;
    for table in keeper.tables.all() {
        let name = table.relation();
        let found = table
            .examine(!asked.quick, |file| {
                read += file.size();
                listener.progress(|| format!("{name}: {} MB read", read >> 20));
            })
            .await?;
        for problem in &found.problems {
            listener.item(&of_table(name, problem)).await;
            if problem.is_harmless() {
                harmless += 1;
            } else {
                tracing::error!(table = %name, %problem, "the lake is not as it should be");
                problems += 1;
            }
        }
        if asked.repair {
            let forgotten = table.repair(&found.problems, bartizan_clock::now()).await?;
            taken += forgotten.len();
            for file in forgotten {
                tracing::warn!(file = %file.path(), "taken out of the log");
            }
        }
        (files, bytes, rows) = (files + found.files, bytes + found.bytes, rows + found.rows);
    }
    if !asked.quick {
        let wrong = keeper.tables.verify_rollups(|_| listener.progress(|| "rollups".to_owned())).await?;
        for problem in &wrong {
            listener.item(&of_table("rollups", problem)).await;
        }
        problems += wrong.len();
    }
    let sums = json!({
        "files": files, "bytes": bytes, "rows": rows, "problems": problems, "harmless": harmless, "taken_out": taken,
    });
    Ok(End::new(problems == 0, sums))
}

pub(super) async fn vacuum(keeper: Keeper, listener: Listener, dry: bool) -> Result<End, LakeError> {
    let now = bartizan_clock::now();
    let mut sum = Collected::default();
    for table in keeper.tables.all() {
        let name = table.relation();
        if dry {
            let (waiting, ripe) = table.removed(now).await?;
            sum.removed_files += ripe;
            listener
                .item(&of_table(name, &json!({ "removed_files": ripe, "waiting": waiting - ripe })))
                .await;
            continue;
        }
        let collected = table.collect(now).await?;
        let (waiting, _) = table.removed(now).await?;
        let mut item = of_table(name, &collected);
        item["waiting"] = waiting.into();
        listener.item(&item).await;
        sum.log_files += collected.log_files;
        sum.data_files += collected.data_files;
        sum.removed_files += collected.removed_files;
        sum.bytes += collected.bytes;
    }
    Ok(End::new(true, serde_json::to_value(sum).unwrap_or_default()))
}
