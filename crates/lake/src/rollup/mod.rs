//! Rollups: small tables of counts, each file made from one data file of `events`.
//!
//! ```text
//! events/date=2026-01-31/part-UUID.parquet          F, immutable
//! events_1m/date=2026-01-31/part-UUID.parquet       R(F), tag OF = F's path; the same for each rollup
//! ```
//!
//! Invariants
//! - R1: R(F) counts all rows of F and no others. It is made from F alone, and F never changes, so it is never
//!   wrong; there is nothing to keep in step.
//! - R2: of one F, a reader takes either R(F) or the rows, as what it sees of both tables tells ([`Parts`]): a
//!   crash between two entries leaves work behind and no wrong answer.
//! - R3: R(F) outlives F only with the tag HISTORY, which [`Tables::retire`] gives before it removes F. Without
//!   the tag, R(F) without F counts nothing: compaction put other files in F's place.
//! - R4: the views of a reader and of every step here are taken of `events` first and of the rollup after it.
//!
//! [`Tables::roll`] makes what is missing and removes what is not needed, a bounded piece of work per call. Its
//! memory is one data file as it is packed, and its groups.

mod groups;
mod parts;
mod read;
mod tally;
mod texts;
mod tiers;
mod write;

pub use parts::{Counts, History, Part, Parts};
pub use tiers::{Tier, Tiers};

use crate::error::{ErrorKind, LakeError};
use crate::files::{DataFile, relative, tag};
use crate::table::View;
use crate::{Rewrite, Tables};
use bartizan_model::{Kind, Micros};
use bartizan_schema::Rollup;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tally::Tally;
use tokio::sync::{Mutex, MutexGuard};
use write::Made;

/// Which files are worth a rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollOptions {
    /// Files with fewer rows are read as rows, unless they are sorted.
    pub min_rows: u64,
}

impl Default for RollOptions {
    fn default() -> Self {
        Self { min_rows: 65_536 }
    }
}

/// What one call of [`Tables::roll`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rolled {
    /// The data file that was read.
    pub of: Option<Path>,
    /// Its rows.
    pub rows: u64,
    /// Files of rollups that were made.
    pub made: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files of rollups that were not needed any more.
    pub removed: usize,
    /// Whether there is more to do now.
    pub more: bool,
}

/// Held by whoever changes rollups.
#[derive(Debug, Default)]
pub(crate) struct Rolling(Mutex<HashSet<Path>>);

impl Rolling {
    /// The turn, with the data files that no rollup can be made of.
    async fn turn(&self) -> MutexGuard<'_, HashSet<Path>> {
        self.0.lock().await
    }
}

