use crate::source::{DataFile, Source, View, Window};
use bartizan_lake::Table;
use bartizan_model::Kind;
use object_store::ObjectStore;
use std::sync::Arc;

/// The lake's tables as a [`Source`].
#[derive(Clone, Debug)]
pub struct Tables {
    /// Of [`Kind::Events`].
    pub events: Table,
    /// Of [`Kind::Losses`]; in the same store.
    pub losses: Table,
}

impl Source for Tables {
    fn view(&self, kind: Kind, window: Window) -> View {
        let table = match kind {
            Kind::Events => &self.events,
            Kind::Losses => &self.losses,
        };
        let view = table.view();
        View {
            files: view
                .files
                .iter()
                .filter(|file| window.touches(file.time()))
                .map(|file| DataFile {
                    path: file.path().clone(),
                    size: file.size(),
                    rows: file.rows(),
                    time: file.time(),
                })
                .collect(),
            hot: view
                .hot
                .iter()
                .filter(|batch| window.touches(batch.time()))
                .flat_map(|batch| batch.rows().iter().cloned())
                .collect(),
        }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(self.events.store())
    }
}
