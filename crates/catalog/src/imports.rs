use crate::{Catalog, CatalogError, error::doing, id_of};
use bartizan_model::{HostId, Micros};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// An import of one source, running or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its identity: the host of the stream that its rows came by.
    pub id: HostId,
    /// What the source is called where it was imported last.
    pub name: String,
    /// Its format.
    pub format: String,
    /// How many bytes of its content its identity is made of; `None` if that is a name.
    pub head: Option<u32>,
    /// The kinds of rows that it can give, in words with blanks between them.
    pub kinds: String,
    /// Up to where it was delivered.
    pub position: u64,
    /// What became of its records in the runs that came to an end, as JSON; empty before the first.
    pub totals: String,
    /// When it began.
    pub started: Micros,
    /// When something of it last came.
    pub touched: Micros,
    /// When it last came to its end.
    pub finished: Option<Micros>,
    /// Whether something of it could not be read, in the last run that came to an end.
    pub partial: bool,
}

/// The content of an import just before a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The position.
    pub position: u64,
    /// SHA-256 of the content before it.
    pub digest: [u8; 32],
}

fn stored(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

impl Catalog {
    /// Notes an import, or that it goes on.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn begin_import(&self, import: &Import) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO imports (id, name, format, head, kinds, position, totals, started, touched, partial)
             VALUES (?, ?, ?, ?, ?, 0, '', ?, ?, 0)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, kinds = excluded.kinds, touched = excluded.touched",
        )
        .bind(import.id.to_string())
        .bind(&import.name)
        .bind(&import.format)
        .bind(import.head)
        .bind(&import.kinds)
        .bind(import.started.0)
        .bind(import.touched.0)
        .execute(&self.pool)
        .await
        .map_err(doing("note an import"))?;
        Ok(())
    }

    /// One import.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn import(&self, id: HostId) -> Result<Option<Import>, CatalogError> {
        let row = sqlx::query("SELECT * FROM imports WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("find an import"))?;
        row.as_ref().map(read).transpose()
    }

    /// Imports, the latest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn imports(&self, limit: u32) -> Result<Vec<Import>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM imports ORDER BY touched DESC, id LIMIT ?")
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(doing("list imports"))?;
        rows.iter().map(read).collect()
    }

    /// How long the heads are by which imports of a format are known, the longest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn import_heads(&self, format: &str) -> Result<Vec<u32>, CatalogError> {
        let fail = doing("find imports");
        let rows = sqlx::query(
            "SELECT DISTINCT head FROM imports WHERE format = ? AND head IS NOT NULL ORDER BY head DESC",
        )
        .bind(format)
        .fetch_all(&self.pool)
        .await
        .map_err(&fail)?;
        rows.iter().map(|row| row.try_get(0).map_err(&fail)).collect()
    }

    /// An import was delivered up to a position, before which its content is this.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn move_import(
        &self,
        id: HostId,
        position: u64,
        digest: Option<[u8; 32]>,
        now: Micros,
    ) -> Result<(), CatalogError> {
        let fail = doing("note how far an import is");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        sqlx::query("UPDATE imports SET position = max(position, ?), touched = ? WHERE id = ?")
            .bind(stored(position))
            .bind(now.0)
            .bind(id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
        if let Some(digest) = digest {
            sqlx::query("INSERT OR REPLACE INTO import_checks (import, position, digest) VALUES (?, ?, ?)")
                .bind(id.to_string())
                .bind(stored(position))
                .bind(digest.as_slice())
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// What is known of the content of an import before places between records, from its beginning on.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn import_checks(&self, id: HostId) -> Result<Vec<Check>, CatalogError> {
        self.checks("SELECT position, digest FROM import_checks WHERE import = ? ORDER BY position", id).await
    }

    /// What is known of the content of an import up to fixed offsets.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn import_landmarks(&self, id: HostId) -> Result<Vec<Check>, CatalogError> {
        self.checks("SELECT position, digest FROM import_landmarks WHERE import = ? ORDER BY position", id)
            .await
    }

    /// Notes the content of an import up to fixed offsets; what is known of it stays.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn note_landmarks(&self, id: HostId, landmarks: &[Check]) -> Result<(), CatalogError> {
        let fail = doing("note the content of an import");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        for landmark in landmarks {
            sqlx::query("INSERT OR IGNORE INTO import_landmarks (import, position, digest) VALUES (?, ?, ?)")
                .bind(id.to_string())
                .bind(stored(landmark.position))
                .bind(landmark.digest.as_slice())
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    async fn checks(&self, question: &'static str, id: HostId) -> Result<Vec<Check>, CatalogError> {
        let fail = doing("read what is known of an import");
        let rows = sqlx::query(question).bind(id.to_string()).fetch_all(&self.pool).await.map_err(&fail)?;
        rows.iter()
            .map(|row| {
                let digest: &[u8] = row.try_get("digest").map_err(&fail)?;
                Ok(Check {
                    position: position(row)?,
                    digest: digest.try_into().map_err(|_| CatalogError::Damaged("a digest".into()))?,
                })
            })
            .collect()
    }

    /// An import came to its end.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn finish_import(
        &self,
        id: HostId,
        totals: &str,
        partial: bool,
        now: Micros,
    ) -> Result<(), CatalogError> {
        sqlx::query("UPDATE imports SET totals = ?, partial = ?, finished = ?, touched = ? WHERE id = ?")
            .bind(totals)
            .bind(partial)
            .bind(now.0)
            .bind(now.0)
            .bind(id.to_string())
            .execute(&self.pool)
            .await
            .map_err(doing("note the end of an import"))?;
        Ok(())
    }
}

fn position(row: &SqliteRow) -> Result<u64, CatalogError> {
    let position: i64 = row.try_get("position").map_err(doing("read an import"))?;
    u64::try_from(position).map_err(|_| CatalogError::Damaged("a position".into()))
}

fn read(row: &SqliteRow) -> Result<Import, CatalogError> {
    let fail = doing("read an import");
    let id: &str = row.try_get("id").map_err(&fail)?;
    Ok(Import {
        id: id_of(id)?,
        name: row.try_get("name").map_err(&fail)?,
        format: row.try_get("format").map_err(&fail)?,
        head: row.try_get("head").map_err(&fail)?,
        kinds: row.try_get("kinds").map_err(&fail)?,
        position: position(row)?,
        totals: row.try_get("totals").map_err(&fail)?,
        started: Micros(row.try_get("started").map_err(&fail)?),
        touched: Micros(row.try_get("touched").map_err(&fail)?),
        finished: row.try_get::<Option<i64>, _>("finished").map_err(&fail)?.map(Micros),
        partial: row.try_get("partial").map_err(&fail)?,
    })
}
