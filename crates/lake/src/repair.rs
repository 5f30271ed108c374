//! Mending what cannot be healed: files that are missing or damaged are taken out of the log.
//!
//! Whoever asks for this has decided that they will not come back. The marks of streams stay: rows that were in such
//! a file are not asked for again, because whoever sent them has deleted them. What is left of a damaged file is kept
//! below `_damaged/`, where nothing of ours reads or deletes it.

use crate::error::LakeError;
use crate::files::DataFile;
use crate::rewrite::Rewrite;
use crate::table::Table;
use crate::verify::Problem;
use bartizan_model::Micros;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::collections::HashSet;
use std::sync::Arc;

/// The folder of a table where damaged files are kept.
const DAMAGED: &str = "_damaged";

impl Table {
    /// Takes files that do not exist out of the log, so that questions which would need them are answered
    /// without them, and says which.
    ///
    /// # Errors
    /// If the store fails or other writers keep winning the next entry; then nothing was changed.
    pub async fn forget_missing(&self, now: Micros) -> Result<Vec<Arc<DataFile>>, LakeError> {
        self.refresh().await?;
        let shared = &self.shared;
        let there: HashSet<Path> =
            shared.objects(&shared.folder).await?.into_iter().map(|o| o.location).collect();
        let files = self.view().files;
        let missing: Vec<_> = files.iter().filter(|f| !there.contains(f.path())).cloned().collect();
        self.forget(&missing, now).await?;
        Ok(missing)
    }

    /// Takes the files out of the log that [`Table::verify`] found missing or damaged, and says which.
    ///
    /// # Errors
    /// If the store fails; then nothing was changed.
    pub async fn repair(&self, problems: &[Problem], now: Micros) -> Result<Vec<Arc<DataFile>>, LakeError> {
        let damaged: HashSet<&Path> =
            problems.iter().filter(|p| p.is_damage()).filter_map(Problem::path).collect();
        let files = self.view().files;
        let files: Vec<_> = files.iter().filter(|f| damaged.contains(f.path())).cloned().collect();
        for file in &files {
            self.keep_damaged(file.path()).await?;
        }
        self.forget(&files, now).await?;
        Ok(files)
    }

    async fn forget(&self, files: &[Arc<DataFile>], now: Micros) -> Result<(), LakeError> {
        if files.is_empty() {
            return Ok(());
        }
        let removed = files.to_vec();
        let rewrite = Rewrite { operation: "FSCK", removed, added: Vec::new(), data_change: true };
        self.rewrite(rewrite, now).await.map(|_| ())
    }

    async fn keep_damaged(&self, path: &Path) -> Result<(), LakeError> {
        let store = self.store();
        let bytes = match store.get(path).await {
            Ok(got) => got.bytes().await,
            Err(error) => Err(error),
        };
        // what cannot be read cannot be kept
        let Ok(bytes) = bytes else { return Ok(()) };
        let name = path.filename().unwrap_or("file");
        let to = self.shared.folder.clone().join(DAMAGED).join(name);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&to, bytes.into(), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(e) => Err(LakeError::store("write", &to)(e)),
        }
    }
}
