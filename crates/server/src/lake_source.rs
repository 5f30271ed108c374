//! The lake as the query engine sees it.

use bartizan_ingest::Tables;
use bartizan_model::{Kind, Micros};
use bartizan_query::{DataFile, Source, View, Window};
use object_store::ObjectStore;
use std::sync::Arc;

pub(crate) struct LakeSource(pub(crate) Tables);

impl Source for LakeSource {
    fn view(&self, kind: Kind, window: Window) -> View {
        let view = self.0.of(kind).view();
        let (since, until) = (window.since.unwrap_or(Micros(i64::MIN)), window.until.unwrap_or(Micros(i64::MAX)));
        let files = view.files_between(since, until);
        let hot = view.hot_between(since, until);
        View {
            files: files
                .iter()
                .map(|f| DataFile { path: f.path().clone(), size: f.size(), rows: f.rows(), time: f.time() })
                .collect(),
            hot: hot.iter().flat_map(|b| b.rows().iter().cloned()).collect(),
        }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(self.0.events.store())
    }
}
