use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};

/// A join token as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: Micros,
    /// It is good before this moment.
    pub expires: Micros,
    /// How many hosts it still lets in.
    pub uses_left: u32,
    /// How many it has let in.
    pub used: u32,
    /// How often somebody was refused who came with it from elsewhere than it is for.
    pub refused: u32,
    /// What it is for, in words.
    pub comment: String,
    /// The group that hosts are in which enrol with it.
    pub group: Option<String>,
    /// From where hosts may enrol with it; nothing: from anywhere.
    pub networks: Vec<String>,
    /// Whether hosts that enrol with it have to be approved.
    pub approval: bool,
    /// When it was made void, if it was.
    pub revoked: Option<Micros>,
}

/// What came of an attempt to use a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// One use was taken.
    Ok,
    /// Its time is over.
    Expired,
    /// All its uses are taken.
    Used,
    /// Somebody made it void.
    Revoked,
    /// There is no such token.
    Unknown,
}

impl Catalog {
    /// Notes a new token.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn add_token(&self, token: &Token) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO join_tokens (hash, created, expires, uses_left, comment, in_group, networks, approval)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(token.hash.as_slice())
        .bind(token.created.0)
        .bind(token.expires.0)
        .bind(token.uses_left)
        .bind(&token.comment)
        .bind(&token.group)
        .bind(token.networks.join(" "))
        .bind(token.approval)
        .execute(&self.pool)
        .await
        .map_err(doing("add a token"))?;
        Ok(())
    }

    /// Takes one use of a token, if it has one.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn redeem(&self, hash: &[u8; 32], now: Micros) -> Result<Redeemed, CatalogError> {
        let fail = doing("redeem a token");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let row = sqlx::query("SELECT expires, uses_left, revoked_at FROM join_tokens WHERE hash = ?")
            .bind(hash.as_slice())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&fail)?;
        let Some(row) = row else { return Ok(Redeemed::Unknown) };
        let expires: i64 = row.try_get("expires").map_err(&fail)?;
        let uses_left: i64 = row.try_get("uses_left").map_err(&fail)?;
        if row.try_get::<Option<i64>, _>("revoked_at").map_err(&fail)?.is_some() {
            return Ok(Redeemed::Revoked);
        }
        if now.0 >= expires {
            return Ok(Redeemed::Expired);
        }
        if uses_left <= 0 {
            return Ok(Redeemed::Used);
        }
        sqlx::query("UPDATE join_tokens SET uses_left = uses_left - 1, used = used + 1 WHERE hash = ?")
            .bind(hash.as_slice())
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(Redeemed::Ok)
    }

    /// Gives a use back, when the enrolment that took it failed for another reason.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn give_back(&self, hash: &[u8; 32]) -> Result<(), CatalogError> {
        sqlx::query(
            "UPDATE join_tokens SET uses_left = uses_left + 1, used = max(used - 1, 0) WHERE hash = ?",
        )
        .bind(hash.as_slice())
        .execute(&self.pool)
        .await
        .map_err(doing("give a token's use back"))?;
        Ok(())
    }

    /// The token of a secret with this hash.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, CatalogError> {
        let row = sqlx::query("SELECT * FROM join_tokens WHERE hash = ?")
            .bind(hash.as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("look up a token"))?;
        row.as_ref().map(token_of).transpose()
    }

    /// Counts somebody who came with a token from elsewhere than it is for.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn refuse(&self, hash: &[u8; 32]) -> Result<(), CatalogError> {
        sqlx::query("UPDATE join_tokens SET refused = min(refused + 1, 1000000000) WHERE hash = ?")
            .bind(hash.as_slice())
            .execute(&self.pool)
            .await
            .map_err(doing("count a refusal"))?;
        Ok(())
    }

    /// Makes a token void; one that is void already stays as it is. False if there is none.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn revoke_token(&self, hash: &[u8; 32], now: Micros) -> Result<bool, CatalogError> {
        let done = sqlx::query("UPDATE join_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE hash = ?")
            .bind(now.0)
            .bind(hash.as_slice())
            .execute(&self.pool)
            .await
            .map_err(doing("revoke a token"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Every token, newest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn tokens(&self) -> Result<Vec<Token>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM join_tokens ORDER BY created DESC, hash")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("list the tokens"))?;
        rows.iter().map(token_of).collect()
    }

    /// Forgets tokens whose time was over before this moment; how many.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn forget_tokens(&self, before: Micros) -> Result<u64, CatalogError> {
        let done = sqlx::query("DELETE FROM join_tokens WHERE expires < ?")
            .bind(before.0)
            .execute(&self.pool)
            .await
            .map_err(doing("forget tokens"))?;
        Ok(done.rows_affected())
    }
}

fn token_of(row: &SqliteRow) -> Result<Token, CatalogError> {
    let fail = doing("read a token");
    let hash: &[u8] = row.try_get("hash").map_err(&fail)?;
    let networks: &str = row.try_get("networks").map_err(&fail)?;
    Ok(Token {
        hash: hash.try_into().map_err(|_| CatalogError::Damaged("a token's hash".into()))?,
        created: Micros(row.try_get("created").map_err(&fail)?),
        expires: Micros(row.try_get("expires").map_err(&fail)?),
        uses_left: row.try_get("uses_left").map_err(&fail)?,
        used: row.try_get("used").map_err(&fail)?,
        refused: row.try_get("refused").map_err(&fail)?,
        comment: row.try_get("comment").map_err(&fail)?,
        group: row.try_get("in_group").map_err(&fail)?,
        networks: networks.split_whitespace().map(str::to_owned).collect(),
        approval: row.try_get("approval").map_err(&fail)?,
        revoked: row.try_get::<Option<i64>, _>("revoked_at").map_err(&fail)?.map(Micros),
    })
}
