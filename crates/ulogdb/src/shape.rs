//! Which tables and columns a database has.

use crate::error::{UlogdbError, doing};
use crate::place::{Engine, Place, Way};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use std::path::Path;

/// What the values of a column are, as far as they have to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Integer,
    Bool,
    Text,
    Bytes,
    /// PostgreSQL's addresses.
    Inet,
    /// A date with a time of day.
    Stamp,
    /// SQLite's: each value has a type of its own.
    Any,
    /// Read as text.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub kind: Type,
    /// Whether an index begins with it.
    pub indexed: bool,
    /// Whether no two rows have the same value.
    pub unique: bool,
}

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub name: String,
    pub is_view: bool,
    pub columns: Vec<Column>,
    /// SQLite: whether rows have numbers of their own.
    pub rowid: bool,
}

impl Shape {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.column(name).is_some()
    }
}

/// A connection to any of the three.
pub(crate) enum Link {
    Postgres(sqlx::PgConnection),
    Mysql(sqlx::MySqlConnection),
    Sqlite(sqlx::SqliteConnection),
}

impl Link {
    pub(crate) async fn open(place: &Place) -> Result<Self, UlogdbError> {
        let failed = |source| UlogdbError::Connect { place: place.shown().to_owned(), source };
        Ok(match &place.way {
            Way::Postgres(options) => Self::Postgres(options.connect().await.map_err(failed)?),
            Way::Mysql(options) => Self::Mysql(options.connect().await.map_err(failed)?),
            Way::Sqlite(path) => Self::Sqlite(sqlite(path).connect().await.map_err(failed)?),
        })
    }

    /// The first column of the first row, as a number. Only for questions made of quoted names and numbers.
    pub(crate) async fn number(&mut self, sql: &str, what: &str) -> Result<Option<i64>, UlogdbError> {
        let sql = AssertSqlSafe(sql.to_owned());
        let found: Option<Option<i64>> = match self {
            Self::Postgres(link) => sqlx::query_scalar(sql).fetch_optional(link).await,
            Self::Mysql(link) => sqlx::query_scalar(sql).fetch_optional(link).await,
            Self::Sqlite(link) => sqlx::query_scalar(sql).fetch_optional(link).await,
        }
        .map_err(doing(what))?;
        Ok(found.flatten())
    }

    /// The same as a text; nothing where the server refuses.
    pub(crate) async fn text_if_told(&mut self, sql: &'static str) -> Option<String> {
        let found: Result<Option<Option<String>>, sqlx::Error> = match self {
            Self::Postgres(link) => sqlx::query_scalar(sql).fetch_optional(link).await,
            Self::Mysql(link) => sqlx::query_scalar(sql).fetch_optional(link).await,
            Self::Sqlite(link) => sqlx::query_scalar(sql).fetch_optional(link).await,
        };
        found.ok().flatten().flatten()
    }

    pub(crate) async fn close(self) {
        // Whether the other side hears of the end changes nothing.
        drop(match self {
            Self::Postgres(link) => link.close().await,
            Self::Mysql(link) => link.close().await,
            Self::Sqlite(link) => link.close().await,
        });
    }

    /// All tables and views that the user sees by their bare names.
    pub(crate) async fn shapes(&mut self) -> Result<Vec<Shape>, UlogdbError> {
        match self {
            Self::Postgres(link) => postgres(link).await,
            Self::Mysql(link) => mysql(link).await,
            Self::Sqlite(link) => sqlite_shapes(link).await,
        }
        .map_err(doing("list the tables"))
    }
}

/// Read only: nothing of the file is changed, not even by recovering a journal.
fn sqlite(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(std::time::Duration::from_secs(30))
        .disable_statement_logging()
}

/// Rows of (table, is a view, column, type, indexed, unique), a table's together.
#[derive(Default)]
struct Shapes(Vec<Shape>);

impl Shapes {
    fn add(&mut self, table: String, is_view: bool, column: Column) {
        match self.0.last_mut().filter(|shape| shape.name == table) {
            Some(shape) => shape.columns.push(column),
            None => self.0.push(Shape { name: table, is_view, columns: vec![column], rowid: false }),
        }
    }
}

