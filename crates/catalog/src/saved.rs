use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};

/// A question with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is called.
    pub name: String,
    /// Of which table.
    pub table: String,
    /// Which rows, as a filter.
    pub filter: String,
    /// Which columns are shown; none: as usual.
    pub columns: Vec<String>,
    /// From when on, as a person writes it: `1h`, `today`.
    pub since: Option<String>,
    /// Whether it is for everybody.
    pub shared: bool,
    /// Who keeps it; empty for those from before there were people.
    pub owner: String,
    /// When it was last changed.
    pub changed: Micros,
}

impl Catalog {
    /// Keeps a view, in the place of one of the same name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn put_view(&self, view: &View) -> Result<(), CatalogError> {
        sqlx::query("REPLACE INTO views VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(&view.name)
            .bind(&view.table)
            .bind(&view.filter)
            .bind(view.columns.join(","))
            .bind(&view.since)
            .bind(view.shared)
            .bind(view.changed.0)
            .bind(&view.owner)
            .execute(&self.pool)
            .await
            .map_err(doing("keep a view"))?;
        Ok(())
    }

    /// Removes a view; false if there is none of that name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn delete_view(&self, name: &str) -> Result<bool, CatalogError> {
        let done = sqlx::query("DELETE FROM views WHERE name = ?").bind(name).execute(&self.pool).await;
        Ok(done.map_err(doing("remove a view"))?.rows_affected() == 1)
    }

    /// Every view, by name.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn views(&self) -> Result<Vec<View>, CatalogError> {
        let fail = doing("list the views");
        let rows =
            sqlx::query("SELECT * FROM views ORDER BY name").fetch_all(&self.pool).await.map_err(&fail)?;
        let view = |row: &SqliteRow| -> Result<View, sqlx::Error> {
            Ok(View {
                name: row.try_get("name")?,
                table: row.try_get("in_table")?,
                filter: row.try_get("filter")?,
                columns: words(row.try_get("columns")?),
                since: row.try_get("since")?,
                shared: row.try_get("shared")?,
                changed: Micros(row.try_get("changed")?),
                owner: row.try_get("owner")?,
            })
        };
        rows.iter().map(|row| view(row).map_err(&fail)).collect()
    }
}

/// Names have no commas: whoever keeps them sees to that.
fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
