use crate::{LakeError, Options, Table};
use bartizan_model::{Kind, Micros};
use object_store::ObjectStore;
use std::sync::Arc;

/// All tables of one lake, one of each kind, in one store.
#[derive(Clone, Debug)]
pub struct Tables([Table; Kind::ALL.len()]);

impl Tables {
    /// Opens every table, and makes the ones that are not there.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub async fn open(
        store: &Arc<dyn ObjectStore>,
        options: &Options,
        now: Micros,
    ) -> Result<Self, LakeError> {
        let open = |kind| Table::open(Arc::clone(store), kind, options.clone(), now);
        let [a, b, c, d, e] = Kind::ALL;
        Ok(Self([open(a).await?, open(b).await?, open(c).await?, open(d).await?, open(e).await?]))
    }

    /// The table of a kind.
    #[must_use]
    pub const fn of(&self, kind: Kind) -> &Table {
        &self.0[kind.index()]
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.0.iter()
    }
}
