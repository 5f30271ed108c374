use crate::source::{DataFile, Source, View, Window};
use bartizan_lake::{Tables, tag};
use bartizan_model::Kind;
use object_store::ObjectStore;
use std::sync::Arc;

impl Source for Tables {
    fn view(&self, kind: Kind, window: Window) -> View {
        let view = self.of(kind).view();
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
                    seq: file.seq(),
                    packets: file.packets(),
                    crc32c: file.tag(tag::CRC32C).and_then(|sum| u32::from_str_radix(sum, 16).ok()),
                    by_source: file.tag(tag::SORTED).is_some(),
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
        Arc::clone(self.of(Kind::Events).store())
    }
}
