use crate::users::role_of;
use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::{Micros, Role};
use sqlx::{Row, sqlite::SqliteRow};

/// A token with which a program asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// What it is called.
    pub name: String,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// Whose it is; `None`: nobody's, a service's.
    pub user: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The filter of the rows that it may see; `None`: all.
    pub scope: Option<String>,
    /// Whether it may see what packets and lines say.
    pub payload: bool,
    /// What it is for.
    pub comment: String,
    /// When it was made.
    pub created: Micros,
    /// Until when it is good; `None`: until it is revoked.
    pub expires: Option<Micros>,
    /// When it was last used, about.
    pub used: Option<Micros>,
}

impl Catalog {
    /// Keeps a new token.
    ///
    /// # Errors
    /// If the catalog cannot be written, or has one of that name.
    pub async fn add_access(&self, token: &AccessToken) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO access_tokens (name, hash, user, role, scope, payload, comment, created, expires)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&token.name)
        .bind(token.hash.as_slice())
        .bind(&token.user)
        .bind(token.role.as_str())
        .bind(&token.scope)
        .bind(token.payload)
        .bind(&token.comment)
        .bind(token.created.0)
        .bind(token.expires.map(|at| at.0))
        .execute(&self.pool)
        .await
        .map_err(doing("keep an access token"))?;
        Ok(())
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn use_access(&self, name: &str, used: Micros) -> Result<(), CatalogError> {
        sqlx::query("UPDATE access_tokens SET used = ? WHERE name = ?")
            .bind(used.0)
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(doing("note the use of an access token"))?;
        Ok(())
    }

    /// Removes a token; false if there is none of that name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn delete_access(&self, name: &str) -> Result<bool, CatalogError> {
        let done = sqlx::query("DELETE FROM access_tokens WHERE name = ?").bind(name).execute(&self.pool);
        Ok(done.await.map_err(doing("remove an access token"))?.rows_affected() == 1)
    }

    /// Every token, by name.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn access_tokens(&self) -> Result<Vec<AccessToken>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM access_tokens ORDER BY name").fetch_all(&self.pool).await;
        rows.map_err(doing("list the access tokens"))?.iter().map(token_of).collect()
    }
}

fn token_of(row: &SqliteRow) -> Result<AccessToken, CatalogError> {
    let fail = doing("read an access token");
    let time = |column: &str| Ok(row.try_get::<Option<i64>, _>(column).map_err(&fail)?.map(Micros));
    let hash: &[u8] = row.try_get("hash").map_err(&fail)?;
    Ok(AccessToken {
        name: row.try_get("name").map_err(&fail)?,
        hash: hash.try_into().map_err(|_| CatalogError::Damaged("an access token's hash".into()))?,
        user: row.try_get("user").map_err(&fail)?,
        role: role_of(row)?,
        scope: row.try_get("scope").map_err(&fail)?,
        payload: row.try_get("payload").map_err(&fail)?,
        comment: row.try_get("comment").map_err(&fail)?,
        created: Micros(row.try_get("created").map_err(&fail)?),
        expires: time("expires")?,
        used: time("used")?,
    })
}