async fn postgres(link: &mut sqlx::PgConnection) -> Result<Vec<Shape>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT c.relname::text, c.relkind IN ('v', 'm'), a.attname::text, t.typname::text,
            EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL),
            EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL
                AND i.indisunique AND i.indnkeyatts = 1)
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid
         JOIN pg_type t ON t.oid = a.atttypid
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY c.relname, a.attnum",
    )
    .fetch_all(link)
    .await?;
    let mut shapes = Shapes::default();
    for row in rows {
        let kind = match row.try_get::<&str, _>(3)? {
            "int2" | "int4" | "int8" => Type::Integer,
            "bool" => Type::Bool,
            "text" | "varchar" | "bpchar" | "name" => Type::Text,
            "bytea" => Type::Bytes,
            "inet" | "cidr" => Type::Inet,
            "timestamp" | "timestamptz" => Type::Stamp,
            _ => Type::Other,
        };
        let column =
            Column { name: row.try_get(2)?, kind, indexed: row.try_get(4)?, unique: row.try_get(5)? };
        shapes.add(row.try_get(0)?, row.try_get(1)?, column);
    }
    Ok(shapes.0)
}

async fn mysql(link: &mut sqlx::MySqlConnection) -> Result<Vec<Shape>, sqlx::Error> {
    // The casts: information_schema's own types differ between versions.
    let rows = sqlx::query(
        "SELECT CAST(c.TABLE_NAME AS CHAR), CAST(t.TABLE_TYPE AS CHAR), CAST(c.COLUMN_NAME AS CHAR),
            CAST(LOWER(c.DATA_TYPE) AS CHAR), CAST(c.COLUMN_KEY AS CHAR), CAST(c.EXTRA AS CHAR)
         FROM information_schema.COLUMNS c
         JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
         WHERE c.TABLE_SCHEMA = DATABASE() ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
    )
    .fetch_all(link)
    .await?;
    let mut shapes = Shapes::default();
    for row in rows {
        let kind = match row.try_get::<&str, _>(3)? {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Type::Integer,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" => Type::Text,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Type::Bytes,
            "timestamp" | "datetime" => Type::Stamp,
            _ => Type::Other,
        };
        let key: &str = row.try_get(4)?;
        let counted = row.try_get::<&str, _>(5)?.contains("auto_increment");
        let column = Column {
            name: row.try_get(2)?,
            kind,
            indexed: !key.is_empty() || counted,
            // `PRI` may be one of several columns of the key; a counted one is unique unless someone forced it
            unique: key == "UNI" || counted,
        };
        shapes.add(row.try_get(0)?, row.try_get::<&str, _>(1)? == "VIEW", column);
    }
    Ok(shapes.0)
}

async fn sqlite_shapes(link: &mut sqlx::SqliteConnection) -> Result<Vec<Shape>, sqlx::Error> {
    let tables = sqlx::query(
        "SELECT name, type, upper(sql) LIKE '%WITHOUT ROWID%' FROM sqlite_master
         WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )
    .fetch_all(&mut *link)
    .await?;
    let mut shapes = Vec::new();
    for table in tables {
        let name: String = table.try_get(0)?;
        let is_view = table.try_get::<&str, _>(1)? == "view";
        let columns = sqlx::query("SELECT name FROM pragma_table_info(?)").bind(&name).fetch_all(&mut *link);
        let column = |row: sqlx::sqlite::SqliteRow| {
            Ok(Column { name: row.try_get(0)?, kind: Type::Any, indexed: false, unique: false })
        };
        shapes.push(Shape {
            columns: columns.await?.into_iter().map(column).collect::<Result<_, sqlx::Error>>()?,
            rowid: !is_view && !table.try_get::<bool, _>(2)?,
            is_view,
            name,
        });
    }
    Ok(shapes)
}

/// What tells a database from all others, whichever way it is reached.
pub(crate) async fn name_of(link: &mut Link, place: &Place) -> Option<String> {
    let (server, database) = match place.engine() {
        Engine::Postgres => (
            link.text_if_told("SELECT system_identifier::text FROM pg_control_system()").await,
            link.text_if_told("SELECT oid::text FROM pg_database WHERE datname = current_database()").await,
        ),
        Engine::Mysql => {
            let mysql = link.text_if_told("SELECT CAST(@@server_uuid AS CHAR)").await;
            let server = match mysql {
                Some(uuid) => Some(uuid),
                None => link.text_if_told("SELECT CAST(@@server_uid AS CHAR)").await,
            };
            (server, link.text_if_told("SELECT CAST(DATABASE() AS CHAR)").await)
        }
        Engine::Sqlite => (None, None),
    };
    Some(format!("{}/{}", server?, database?))
}
