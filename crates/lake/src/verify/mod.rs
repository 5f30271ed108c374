//! Whether a table is what its log says it is.
//!
//! Without `deep`: the log can be loaded and says what memory says; every file is there, with its length; files that
//! no log names are told. With it, every file is read as well: its checksum, its rows, that no row is there twice,
//! that no row is missing inside of a batch beyond those that were removed on purpose, that no stream has rows above
//! its mark, and that each rollup counts as many events as its data file has.
//!
//! It changes nothing. A file that was removed while it looks is kept for it ([`Table::pin`]).

mod presence;
mod problem;

pub use problem::Problem;

use crate::error::LakeError;
use crate::files::{DataFile, relative, tag};
use crate::table::{Table, View, conform};
use crate::tables::Tables;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::Schema;
use bartizan_model::{Kind, StreamId};
use bartizan_schema::Relation;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use presence::{Again, NAME, Presence};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Problems of one kind that are told one by one; of more, only how many there are.
const TOLD: usize = 100;

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    /// The entry up to which the log was looked at.
    pub version: i64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were compared with their checksum.
    pub checked: u64,
    /// Rows, by the log.
    pub rows: u64,
    /// Batches that have rows; only if every file was read.
    pub batches: u64,
    /// Rows that were removed on purpose, since ever.
    pub removed_rows: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Table {
    /// What [`Table::examine`] finds wrong.
    ///
    /// # Errors
    /// If the store cannot list the files.
    pub async fn verify(&self, deep: bool) -> Result<Vec<Problem>, LakeError> {
        Ok(self.examine(deep, |_| {}).await?.problems)
    }

    /// Compares log and files and lists what does not fit; with `deep`, every file is read. `tell` hears of each file
    /// that was. Changes nothing.
    ///
    /// # Errors
    /// If the store cannot list the files.
    pub async fn examine(&self, deep: bool, mut tell: impl FnMut(&DataFile)) -> Result<Verified, LakeError> {
        let _pin = self.pin();
        let view = self.view();
        let mut found = Verified { version: view.version, ..Verified::default() };
        self.log(&mut found.problems).await;
        let listed = self.shared.objects(&self.shared.folder).await?;
        let sizes: HashMap<&Path, u64> = listed.iter().map(|o| (&o.location, o.size)).collect();
        let names_rows = NAME.iter().all(|name| self.relation().columns().iter().any(|c| c.name == *name));
        let mut presence = names_rows.then(Presence::default);
        for file in view.files.iter() {
            found.files += 1;
            found.bytes += file.size();
            found.rows += file.rows().unwrap_or(0);
            let path = file.path().clone();
            match sizes.get(file.path()) {
                None => found.problems.push(Problem::Missing { path, rows: file.rows() }),
                Some(size) if *size != file.size() => {
                    found.problems.push(Problem::WrongSize { path, expected: file.size(), found: *size });
                }
                Some(_) if deep => {
                    presence = self.look_into(file, presence, &mut found).await?;
                    tell(file);
                }
                Some(_) => {}
            }
        }
        found.removed_rows = self.shared.state().removed_rows();
        if let Some(presence) = presence.filter(|_| deep) {
            self.conclude(presence, &mut found);
        }
        let unnamed = self.unnamed().await?;
        let unnamed = unnamed.into_iter().map(|o| Problem::Unnamed { path: o.location, size: o.size });
        found.problems.extend(unnamed);
        Ok(found)
    }

    /// Whether the log gives after a start what it gives now.
    async fn log(&self, problems: &mut Vec<Problem>) {
        let (before, reloaded) = (self.view(), self.reload().await);
        let reason = match reloaded {
            Err(error) => chain(&error),
            Ok(replay) if replay.version < before.version => {
                format!("its last entry is {}, and {} was written", replay.version, before.version)
            }
            Ok(replay) if replay.version == before.version => {
                let unknown = before.files.iter().find(|f| !replay.files.contains_key(f.path()));
                match unknown {
                    Some(file) => format!("after a start it would not name `{}`", file.path()),
                    None if replay.files.len() != before.files.len() => {
                        format!(
                            "after a start it would name {} files, not {}",
                            replay.files.len(),
                            before.files.len()
                        )
                    }
                    None => return,
                }
            }
            Ok(_) => return,
        };
        problems.push(Problem::Log { reason });
    }

    /// Reads a file. Gives back what it was given, with the file's rows.
    async fn look_into(
        &self,
        file: &DataFile,
        presence: Option<Presence>,
        found: &mut Verified,
    ) -> Result<Option<Presence>, LakeError> {
        let path = file.path().clone();
        let bytes = match self.bytes(&path).await {
            Ok(bytes) => bytes,
            Err(LakeError::MissingFile { path }) => {
                found.problems.push(Problem::Missing { path, rows: file.rows() });
                return Ok(presence);
            }
            Err(error) => {
                found.problems.push(Problem::Unreadable { path, reason: chain(&error) });
                return Ok(presence);
            }
        };
        if let Some(expected) = file.tag(tag::CRC32C) {
            found.checked += 1;
            let actual = format!("{:08x}", crc32c::crc32c(&bytes));
            if actual != expected {
                let expected = expected.to_owned();
                found.problems.push(Problem::WrongChecksum { path, expected, found: actual });
                return Ok(presence);
            }
        }
        // bytes that are those which were written need not be unpacked to know that they can be
        let all = file.tag(tag::CRC32C).is_none();
        let (relation, at) = (self.relation(), path.clone());
        let work = move || read_names(relation, bytes, presence, all, &at);
        let (presence, read) = tokio::task::spawn_blocking(work).await.map_err(LakeError::Stopped)?;
        match read {
            Err(error) => {
                found.problems.push(Problem::Unreadable { path, reason: chain(&error) });
            }
            Ok((rows, again)) => {
                if let Some(expected) = file.rows().filter(|expected| *expected != rows) {
                    found.problems.push(Problem::WrongRows { path: path.clone(), expected, found: rows });
                }
                let room = TOLD.saturating_sub(found.problems.len());
                let twice = again.into_iter().take(room).map(|((stream, seq), rows)| {
                    let path = path.clone();
                    Problem::Twice { path, stream, seq, rows }
                });
                found.problems.extend(twice);
            }
        }
        Ok(presence)
    }

    async fn bytes(&self, path: &Path) -> Result<Bytes, LakeError> {
        let got = match self.store().get(path).await {
            Err(object_store::Error::NotFound { .. }) => {
                return Err(LakeError::MissingFile { path: path.clone() });
            }
            other => other.map_err(LakeError::store("open", path))?,
        };
        got.bytes().await.map_err(LakeError::store("read", path))
    }

    /// What shows only when all files were read.
    fn conclude(&self, presence: Presence, found: &mut Verified) {
        let whole = !found.problems.iter().any(Problem::is_damage);
        let seen = presence.finish();
        found.batches = seen.batches;
        let removed = found.removed_rows;
        // rows of a file that cannot be read are missing because of that
        if let Some(holes) = seen.holes.filter(|holes| whole && holes.rows > removed) {
            found.problems.push(Problem::Gaps { rows: holes.rows, removed, first: holes.first });
        }
        for (stream, seq) in seen.highest {
            let mark = stream.parse::<StreamId>().map_or(0, |stream| self.committed(&stream).0);
            if u64::try_from(seq).is_ok_and(|seq| seq > mark) {
                found.problems.push(Problem::AheadOfMark { stream, seq, mark });
            }
        }
    }
}

