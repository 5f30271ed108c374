//! Replacing files by others in one entry of the log: what compaction, retention, erasure and rollups have in common.
//!
//! A rewrite names the files that it read and the files that stand in their place. It is one entry, so a reader
//! sees either all of it or nothing. It is refused when one of the files that it read is not in the table any
//! more: two rewrites of one file can both be prepared, and only one of them happens. Commits of new rows are
//! never in its way.
//!
//! If the rows of the table change, the entry also counts those that are gone ([`crate::state::REMOVED_ROWS`]); if
//! they do not, an entry whose files do not hold as many rows as before is refused.
//!
//! Making the new files takes long and holds nothing; only the entry itself waits for its turn.

use crate::delta::{Action, Remove, Txn};
use crate::encode::Encoded;
use crate::error::LakeError;
use crate::files::{DataFile, relative, tag};
use crate::state::{Change, REMOVED_ROWS};
use crate::table::{Shared, Table};
use crate::write::{info, print_entry, put_entry};
use bartizan_model::Micros;
use bartizan_schema::Relation;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions};
use std::collections::HashSet;
use std::sync::Arc;

/// Lost races after which a rewrite gives up.
const ATTEMPTS: u32 = 100;

/// Files that stand in the place of others.
#[derive(Debug)]
pub struct Rewrite {
    /// The word for it in the table's history: `OPTIMIZE`, `DELETE`, `WRITE`.
    pub operation: &'static str,
    /// What is no longer part of the table.
    pub removed: Vec<Arc<DataFile>>,
    /// What is new, already in the store; or a file that is in the table, with other notes.
    pub added: Vec<DataFile>,
    /// Whether the rows of the table change. False where the new files only hold them in another order: who
    /// follows the table passes such an entry over.
    pub data_change: bool,
}

impl Table {
    /// Carries out a rewrite and says its entry. If it fails, its new files are deleted or collected later.
    ///
    /// # Errors
    /// [`LakeError::Replaced`] if a file to be removed is not in the table; otherwise see [`LakeError::kind`].
    pub async fn rewrite(&self, rewrite: Rewrite, now: Micros) -> Result<i64, LakeError> {
        self.shared.rewrite(rewrite, now).await
    }
}

impl Shared {
    /// Puts a data file where none is. Nothing names it yet.
    pub(crate) async fn put_file(
        &self,
        path: Path,
        day: i64,
        encoded: Encoded,
        now: Micros,
    ) -> Result<DataFile, LakeError> {
        let size = encoded.bytes.len() as u64;
        let checksum = format!("{:08x}", crc32c::crc32c(&encoded.bytes));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.store.put_opts(&path, encoded.bytes.into(), options).await;
        put.map_err(LakeError::store("write", &path))?;
        let made = now.0.div_euclid(1000);
        let file = DataFile::new(path, size, day, made, encoded.bounds, encoded.stats);
        Ok(file.with_tag(tag::CRC32C, checksum))
    }

    pub(crate) async fn rewrite(&self, rewrite: Rewrite, now: Micros) -> Result<i64, LakeError> {
        let mut turn = self.turn.lock().await;
        self.settle_turn(&mut turn).await?;
        let fresh: Vec<Path> = self.new_paths(&rewrite);
        let lost = self.lost(&rewrite, &fresh)?;
        for _ in 0..ATTEMPTS {
            let version = self.catch_up().await?;
            let kept = rewrite.added.iter().map(DataFile::path).filter(|path| !fresh.contains(path));
            let needed = rewrite.removed.iter().map(|f| f.path()).chain(kept);
            if let Some(path) = self.gone(needed) {
                self.discard(&fresh).await;
                return Err(LakeError::Replaced { path });
            }
            let txns = self.removal(lost, now);
            let text = self.entry_of(&rewrite, &txns, now)?;
            turn.unsure = true;
            turn.left.extend_from_slice(&fresh);
            let put = put_entry(&*self.store, &self.folder, version + 1, text).await?;
            turn.unsure = false;
            turn.left.retain(|path| !fresh.contains(path));
            if put {
                let at = Some(now.0.div_euclid(1000));
                self.advance([Change {
                    version: version + 1,
                    removed: rewrite.removed.iter().map(|f| (f.path().clone(), at)).collect(),
                    files: rewrite.added,
                    txns,
                    foreign: true,
                    ..Change::default()
                }]);
                return Ok(version + 1);
            }
        }
        self.discard(&fresh).await;
        Err(LakeError::Contended { table: self.folder.clone(), attempts: ATTEMPTS })
    }

    /// How many rows a rewrite takes out of a table of rows.
    fn lost(&self, rewrite: &Rewrite, fresh: &[Path]) -> Result<u64, LakeError> {
        if matches!(self.relation, Relation::Rollup(_)) {
            return Ok(0);
        }
        let before: Option<u64> = rewrite.removed.iter().map(|f| f.rows()).sum();
        let new = rewrite.added.iter().filter(|f| fresh.contains(f.path()));
        let after: Option<u64> = new.map(DataFile::rows).sum();
        // the log of another writer need not say how many rows a file has
        let Some((before, after)) = before.zip(after) else { return Ok(0) };
        if !rewrite.data_change && before != after {
            let reason = format!("{before} rows would become {after} in an entry that changes none");
            return Err(LakeError::Rows { reason });
        }
        Ok(before.saturating_sub(after))
    }

    /// The mark that counts them.
    fn removal(&self, lost: u64, now: Micros) -> Vec<Txn> {
        if lost == 0 {
            return Vec::new();
        }
        let sum = self.state().removed_rows().saturating_add(lost);
        vec![Txn {
            app_id: REMOVED_ROWS.to_owned(),
            version: i64::try_from(sum).unwrap_or(i64::MAX),
            last_updated: Some(now.0.div_euclid(1000)),
        }]
    }

    fn entry_of(&self, rewrite: &Rewrite, txns: &[Txn], now: Micros) -> Result<bytes::Bytes, LakeError> {
        let at = Some(now.0.div_euclid(1000));
        let data_change = rewrite.data_change;
        let mut actions = vec![info(rewrite.operation, now)];
        actions.extend(txns.iter().cloned().map(Action::Txn));
        actions.extend(rewrite.removed.iter().map(|file| {
            let path = relative(&self.folder, file.path());
            Action::Remove(Remove { path, deletion_timestamp: at, data_change })
        }));
        actions.extend(rewrite.added.iter().map(|file| Action::Add(file.to_add(&self.folder, data_change))));
        print_entry(&actions)
    }

    /// The files of a rewrite that the table never had. One that it had is not new because somebody removed it: to
    /// bring it back would bring its rows back.
    fn new_paths(&self, rewrite: &Rewrite) -> Vec<Path> {
        let state = self.state();
        let there: HashSet<&Path> =
            state.files.iter().map(|f| f.path()).chain(state.removed.keys()).collect();
        rewrite.added.iter().map(DataFile::path).filter(|p| !there.contains(p)).cloned().collect()
    }

    /// The first of some files that is not in the table.
    fn gone<'a>(&self, mut files: impl Iterator<Item = &'a Path>) -> Option<Path> {
        let state = self.state();
        let there: HashSet<&Path> = state.files.iter().map(|f| f.path()).collect();
        files.find(|path| !there.contains(path)).cloned()
    }
}
