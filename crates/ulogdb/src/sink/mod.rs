//! Rows written to a database in ulogd 2's schema, for tools that read that.
//!
//! - A table that is missing is made: ulogd 2's flat one, with wider numbers and `local_hostname`, `oob_uid` and
//!   `oob_gid` beside. One that exists is used as it is, with the columns that it has; what does not fit a column is
//!   left out of it (numbers) or cut (texts).
//! - How far it has come stands in the table `bartizan_sink` of the same database and moves in the transaction that
//!   writes the rows: each row is there once, whatever stops in the middle. Only tables without transactions (MyISAM)
//!   may get rows twice.
//! - The normalised schema is not written: seven inserts and a lookup for each packet are slow, and its tables need
//!   ulogd's own procedures. What reads it mostly reads its view `ulog`, which is made here as well.

mod columns;
mod encode;
mod table;

use crate::error::{UlogdbError, doing};
use crate::place::{Place, Way};
use arrow_array::RecordBatch;
use bartizan_model::Kind;
use encode::Encoder;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, MySqlConnection, PgConnection, Row as _};
use table::Target;

/// Rows of one statement to MySQL: far below the smallest `max_allowed_packet`.
const MYSQL_ROWS: usize = 500;

/// How far a table of the lake was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The entry of the table's log that is being copied.
    pub version: i64,
    /// Whether it is not the entry alone, but everything up to it.
    pub snapshot: bool,
    /// The data file that is being copied; those before it in the order of names are done.
    pub file: String,
    /// Rows of it that are done.
    pub rows: i64,
    /// The latest `received` that was copied, in microseconds.
    pub received: i64,
    /// Of a snapshot only what was received at this moment or later, in microseconds.
    pub since: i64,
}

enum Link {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

/// A table of a database that rows are copied to.
pub struct SinkTable {
    link: Link,
    name: String,
    kind: Kind,
    target: Target,
}

impl std::fmt::Debug for SinkTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkTable")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl SinkTable {
    /// Opens the table for a kind of rows, and makes it if it is missing. `name` tells the positions of several
    /// sinks in one database apart.
    ///
    /// # Errors
    /// If the database cannot be reached or refuses, or the table has no column for such rows.
    pub async fn open(place: &Place, name: &str, kind: Kind, table: &str) -> Result<Self, UlogdbError> {
        let failed = |source| UlogdbError::Connect { place: place.shown().to_owned(), source };
        let mut link = match &place.way {
            Way::Postgres(options) => Link::Postgres(options.connect().await.map_err(failed)?),
            Way::Mysql(options) => Link::Mysql(options.connect().await.map_err(failed)?),
            Way::Sqlite(_) => {
                return Err(UlogdbError::Place("a sink is a PostgreSQL, MySQL or MariaDB database".into()));
            }
        };
        link.positions().await?;
        let target = table::prepare(&mut link, kind, table).await?;
        Ok(Self { link, name: name.to_owned(), kind, target })
    }

    /// How far it has come; nothing if it has not begun.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn position(&mut self) -> Result<Option<Position>, UlogdbError> {
        const WHAT: &str = "read how far the copy has come";
        macro_rules! read {
            ($link:expr, $sql:literal) => {{
                let row = sqlx::query($sql).bind(&self.name).bind(self.kind.as_str()).fetch_optional($link);
                match row.await.map_err(doing(WHAT))? {
                    None => return Ok(None),
                    Some(row) => Position {
                        version: row.try_get(0).map_err(doing(WHAT))?,
                        snapshot: row.try_get::<i64, _>(1).map_err(doing(WHAT))? != 0,
                        file: row.try_get(2).map_err(doing(WHAT))?,
                        rows: row.try_get(3).map_err(doing(WHAT))?,
                        received: row.try_get(4).map_err(doing(WHAT))?,
                        since: row.try_get(5).map_err(doing(WHAT))?,
                    },
                }
            }};
        }
        Ok(Some(match &mut self.link {
            Link::Postgres(link) => read!(
                link,
                "SELECT version, snapshot, file, file_rows, received, since FROM bartizan_sink WHERE name = $1 AND kind = $2"
            ),
            Link::Mysql(link) => read!(
                link,
                "SELECT version, snapshot, file, file_rows, received, since FROM bartizan_sink WHERE name = ? AND kind = ?"
            ),
        }))
    }

    /// Adds the rows of a batch that are wanted, and moves the position, both or neither. How many rows it added.
    ///
    /// # Errors
    /// If the database fails; it may then be not known whether it was done: ask for the position.
    pub async fn write(
        &mut self,
        batch: &RecordBatch,
        wanted: impl Fn(usize) -> bool,
        position: &Position,
    ) -> Result<u64, UlogdbError> {
        let Self { link, name, kind, target } = self;
        let encoder = Encoder::new(target, batch);
        let rows: Vec<usize> = (0..batch.num_rows()).filter(|row| wanted(*row)).collect();
        link.run("BEGIN", "begin to write").await?;
        let done = match link.add(target, &encoder, &rows).await {
            Ok(()) => link.mark(name, *kind, position).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => link.run("COMMIT", "finish writing").await?,
            Err(error) => {
                // What is broken may not even take this; the connection is then closed.
                drop(link.run("ROLLBACK", "give up writing").await);
                return Err(error);
            }
        }
        Ok(rows.len() as u64)
    }

    /// Closes the connection.
    pub async fn close(self) {
        // Whether the other side hears of the end changes nothing.
        drop(match self.link {
            Link::Postgres(link) => link.close().await,
            Link::Mysql(link) => link.close().await,
        });
    }
}

