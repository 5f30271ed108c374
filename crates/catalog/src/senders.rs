use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::Micros;
use sqlx::{Row, sqlite::SqliteRow};

/// What somebody without an agent delivered, of one host, as one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The host that wrote it.
    pub host: String,
    /// Who delivered it.
    pub sender: String,
    /// A word of the `source` column.
    pub source: String,
    /// How many messages, and what became of them: all, rows, unparsed, other, kept, cut, over the rate.
    pub counts: [u64; 7],
    /// When the first came.
    pub first_seen: Micros,
    /// When the last came.
    pub last_seen: Micros,
}

impl Catalog {
    /// Notes senders, each in the place of what was noted of it before.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn note_senders(&self, senders: &[Sender]) -> Result<(), CatalogError> {
        let fail = doing("note senders");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        for sender in senders {
            let mut query = sqlx::query("REPLACE INTO senders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(&sender.host)
                .bind(&sender.sender)
                .bind(&sender.source);
            for count in sender.counts {
                query = query.bind(i64::try_from(count).unwrap_or(i64::MAX));
            }
            query
                .bind(sender.first_seen.0)
                .bind(sender.last_seen.0)
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Every sender, by host.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn senders(&self) -> Result<Vec<Sender>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM senders ORDER BY host, sender, source")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("list the senders"))?;
        rows.iter().map(|row| sender_of(row).map_err(doing("read a sender"))).collect()
    }
}

fn sender_of(row: &SqliteRow) -> Result<Sender, sqlx::Error> {
    let mut counts = [0; 7];
    let names = ["messages", "rows", "unparsed", "other", "kept", "cut", "over"];
    for (count, name) in counts.iter_mut().zip(names) {
        *count = row.try_get::<i64, _>(name)?.cast_unsigned();
    }
    Ok(Sender {
        host: row.try_get("host")?,
        sender: row.try_get("sender")?,
        source: row.try_get("source")?,
        counts,
        first_seen: Micros(row.try_get("first_seen")?),
        last_seen: Micros(row.try_get("last_seen")?),
    })
}
