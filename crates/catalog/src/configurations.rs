//! Configurations of hosts, in versions: what was said, of whom, by whom and when. The newest of a target counts.

use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};

/// What is to be said from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConfiguration {
    /// Of whom: `*`, `group:NAME` or `host:NAME`.
    pub target: String,
    /// TOML.
    pub text: String,
    /// Who says it.
    pub who: String,
    /// Why, for people.
    pub comment: String,
}

/// A version as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Its number; no two versions of whatever target have the same.
    pub version: u64,
    /// What it says.
    pub said: NewConfiguration,
    /// Since when.
    pub at: Micros,
}

impl Catalog {
    /// Adds a version, which counts from now on; what was the newest of its target before comes back with it.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn add_configuration(
        &self,
        new: NewConfiguration,
        at: Micros,
    ) -> Result<(Configuration, Option<Configuration>), CatalogError> {
        let fail = doing("keep a configuration");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let before =
            sqlx::query("SELECT * FROM configurations WHERE target = ? ORDER BY version DESC LIMIT 1")
                .bind(&new.target)
                .fetch_optional(&mut *tx)
                .await
                .map_err(&fail)?;
        let before = before.as_ref().map(configuration_of).transpose()?;
        let done = sqlx::query(
            "INSERT INTO configurations (target, content, who, comment, at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&new.target)
        .bind(&new.text)
        .bind(&new.who)
        .bind(&new.comment)
        .bind(at.0)
        .execute(&mut *tx)
        .await
        .map_err(&fail)?;
        let version = done.last_insert_rowid().cast_unsigned();
        tx.commit().await.map_err(fail)?;
        Ok((Configuration { version, said: new, at }, before))
    }

    /// The newest version of each target.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn configurations(&self) -> Result<Vec<Configuration>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM configurations WHERE version IN (SELECT max(version) FROM configurations GROUP BY target)
             ORDER BY target",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(doing("list the configurations"))?;
        rows.iter().map(configuration_of).collect()
    }

    /// Versions, the newest first: of one target or of all, before a number, at most `limit`.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn configuration_history(
        &self,
        target: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Configuration>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM configurations WHERE (?1 IS NULL OR target = ?1) AND (?2 IS NULL OR version < ?2)
             ORDER BY version DESC LIMIT ?3",
        )
        .bind(target)
        .bind(before.map(number))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("list the configurations"))?;
        rows.iter().map(configuration_of).collect()
    }

    /// One version.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn configuration(&self, version: u64) -> Result<Option<Configuration>, CatalogError> {
        let row = sqlx::query("SELECT * FROM configurations WHERE version = ?")
            .bind(number(version))
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("read a configuration"))?;
        row.as_ref().map(configuration_of).transpose()
    }
}

/// A number that SQLite has; no version has one above.
fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn configuration_of(row: &SqliteRow) -> Result<Configuration, CatalogError> {
    let fail = doing("read a configuration");
    Ok(Configuration {
        version: row.try_get::<i64, _>("version").map_err(&fail)?.cast_unsigned(),
        said: NewConfiguration {
            target: row.try_get("target").map_err(&fail)?,
            text: row.try_get("content").map_err(&fail)?,
            who: row.try_get("who").map_err(&fail)?,
            comment: row.try_get("comment").map_err(&fail)?,
        },
        at: Micros(row.try_get("at").map_err(&fail)?),
    })
}