impl Tables {
    /// Whether each rollup counts as many events as its data file has; `tell` hears of each rollup's file.
    ///
    /// # Errors
    /// If the runtime ends.
    pub async fn verify_rollups(&self, mut tell: impl FnMut(&DataFile)) -> Result<Vec<Problem>, LakeError> {
        let events = self.of(Kind::Events);
        let pins: Vec<_> = self.all().map(Table::pin).collect();
        let folder = &events.shared.folder;
        let view = events.view();
        let rows: HashMap<String, Option<u64>> =
            view.files.iter().map(|f| (relative(folder, f.path()), f.rows())).collect();
        let mut problems = Vec::new();
        for table in self.all().filter(|t| matches!(t.relation(), Relation::Rollup(_))) {
            for file in table.view().files.iter() {
                let Some(of) = file.tag(tag::OF) else { continue };
                let Some(expected) = rows.get(of).copied().flatten() else { continue };
                if let Some(found) = table.count(file).await?.filter(|found| *found != expected) {
                    let (path, of) = (file.path().clone(), of.to_owned());
                    problems.push(Problem::WrongCount { path, of, expected, found });
                }
                tell(file);
            }
        }
        drop(pins);
        Ok(problems)
    }
}

impl Table {
    /// The events that a rollup's file counts; nothing if it cannot be read.
    async fn count(&self, file: &DataFile) -> Result<Option<u64>, LakeError> {
        let Ok(bytes) = self.bytes(file.path()).await else { return Ok(None) };
        let relation = self.relation();
        let sum = move || -> Result<u64, ParquetError> {
            let mut sum = 0_i64;
            for batch in reader(relation, bytes, &["rows"])? {
                let column = batch?.column_by_name("rows").cloned();
                let rows = column.as_ref().and_then(|c| c.as_primitive_opt::<Int64Type>());
                sum += rows.map_or(0, |rows| rows.iter().flatten().sum());
            }
            Ok(u64::try_from(sum).unwrap_or(0))
        };
        Ok(tokio::task::spawn_blocking(sum).await.map_err(LakeError::Stopped)?.ok())
    }
}

