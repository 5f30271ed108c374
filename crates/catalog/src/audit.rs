use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};

/// Something that somebody did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAudit {
    /// Who.
    pub who: String,
    /// From where.
    pub address: Option<String>,
    /// What: the name of the operation.
    pub what: String,
    /// To what, or with what.
    pub about: Option<String>,
    /// As it was, in JSON.
    pub old: Option<String>,
    /// As it is now, in JSON.
    pub new: Option<String>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; the first is 1, and none is left out.
    pub id: i64,
    /// When.
    pub at: Micros,
    /// What.
    pub entry: NewAudit,
    /// The hash over it and all before it.
    pub hash: [u8; 32],
}

/// Which entries are wanted, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// From when on.
    pub since: Option<Micros>,
    /// Before when.
    pub until: Option<Micros>,
    /// Only of this one.
    pub who: Option<String>,
    /// Only these deeds.
    pub what: Option<String>,
    /// Only entries before the one of this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Catalog {
    /// Adds an entry. `hash` makes its hash of that of the entry before (zeros for the first), its number and its time.
    /// Its time is never before that of the entry before, whatever the clock says.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn add_audit(
        &self,
        entry: &NewAudit,
        now: Micros,
        hash: impl FnOnce(&[u8; 32], i64, Micros) -> [u8; 32],
    ) -> Result<AuditEntry, CatalogError> {
        let fail = doing("write the audit log");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let last = sqlx::query("SELECT * FROM audit ORDER BY id DESC LIMIT 1").fetch_optional(&mut *tx).await;
        let last = last.map_err(&fail)?.as_ref().map(entry_of).transpose()?;
        let (id, at, before) =
            last.map_or((1, now, [0; 32]), |last| (last.id + 1, last.at.max(now), last.hash));
        let hash = hash(&before, id, at);
        sqlx::query("INSERT INTO audit (id, at, who, address, what, about, old, new, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(at.0)
            .bind(&entry.who)
            .bind(&entry.address)
            .bind(&entry.what)
            .bind(&entry.about)
            .bind(&entry.old)
            .bind(&entry.new)
            .bind(hash.as_slice())
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(AuditEntry { id, at, entry: entry.clone(), hash })
    }

    /// Entries, the newest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn audit(&self, page: &AuditPage) -> Result<Vec<AuditEntry>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM audit
             WHERE (?1 IS NULL OR at >= ?1) AND (?2 IS NULL OR at < ?2) AND (?3 IS NULL OR who = ?3)
                 AND (?4 IS NULL OR what = ?4) AND (?5 IS NULL OR id < ?5)
             ORDER BY id DESC LIMIT ?6",
        )
        .bind(page.since.map(|at| at.0))
        .bind(page.until.map(|at| at.0))
        .bind(&page.who)
        .bind(&page.what)
        .bind(page.before)
        .bind(page.limit)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("read the audit log"))?;
        rows.iter().map(entry_of).collect()
    }

    /// Entries behind the one of a number, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn audit_behind(&self, id: i64, limit: u32) -> Result<Vec<AuditEntry>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT ?")
            .bind(id)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(doing("read the audit log"))?;
        rows.iter().map(entry_of).collect()
    }
}

fn entry_of(row: &SqliteRow) -> Result<AuditEntry, CatalogError> {
    let fail = doing("read the audit log");
    let hash: &[u8] = row.try_get("hash").map_err(&fail)?;
    Ok(AuditEntry {
        id: row.try_get("id").map_err(&fail)?,
        at: Micros(row.try_get("at").map_err(&fail)?),
        entry: NewAudit {
            who: row.try_get("who").map_err(&fail)?,
            address: row.try_get("address").map_err(&fail)?,
            what: row.try_get("what").map_err(&fail)?,
            about: row.try_get("about").map_err(&fail)?,
            old: row.try_get("old").map_err(&fail)?,
            new: row.try_get("new").map_err(&fail)?,
        },
        hash: hash.try_into().map_err(|_| CatalogError::Damaged("a hash of the audit log".into()))?,
    })
}