impl Tables {
    /// Makes the rollups of one data file, the newest that lacks some, and removes those that count nothing.
    ///
    /// A data file that cannot be read is passed over until the next start: its rows are read instead, and that
    /// says what is wrong.
    ///
    /// # Errors
    /// See [`LakeError::kind`]; nothing is lost by that.
    pub async fn roll(&self, options: RollOptions, now: Micros) -> Result<Rolled, LakeError> {
        let mut refused = self.rolling.turn().await;
        let mut done = Rolled::default();
        self.settle().await?;
        self.untag(now).await?;
        let events = self.of(Kind::Events).view();
        for rollup in Rollup::ALL {
            done.removed += self.prune(&events, rollup, now).await?;
        }
        let mut missing = self.missing(&events);
        missing.retain(|(file, _)| options.takes(file) && !refused.contains(file.path()));
        missing.sort_by_key(|(file, _)| (file.time().map(|(_, max)| max), file.path().clone()));
        while let Some((file, rollups)) = missing.pop() {
            match self.make(&file, &rollups, now).await {
                Ok(bytes) => {
                    done.rows = file.rows().unwrap_or(0);
                    (done.made, done.bytes, done.more) = (rollups.len(), bytes, !missing.is_empty());
                    done.of = Some(file.path().clone());
                    break;
                }
                Err(error) if is_of_the_file(&error) => {
                    tracing::warn!(file = %file.path(), %error, "no rollup of a file that cannot be read");
                    refused.insert(file.path().clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Takes data files out of `events` and keeps what their rollups count, as history. Rollups that are missing
    /// are made first.
    ///
    /// # Errors
    /// [`LakeError::Replaced`] if one of the files is not in the table any more, and otherwise see
    /// [`LakeError::kind`]: then no rows were removed, and nothing is counted twice.
    pub async fn retire(&self, files: &[Arc<DataFile>], now: Micros) -> Result<i64, LakeError> {
        let _turn = self.rolling.turn().await;
        self.settle().await?;
        let events = self.of(Kind::Events).view();
        let wanted: HashSet<&Path> = files.iter().map(|f| f.path()).collect();
        for (file, rollups) in self.missing(&events) {
            if !wanted.contains(file.path()) {
                continue;
            }
            match self.make(&file, &rollups, now).await {
                // What cannot be read cannot be counted either.
                Err(error) if is_of_the_file(&error) => {
                    tracing::warn!(file = %file.path(), %error, "taken away without a count");
                }
                made => made.map(|_| ())?,
            }
        }
        let retired = self.tag_and_remove(files, now).await;
        if retired.is_err() {
            // What is still in the table is no history. If this fails as well, the next call of `roll` does it, or
            // the next start.
            self.untag(now).await?;
        }
        retired
    }

    async fn tag_and_remove(&self, files: &[Arc<DataFile>], now: Micros) -> Result<i64, LakeError> {
        let names: HashSet<String> = files.iter().map(|f| self.name_of(f)).collect();
        for rollup in Rollup::ALL {
            self.retag(rollup, now, |of, file| {
                (names.contains(of) && !is_history(file)).then(|| file.clone().with_tag(tag::HISTORY, "true"))
            })
            .await?;
        }
        let removed = files.to_vec();
        let rewrite = Rewrite { operation: "DELETE", removed, added: Vec::new(), data_change: true };
        self.of(Kind::Events).rewrite(rewrite, now).await
    }

    /// Takes the tag HISTORY from rollups whose data file is in the table: retention was interrupted. To be done
    /// before anything replaces data files.
    ///
    /// # Errors
    /// See [`LakeError::kind`].
    pub async fn settle_history(&self, now: Micros) -> Result<(), LakeError> {
        let _turn = self.rolling.turn().await;
        self.untag(now).await
    }

    /// Makes sure that no view is older than an entry of ours.
    async fn settle(&self) -> Result<(), LakeError> {
        self.of(Kind::Events).settle().await?;
        for rollup in Rollup::ALL {
            self.rollup(rollup).settle().await?;
        }
        Ok(())
    }

    async fn untag(&self, now: Micros) -> Result<(), LakeError> {
        let tagged = |rollup| self.rollup(rollup).view().files.iter().any(|f| is_history(f));
        if !Rollup::ALL.into_iter().any(tagged) {
            return Ok(());
        }
        // An entry whose fate is not known may have removed them after all.
        self.of(Kind::Events).settle().await?;
        let events = self.of(Kind::Events).view();
        let live: HashSet<String> = events.files.iter().map(|f| self.name_of(f)).collect();
        for rollup in Rollup::ALL {
            self.retag(rollup, now, |of, file| {
                (live.contains(of) && is_history(file)).then(|| file.clone().without_tag(tag::HISTORY))
            })
            .await?;
        }
        Ok(())
    }

    /// Gives files of a rollup other notes, in one entry.
    async fn retag(
        &self,
        rollup: Rollup,
        now: Micros,
        change: impl Fn(&str, &DataFile) -> Option<DataFile>,
    ) -> Result<(), LakeError> {
        let table = self.rollup(rollup);
        let view = table.view();
        let added: Vec<_> = view.files.iter().filter_map(|f| change(f.tag(tag::OF)?, f)).collect();
        if added.is_empty() {
            return Ok(());
        }
        let rewrite = Rewrite { operation: "WRITE", removed: Vec::new(), added, data_change: false };
        table.rewrite(rewrite, now).await.map(|_| ())
    }

    /// Removes files of a rollup that count nothing: their data file is gone and they are no history, or there is
    /// another one of the same data file. Files of other writers stay.
    async fn prune(&self, events: &View, rollup: Rollup, now: Micros) -> Result<usize, LakeError> {
        let live: HashSet<String> = events.files.iter().map(|f| self.name_of(f)).collect();
        let view = self.rollup(rollup).view();
        let mut seen = HashSet::new();
        let mut removed = Vec::new();
        for file in view.files.iter() {
            let Some(of) = file.tag(tag::OF) else { continue };
            if !seen.insert(of) || !(live.contains(of) || is_history(file)) {
                removed.push(Arc::clone(file));
            }
        }
        let n = removed.len();
        if n > 0 {
            let rewrite = Rewrite { operation: "DELETE", removed, added: Vec::new(), data_change: true };
            self.rollup(rollup).rewrite(rewrite, now).await?;
        }
        Ok(n)
    }

    /// The data files that lack rollups, and which.
    fn missing(&self, events: &View) -> Vec<(Arc<DataFile>, Vec<Rollup>)> {
        let mut missing: HashMap<String, (Arc<DataFile>, Vec<Rollup>)> = HashMap::new();
        for rollup in Rollup::ALL {
            let view = self.rollup(rollup).view();
            let there: HashSet<&str> = view.files.iter().filter_map(|f| f.tag(tag::OF)).collect();
            for file in events.files.iter() {
                let name = self.name_of(file);
                // Without rows there is nothing to count; without a day it is none of our files.
                if !there.contains(name.as_str()) && file.rows() != Some(0) && file.day().is_some() {
                    missing.entry(name).or_insert_with(|| (Arc::clone(file), Vec::new())).1.push(rollup);
                }
            }
        }
        missing.into_values().collect()
    }

    /// Makes some rollups of a data file and says how large they are.
    async fn make(&self, file: &DataFile, rollups: &[Rollup], now: Micros) -> Result<u64, LakeError> {
        let events = &self.of(Kind::Events).shared;
        events.check_space()?;
        let path = file.path().clone();
        let got = match events.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Err(LakeError::MissingFile { path }),
            other => other.map_err(LakeError::store("open", &path))?,
        };
        let bytes = got.bytes().await.map_err(LakeError::store("read", &path))?;
        let wanted = rollups.to_vec();
        let work = move || write::write(&Tally::of(bytes, path.clone())?, &wanted, &path);
        let made = tokio::task::spawn_blocking(work).await.map_err(LakeError::Stopped)??;
        let mut size = 0;
        for made in made {
            size += self.put_rollup(file, made, now).await?;
        }
        Ok(size)
    }

    async fn put_rollup(&self, of: &DataFile, made: Made, now: Micros) -> Result<u64, LakeError> {
        let table = self.rollup(made.rollup);
        // Its name is that of the data file, so that there is one at most.
        let below = relative(&self.of(Kind::Events).shared.folder, of.path());
        let path = table.shared.folder.parts().chain(Path::from(below.as_str()).parts()).collect::<Path>();
        table.refresh().await?;
        if table.view().files.iter().any(|f| *f.path() == path) {
            return Ok(0);
        }
        // A file of that name which the log does not name is from a run that was interrupted.
        match table.shared.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => return Err(LakeError::store("delete", &path)(e)),
        }
        let day = of.day().unwrap_or(0);
        let mut file = table.shared.put_file(path, day, made.encoded, now).await?;
        file = file.with_tag(tag::OF, self.name_of(of));
        if let Some(tiers) = made.tiers {
            file = file.with_tag(tag::TIERS, tiers.to_string());
        }
        let size = file.size();
        let rewrite =
            Rewrite { operation: "WRITE", removed: Vec::new(), added: vec![file], data_change: true };
        table.rewrite(rewrite, now).await?;
        Ok(size)
    }

    /// What the tag OF says of a data file.
    fn name_of(&self, file: &DataFile) -> String {
        relative(&self.of(Kind::Events).shared.folder, file.path())
    }
}

impl RollOptions {
    fn takes(&self, file: &DataFile) -> bool {
        file.tag(tag::SORTED).is_some() || file.rows().is_some_and(|rows| rows >= self.min_rows)
    }
}

pub(crate) fn is_history(file: &DataFile) -> bool {
    file.tag(tag::HISTORY) == Some("true")
}

/// Whether it is the data file that is wrong, and trying again is no use.
fn is_of_the_file(error: &LakeError) -> bool {
    matches!(error.kind(), ErrorKind::Missing | ErrorKind::Damaged | ErrorKind::BadRows)
}
