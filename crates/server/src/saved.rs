//! Views, in the catalog.

use async_trait::async_trait;
use bartizan_api::{NewView, Saved, Unavailable, ViewInfo};
use bartizan_catalog::{Catalog, CatalogError, View};

/// What people keep.
pub(crate) struct Kept(pub(crate) Catalog);

fn unavailable(error: CatalogError) -> Unavailable {
    Unavailable(Box::new(error))
}

#[async_trait]
impl Saved for Kept {
    async fn views(&self) -> Result<Vec<(String, ViewInfo)>, Unavailable> {
        let info = |view: View| {
            (
                view.owner,
                ViewInfo {
                    name: view.name,
                    table: view.table,
                    filter: view.filter,
                    columns: view.columns,
                    since: view.since,
                    shared: view.shared,
                    changed: view.changed,
                },
            )
        };
        Ok(self.0.views().await.map_err(unavailable)?.into_iter().map(info).collect())
    }

    async fn put_view(&self, owner: &str, new: NewView) -> Result<(), Unavailable> {
        let NewView { name, table, filter, columns, since, shared } = new;
        let changed = bartizan_clock::now();
        let view = View {
            name,
            table: table.as_str().to_owned(),
            filter,
            columns,
            since,
            shared,
            changed,
            owner: owner.to_owned(),
        };
        self.0.put_view(&view).await.map_err(unavailable)
    }

    async fn delete_view(&self, name: &str) -> Result<bool, Unavailable> {
        self.0.delete_view(name).await.map_err(unavailable)
    }
}
