use crate::rollup::Rolling;
use crate::{LakeError, Options, Table};
use bartizan_model::{Kind, Micros};
use bartizan_schema::Rollup;
use object_store::ObjectStore;
use std::sync::Arc;

/// All tables of one lake, in one store: one of each kind of rows, and one of each rollup.
#[derive(Clone, Debug)]
pub struct Tables {
    rows: [Table; Kind::ALL.len()],
    rollups: [Table; Rollup::ALL.len()],
    pub(crate) rolling: Arc<Rolling>,
}

impl Tables {
    /// Opens every table, and makes the ones that are not there. The memory of `options` is for all of them
    /// together; each gets its share.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub async fn open(
        store: &Arc<dyn ObjectStore>,
        options: &Options,
        now: Micros,
    ) -> Result<Self, LakeError> {
        let open = |kind| Table::open(Arc::clone(store), kind, share(kind, options), now);
        let [a, b, c, d, e, f] = Kind::ALL;
        let rows =
            [open(a).await?, open(b).await?, open(c).await?, open(d).await?, open(e).await?, open(f).await?];
        // Nothing is ever hot in them.
        let open = |rollup: Rollup| Table::open(Arc::clone(store), rollup, options.clone(), now);
        let [a, b, c, d, e, f] = Rollup::ALL;
        let rollups =
            [open(a).await?, open(b).await?, open(c).await?, open(d).await?, open(e).await?, open(f).await?];
        let tables = Self { rows, rollups, rolling: Arc::default() };
        tables.settle_history(now).await?;
        Ok(tables)
    }

    /// The table of a kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> &Table {
        &self.rows[kind.index()]
    }

    /// The table of a rollup.
    #[must_use]
    pub const fn rollup(&self, rollup: Rollup) -> &Table {
        &self.rollups[rollup.index()]
    }

    /// Each table that senders fill.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.rows.iter()
    }

    /// Each table, rollups after the rest.
    pub fn all(&self) -> impl Iterator<Item = &Table> {
        self.rows.iter().chain(&self.rollups)
    }
}

/// What one table may use of the memory of all: shares follow how much comes, and each holds a few of the largest
/// batches, so that a flood of one kind never keeps the others waiting.
fn share(kind: Kind, options: &Options) -> Options {
    let of = |bytes: u64| match kind {
        Kind::Events => bytes / 2,
        Kind::Flows => bytes * 3 / 16,
        Kind::Losses | Kind::Rulesets | Kind::Lines => bytes / 16,
        Kind::Counters => bytes / 8,
    };
    Options {
        hot_limit: of(options.hot_limit).max(1),
        commit_bytes: of(options.commit_bytes).max(1),
        ..options.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_of_the_memory() {
        let options = Options { hot_limit: 512 << 20, commit_bytes: 128 << 20, ..Options::default() };
        let sum =
            |of: fn(&Options) -> u64| Kind::ALL.iter().map(|kind| of(&share(*kind, &options))).sum::<u64>();
        assert_eq!((sum(|o| o.hot_limit), sum(|o| o.commit_bytes)), (512 << 20, 128 << 20));
    }
}
