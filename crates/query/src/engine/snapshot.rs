//! One moment of a table, for answers that are made of several questions: their numbers agree.

use super::Engine;
use crate::source::{Rolled, Source, View, Window};
use bartizan_model::Kind;
use object_store::ObjectStore;
use std::sync::Arc;

/// What a table held.
struct Snapshot {
    kind: Kind,
    rolled: Rolled,
    inner: Arc<dyn Source>,
}

impl Engine {
    /// This engine over one table as it is now, for questions that are inside of a window.
    pub(super) fn at_one_moment(&self, kind: Kind, window: Window) -> Self {
        let rolled = match kind {
            Kind::Events => self.source.rolled(window),
            kind => {
                let view = self.source.view(kind, window);
                Rolled { hot: view.hot, parts: parts(view.files), history: Vec::new() }
            }
        };
        let snapshot = Snapshot { kind, rolled, inner: Arc::clone(&self.source) };
        Self { source: Arc::new(snapshot), planner: self.planner.clone() }
    }
}

fn parts(files: Vec<crate::DataFile>) -> Vec<crate::Part> {
    let part = |rows| crate::Part { rows, counts: crate::Counts::default(), tiers: None };
    files.into_iter().map(part).collect()
}

impl Source for Snapshot {
    fn view(&self, kind: Kind, window: Window) -> View {
        if kind != self.kind {
            return self.inner.view(kind, window);
        }
        let files = self.rolled.parts.iter().map(|part| part.rows.clone());
        let files = files.filter(|file| window.touches(file.time));
        View { files: files.collect(), hot: self.rolled.hot.clone() }
    }

    fn rolled(&self, window: Window) -> Rolled {
        if self.kind == Kind::Events { self.rolled.clone() } else { self.inner.rolled(window) }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.inner.store()
    }
}
