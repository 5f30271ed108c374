use crate::source::{Counts, DataFile, History, Part, Rolled, Source, View, Window};
use bartizan_lake::{Tables, Tiers, tag};
use bartizan_model::Kind;
use bartizan_schema::Rollup;
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
                .map(|file| data_file(file))
                .collect(),
            hot: view
                .hot
                .iter()
                .filter(|batch| window.touches(batch.time()))
                .flat_map(|batch| batch.rows().iter().cloned())
                .collect(),
        }
    }

    fn rolled(&self, window: Window) -> Rolled {
        let all = self.parts();
        let parts = all.parts.iter().filter(|part| window.touches(part.rows.time()));
        let parts = parts.map(|part| {
            let (counts, tiers) = counts(&part.counts);
            Part { rows: data_file(&part.rows), counts, tiers }
        });
        let history = all.history.iter().filter(|history| window.touches(history.time));
        let history = history.map(|history| {
            let (counts, tiers) = counts(&history.counts);
            History { time: history.time, counts, tiers }
        });
        let hot = all.events.hot.iter().filter(|batch| window.touches(batch.time()));
        Rolled {
            parts: parts.collect(),
            history: history.collect(),
            hot: hot.flat_map(|batch| batch.rows().iter().cloned()).collect(),
        }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(self.of(Kind::Events).store())
    }
}

fn data_file(file: &bartizan_lake::DataFile) -> DataFile {
    DataFile {
        path: file.path().clone(),
        size: file.size(),
        rows: file.rows(),
        time: file.time(),
        received: file.received(),
        seq: file.seq(),
        packets: file.packets(),
        crc32c: file.tag(tag::CRC32C).and_then(|sum| u32::from_str_radix(sum, 16).ok()),
        by_source: file.tag(tag::SORTED).is_some(),
    }
}

fn counts(files: &bartizan_lake::Counts) -> (Counts, Option<Tiers>) {
    let tiers = files[Rollup::Sources.index()].as_ref().and_then(|file| Tiers::of(file));
    (files.each_ref().map(|file| file.as_ref().map(|file| data_file(file))), tiers)
}