impl Link {
    async fn add(
        &mut self,
        target: &Target,
        encoder: &Encoder<'_>,
        rows: &[usize],
    ) -> Result<(), UlogdbError> {
        let what = || doing(format!("write rows to {}", target.name));
        match self {
            Self::Postgres(_) if rows.is_empty() => {}
            Self::Postgres(link) => {
                let mut copy = link.copy_in_raw(&target.copy()).await.map_err(what())?;
                let sent = copy.send(encoder.copy(rows)).await.map(drop);
                sent.map_err(what())?;
                copy.finish().await.map_err(what())?;
            }
            Self::Mysql(link) => {
                for rows in rows.chunks(MYSQL_ROWS) {
                    let sql = encoder.insert(rows);
                    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *link).await.map_err(what())?;
                }
            }
        }
        Ok(())
    }

    async fn mark(&mut self, name: &str, kind: Kind, position: &Position) -> Result<(), UlogdbError> {
        macro_rules! write {
            ($link:expr, $sql:literal) => {
                sqlx::query($sql)
                    .bind(name)
                    .bind(kind.as_str())
                    .bind(position.version)
                    .bind(i64::from(position.snapshot))
                    .bind(&position.file)
                    .bind(position.rows)
                    .bind(position.received)
                    .bind(position.since)
                    .execute($link)
                    .await
                    .map(drop)
            };
        }
        match self {
            Self::Postgres(link) => write!(
                link,
                "INSERT INTO bartizan_sink (name, kind, version, snapshot, file, file_rows, received, since)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (name, kind) DO UPDATE SET version = excluded.version, snapshot = excluded.snapshot,
                    file = excluded.file, file_rows = excluded.file_rows, received = excluded.received,
                    since = excluded.since"
            ),
            Self::Mysql(link) => write!(
                link,
                "REPLACE INTO bartizan_sink (name, kind, version, snapshot, file, file_rows, received, since)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            ),
        }
        .map_err(doing("write how far the copy has come"))
    }

    /// Makes the table of the positions if it is missing. Several sinks may do so at once, and PostgreSQL then lets
    /// one of them fail even with IF NOT EXISTS.
    async fn positions(&mut self) -> Result<(), UlogdbError> {
        const LOOK: &str = "SELECT version FROM bartizan_sink WHERE 1 = 0";
        const WHAT: &str = "make the table bartizan_sink";
        if self.run(LOOK, WHAT).await.is_ok() {
            return Ok(());
        }
        match self.run(table::POSITIONS, WHAT).await {
            Ok(()) => Ok(()),
            Err(error) => self.run(LOOK, WHAT).await.map_err(|_| error),
        }
    }

    async fn run(&mut self, sql: &'static str, what: &'static str) -> Result<(), UlogdbError> {
        match self {
            Self::Postgres(link) => sqlx::raw_sql(sql).execute(link).await.map(drop),
            Self::Mysql(link) => sqlx::raw_sql(sql).execute(link).await.map(drop),
        }
        .map_err(doing(what))
    }

    async fn run_made(&mut self, sql: String, what: String) -> Result<(), UlogdbError> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Postgres(link) => sqlx::raw_sql(sql).execute(link).await.map(drop),
            Self::Mysql(link) => sqlx::raw_sql(sql).execute(link).await.map(drop),
        }
        .map_err(doing(what))
    }
}
