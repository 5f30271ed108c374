use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};
use std::path::Path;

/// Rows that no retention may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What it is called.
    pub name: String,
    /// Of which table.
    pub table: String,
    /// Which rows, as a filter.
    pub filter: String,
    /// Why.
    pub comment: String,
    /// Since when.
    pub created: Micros,
}

/// An erasure that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its number.
    pub id: i64,
    /// When it was done.
    pub at: Micros,
    /// What was done, as JSON.
    pub receipt: String,
    /// When the last of its files was deleted.
    pub deleted: Option<Micros>,
}

impl Catalog {
    /// Makes a hold; false if there is one of that name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn add_hold(&self, hold: &Hold) -> Result<bool, CatalogError> {
        let done = sqlx::query("INSERT OR IGNORE INTO holds VALUES (?, ?, ?, ?, ?)")
            .bind(&hold.name)
            .bind(&hold.table)
            .bind(&hold.filter)
            .bind(&hold.comment)
            .bind(hold.created.0)
            .execute(&self.pool)
            .await
            .map_err(doing("make a hold"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a hold; false if there is none of that name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn release_hold(&self, name: &str) -> Result<bool, CatalogError> {
        let done = sqlx::query("DELETE FROM holds WHERE name = ?")
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(doing("end a hold"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Every hold, by name.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn holds(&self) -> Result<Vec<Hold>, CatalogError> {
        let fail = doing("list the holds");
        let rows =
            sqlx::query("SELECT * FROM holds ORDER BY name").fetch_all(&self.pool).await.map_err(&fail)?;
        let hold = |row: &SqliteRow| -> Result<Hold, sqlx::Error> {
            Ok(Hold {
                name: row.try_get("name")?,
                table: row.try_get("in_table")?,
                filter: row.try_get("filter")?,
                comment: row.try_get("comment")?,
                created: Micros(row.try_get("created")?),
            })
        };
        rows.iter().map(|row| hold(row).map_err(&fail)).collect()
    }

    /// Notes an erasure, and gives its number.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn add_erasure(&self, at: Micros, receipt: &str) -> Result<i64, CatalogError> {
        let done = sqlx::query("INSERT INTO erasures (at, receipt) VALUES (?, ?)")
            .bind(at.0)
            .bind(receipt)
            .execute(&self.pool)
            .await
            .map_err(doing("note an erasure"))?;
        Ok(done.last_insert_rowid())
    }

    /// Notes that the files of an erasure are deleted.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn finish_erasure(&self, id: i64, at: Micros) -> Result<(), CatalogError> {
        sqlx::query("UPDATE erasures SET deleted = ? WHERE id = ?")
            .bind(at.0)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(doing("finish an erasure"))?;
        Ok(())
    }

    /// Every erasure, the latest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, CatalogError> {
        let fail = doing("list the erasures");
        let rows = sqlx::query("SELECT * FROM erasures ORDER BY id DESC").fetch_all(&self.pool).await;
        let erasure = |row: &SqliteRow| -> Result<Erasure, sqlx::Error> {
            Ok(Erasure {
                id: row.try_get("id")?,
                at: Micros(row.try_get("at")?),
                receipt: row.try_get("receipt")?,
                deleted: row.try_get::<Option<i64>, _>("deleted")?.map(Micros),
            })
        };
        rows.map_err(&fail)?.iter().map(|row| erasure(row).map_err(&fail)).collect()
    }

    /// Notes a moment under a name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn note_moment(&self, name: &str, at: Micros) -> Result<(), CatalogError> {
        sqlx::query("REPLACE INTO moments VALUES (?, ?)")
            .bind(name)
            .bind(at.0)
            .execute(&self.pool)
            .await
            .map_err(doing("note a moment"))?;
        Ok(())
    }

    /// The moment that was noted under a name.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn moment(&self, name: &str) -> Result<Option<Micros>, CatalogError> {
        let fail = doing("read a moment");
        let row = sqlx::query("SELECT at FROM moments WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(&fail)?;
        row.map(|row| row.try_get(0).map(Micros).map_err(&fail)).transpose()
    }

    /// Writes a consistent copy of the catalog to a file that does not exist, while it is used.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn copy_to(&self, path: &Path) -> Result<(), CatalogError> {
        let fail = doing("be copied");
        let text = path
            .to_str()
            .ok_or_else(|| fail(sqlx::Error::Io(std::io::Error::other("the path is not UTF-8"))))?;
        sqlx::query("VACUUM INTO ?").bind(text).execute(&self.pool).await.map_err(&fail)?;
        Ok(())
    }
}
