use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// What it is called in lists.
    pub name: String,
    /// Who signed in.
    pub who: String,
    /// When it was made.
    pub created: Micros,
    /// When it was last used, about.
    pub used: Micros,
    /// Where it was made from.
    pub address: String,
    /// What the browser calls itself.
    pub browser: String,
}

impl Catalog {
    /// Keeps a new session.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn add_session(&self, session: &Session) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO sessions (hash, name, who, created, used, address, browser) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(session.hash.as_slice())
        .bind(&session.name)
        .bind(&session.who)
        .bind(session.created.0)
        .bind(session.used.0)
        .bind(&session.address)
        .bind(&session.browser)
        .execute(&self.pool)
        .await
        .map_err(doing("keep a session"))?;
        Ok(())
    }

    /// Notes that a session was used; nothing happens if it is gone.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn use_session(&self, hash: &[u8; 32], used: Micros) -> Result<(), CatalogError> {
        sqlx::query("UPDATE sessions SET used = ? WHERE hash = ?")
            .bind(used.0)
            .bind(hash.as_slice())
            .execute(&self.pool)
            .await
            .map_err(doing("note the use of a session"))?;
        Ok(())
    }

    /// Ends a session; false if there is none of that name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn end_session(&self, name: &str) -> Result<bool, CatalogError> {
        let done = sqlx::query("DELETE FROM sessions WHERE name = ?").bind(name).execute(&self.pool).await;
        Ok(done.map_err(doing("end a session"))?.rows_affected() == 1)
    }

    /// Every session, the latest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn sessions(&self) -> Result<Vec<Session>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM sessions ORDER BY created DESC, name")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("list the sessions"))?;
        rows.iter().map(session_of).collect()
    }
}

fn session_of(row: &SqliteRow) -> Result<Session, CatalogError> {
    let fail = doing("read a session");
    let hash = |column: &str| -> Result<[u8; 32], CatalogError> {
        let bytes: &[u8] = row.try_get(column).map_err(&fail)?;
        bytes.try_into().map_err(|_| CatalogError::Damaged("a session's hash".into()))
    };
    Ok(Session {
        hash: hash("hash")?,
        name: row.try_get("name").map_err(&fail)?,
        who: row.try_get("who").map_err(&fail)?,
        created: Micros(row.try_get("created").map_err(&fail)?),
        used: Micros(row.try_get("used").map_err(&fail)?),
        address: row.try_get("address").map_err(&fail)?,
        browser: row.try_get("browser").map_err(&fail)?,
    })
}
