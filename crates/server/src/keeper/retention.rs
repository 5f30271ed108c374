//! Retention and erasing: what goes, when, and what is said of it.

use super::{End, Keeper, Listener, chain, of_table};
use bartizan_api::Erase;
use bartizan_catalog::{CatalogError, Erasure};
use bartizan_lake::{Erased, LakeError, Policies, Retention};
use bartizan_model::Micros;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use super::rules::RetainError;

/// How long the files of erased rows stay, for questions that were asked before.
const ERASED_STAY: i64 = 15 * 60 * 1_000_000;
/// How often it is looked for rows that are old enough.
const RETAIN_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked for files that nobody needs.
const VACUUM_EVERY: Duration = Duration::from_secs(900);
/// The name of the last time that retention believed.
const BELIEVED: &str = "retention";

/// Why nothing was kept in order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// A rule or a hold is not understood.
    #[error(transparent)]
    Rule(#[from] RetainError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A backup failed.
    #[error(transparent)]
    Backup(#[from] bartizan_lake::BackupError),
    /// A file could not be read or written.
    #[error("cannot {0}")]
    File(String, #[source] std::io::Error),
    /// The server may not write there.
    #[error(
        "the server may not write to {0}: a folder that its user may write to has to be in `sandbox.write` of its \
         configuration and, under systemd, in `ReadWritePaths` of its unit"
    )]
    Elsewhere(String, #[source] std::io::Error),
    /// What is kept of an erasure cannot be read.
    #[error("an erasure in the catalog is damaged")]
    Receipt(#[from] serde_json::Error),
}

/// What is known of an erasure for ever.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// Why it was done, as whoever asked said.
    pub reason: String,
    /// Addresses, in words that say which without naming them: their number alone, once they are gone.
    pub addresses: usize,
    /// Rows that were erased.
    pub rows: u64,
    /// Rows that a hold kept.
    pub held: u64,
    /// Files before and after.
    pub files: Vec<Erased>,
}

impl Keeper {
    /// What is kept now.
    pub(super) async fn policies(&self) -> Result<Policies, KeepError> {
        let holds = self.catalog.holds().await?;
        Ok(self.retain.policies(&holds, &self.names.context())?)
    }

    /// The time by which things may be deleted.
    pub(super) async fn steady(&self) -> Result<Micros, KeepError> {
        let (wall, at) = (bartizan_clock::now(), std::time::Instant::now());
        let mut steady = self.steady.lock().await;
        if steady.is_none() {
            *steady = Some(super::steady::Steady::new(self.catalog.moment(BELIEVED).await?, wall, at));
        }
        let Some(steady) = steady.as_mut() else { return Ok(wall) };
        let now = steady.now(wall, at);
        self.catalog.note_moment(BELIEVED, now).await?;
        Ok(now)
    }

    /// A bounded piece of retention; whether there may be more to do.
    ///
    /// # Errors
    /// If it could not be done; nothing was done by half.
    pub(crate) async fn keep(&self) -> Result<bool, KeepError> {
        if !self.is_time(0, RETAIN_EVERY) {
            return Ok(false);
        }
        // work that somebody asked for goes first
        let Ok(_turn) = self.turn(super::UPKEEP) else { return Ok(false) };
        let now = self.steady().await?;
        let pass = self.retain_some(now).await?;
        for file in &pass.expired {
            tracing::info!(
                table = file.table,
                file = file.file,
                rows = file.rows,
                why = file.why,
                "retention"
            );
        }
        if pass.more {
            *self.looks[0].lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(pass.more)
    }

    /// Deletes what nobody needs any more, now and then; never more to do at once.
    ///
    /// # Errors
    /// What could not be done; the rest of it was.
    pub(crate) async fn vacuum(&self) -> Result<bool, KeepError> {
        if !self.is_time(1, VACUUM_EVERY) {
            return Ok(false);
        }
        let Ok(_turn) = self.turn(super::UPKEEP) else { return Ok(false) };
        let now = self.steady().await?;
        let mut failed = None;
        for table in self.tables.all() {
            match table.collect(now).await {
                Ok(collected) => tracing::debug!(table = %table.relation(), ?collected, "collected"),
                Err(error) => failed = Some(error),
            }
        }
        self.finish_erasures(now).await?;
        failed.map_or(Ok(false), |error| Err(error.into()))
    }

    async fn retain_some(&self, now: Micros) -> Result<Retention, KeepError> {
        let policies = self.policies().await?;
        let mut unreadable = self.unreadable.lock().await;
        match self.tables.retain(&policies, &mut unreadable, now).await {
            Ok(pass) => {
                for (file, why) in &pass.unread {
                    tracing::error!(%file, why, "retention leaves a file alone that cannot be read");
                }
                Ok(pass)
            }
            // somebody else was first
            Err(LakeError::Replaced { .. }) => Ok(Retention { more: true, ..Retention::default() }),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the files of rows that were erased long enough ago.
    async fn finish_erasures(&self, now: Micros) -> Result<(), KeepError> {
        for erasure in self.catalog.erasures().await?.iter().filter(|e| e.deleted.is_none()) {
            if now.0.saturating_sub(erasure.at.0) < ERASED_STAY {
                continue;
            }
            let receipt: Receipt = serde_json::from_str(&erasure.receipt)?;
            let left = self.tables.expunge(&files_of(&receipt)).await?;
            if left.is_empty() {
                tracing::info!(erasure = erasure.id, "the files of erased rows are deleted");
                self.catalog.finish_erasure(erasure.id, bartizan_clock::now()).await?;
            } else {
                tracing::info!(erasure = erasure.id, left = left.len(), "somebody still reads erased rows");
            }
        }
        Ok(())
    }
}

/// The files that had erased rows.
fn files_of(receipt: &Receipt) -> Vec<String> {
    let gone = receipt.files.iter().filter(|file| file.rows > 0);
    gone.flat_map(|file| [Some(file.file.clone()), file.aside.clone()]).flatten().collect()
}

pub(super) async fn retain(keeper: Keeper, mut listener: Listener, dry: bool) -> Result<End, KeepError> {
    let now = keeper.steady().await?;
    let (mut rows, mut bytes, mut unread) = (0, 0, 0);
    let mut passes = 0_u64;
    loop {
        let pass = match dry {
            true => keeper.tables.retention(&keeper.policies().await?, now).await?,
            false => keeper.retain_some(now).await?,
        };
        for expired in &pass.expired {
            listener.item(expired).await;
            rows += expired.rows;
            bytes += if expired.rows == expired.of { expired.bytes } else { 0 };
        }
        unread += pass.unread.len();
        for (file, why) in &pass.unread {
            listener.item(&json!({ "file": file.as_ref(), "problem": "unreadable", "why": why })).await;
        }
        passes += 1;
        listener.progress(|| format!("{passes} pieces of work, {rows} rows"));
        if dry || !pass.more {
            break;
        }
    }
    let ahead = keeper.steady.lock().await.as_ref().and_then(super::steady::Steady::doubt);
    let mut sums = json!({ "rows": rows, "bytes_of_whole_files": bytes, "unreadable_files": unread });
    if let Some(ahead) = ahead {
        sums["clock_is_ahead_by_seconds"] = (ahead / 1_000_000).into();
    }
    Ok(End::new(unread == 0, sums))
}

pub(super) async fn erase(
    keeper: Keeper,
    mut listener: Listener,
    asked: Erase,
    addresses: Vec<IpAddr>,
) -> Result<End, KeepError> {
    let now = bartizan_clock::now();
    let policies = keeper.policies().await?;
    let mut files = Vec::new();
    let erased = keeper.tables.erase(&addresses, &policies, asked.dry_run, now, |file| {
        listener.progress(|| format!("{} files", files.len()));
        files.push(file);
    });
    let erased = erased.await;
    for file in &files {
        listener.item(file).await;
    }
    let (rows, held) = files.iter().fold((0, 0), |(rows, held), f| (rows + f.rows, held + f.held));
    let receipt = Receipt { reason: asked.reason, addresses: addresses.len(), rows, held, files };
    let mut sums = json!({ "rows": rows, "held": held, "files": receipt.files.len() });
    if !asked.dry_run {
        // also of an erasure that failed halfway: what it did is to be known and finished
        let id = keeper.catalog.add_erasure(now, &serde_json::to_string(&receipt)?).await?;
        sums["erasure"] = id.into();
        if let Err(error) = &erased {
            tracing::error!(erasure = id, error = chain(error), "an erasure is not complete");
        }
    }
    erased?;
    Ok(End::new(held == 0, sums))
}

/// An erasure as it is told.
pub(super) fn told(erasure: &Erasure) -> serde_json::Value {
    let receipt: Option<Receipt> = serde_json::from_str(&erasure.receipt).ok();
    let time = |at: Micros| bartizan_query::render::time_text(at);
    let mut value = of_table("", &receipt);
    if let Some(object) = value.as_object_mut() {
        object.remove("table");
    }
    value["erasure"] = erasure.id.into();
    value["at"] = time(erasure.at).into();
    value["deleted"] = erasure.deleted.map(time).into();
    value
}
