//! Following a table: what each entry of its log added, for whoever copies the rows elsewhere.
//!
//! The entries are the order of the rows: every row is in exactly one, and an entry never changes. Who follows says
//! from which entry on it still reads ([`Table::hold`]); the log is kept from there.

use crate::delta::Action;
use crate::delta::load::{parse_entry, read_entry, unsupported};
use crate::error::LakeError;
use crate::files::DataFile;
use crate::table::{Shared, Table, conform};
use arrow_array::RecordBatch;
use bartizan_schema::Relation;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::sync::PoisonError;

impl Shared {
    /// The first entry that somebody still reads.
    pub(crate) fn held(&self) -> Option<i64> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).values().min().copied()
    }
}

impl Table {
    /// Keeps the log from an entry on, until the same follower says another one. To be said again after a start.
    pub fn hold(&self, follower: &str, version: i64) {
        let mut holds = self.shared.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.insert(follower.to_owned(), version);
    }

    /// The files with the rows that an entry added, by name; nothing if there is no such entry yet.
    ///
    /// # Errors
    /// [`LakeError::Gap`] if the entry is not kept any more; or if it cannot be read.
    pub async fn entry(&self, version: i64) -> Result<Option<Vec<DataFile>>, LakeError> {
        let shared = &self.shared;
        if version > shared.state().version {
            return Ok(None);
        }
        let table = &shared.folder;
        let text = read_entry(&*shared.store, table, version).await?;
        let text = text.ok_or_else(|| LakeError::Gap { table: table.clone(), version })?;
        let mut files = Vec::new();
        for action in parse_entry(table, version, &text)? {
            // a file that only holds rows of others anew adds none
            if let Action::Add(add) = action
                && add.data_change
            {
                files.push(DataFile::from_add(table, &add).map_err(|what| unsupported(table, what))?);
            }
        }
        files.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(Some(files))
    }

    /// The rows of a file from one on, so many at a time. Memory holds the file as it is packed, and one piece.
    ///
    /// # Errors
    /// [`LakeError::MissingFile`], or if the file cannot be read or understood.
    pub async fn pieces(&self, file: &DataFile, from: usize, rows: usize) -> Result<Pieces, LakeError> {
        let path = file.path().clone();
        let got = match self.shared.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Err(LakeError::MissingFile { path }),
            other => other.map_err(LakeError::store("open", &path))?,
        };
        let bytes = got.bytes().await.map_err(LakeError::store("read", &path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes);
        let reader = builder.and_then(|b| b.with_batch_size(rows).with_offset(from).build());
        let reader = reader.map_err(|source| LakeError::Parquet { path: path.clone(), source })?;
        Ok(Pieces { reader: Some(reader), relation: self.shared.relation, path })
    }
}

/// The rows of a file, piece by piece.
#[derive(Debug)]
pub struct Pieces {
    reader: Option<ParquetRecordBatchReader>,
    relation: Relation,
    path: Path,
}

impl Pieces {
    /// The next rows, in the table's schema; nothing at the end.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        let relation = self.relation;
        let work = move || {
            let batch =
                reader.next().map(|batch| batch.and_then(|batch| conform(&relation.schema(), &batch)));
            (batch, reader)
        };
        let (batch, reader) = tokio::task::spawn_blocking(work).await.map_err(LakeError::Stopped)?;
        self.reader = Some(reader);
        batch
            .transpose()
            .map_err(|source| LakeError::Parquet { path: self.path.clone(), source: source.into() })
    }
}