/// Goes through the rows of a file: how many there are, and which of them were seen before.
fn read_names(
    relation: Relation,
    bytes: Bytes,
    mut presence: Option<Presence>,
    all: bool,
    path: &Path,
) -> (Option<Presence>, Result<(u64, Again), LakeError>) {
    let columns: Vec<&str> = if all {
        relation.columns().iter().map(|c| c.name).collect()
    } else if presence.is_some() {
        NAME.to_vec()
    } else {
        vec!["time"]
    };
    let read = || {
        let fail = |source| LakeError::Parquet { path: path.clone(), source };
        let (mut rows, mut again) = (0, Again::new());
        for batch in reader(relation, bytes, &columns).map_err(fail)? {
            let batch = batch.map_err(fail)?;
            rows += batch.num_rows() as u64;
            if let Some(presence) = &mut presence {
                presence.see(&batch, &mut again)?;
            }
        }
        Ok((rows, again))
    };
    let read = read();
    (presence, read)
}

/// Some columns of a file, in the table's types.
fn reader(
    relation: Relation,
    bytes: Bytes,
    columns: &[&str],
) -> Result<impl Iterator<Item = Result<RecordBatch, ParquetError>>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(65_536).build()?;
    let fields: Vec<_> = relation.schema().fields().iter().cloned().collect();
    let wanted = fields.into_iter().filter(|f| columns.contains(&f.name().as_str())).collect::<Vec<_>>();
    let schema = Arc::new(Schema::new(wanted));
    Ok(reader.map(move |batch| Ok(conform(&schema, &batch?)?)))
}

/// An error with its causes.
fn chain(error: &LakeError) -> String {
    let source = std::error::Error::source(error).map_or(String::new(), |s| format!(": {s}"));
    format!("{error}{source}")
}

/// The rows of a view by its log, hot ones included.
impl View {
    /// How many rows can be read.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let hot = self.hot.iter().flat_map(|b| b.rows()).map(|b| b.num_rows() as u64);
        self.files.iter().filter_map(|f| f.rows()).sum::<u64>() + hot.sum::<u64>()
    }
}
