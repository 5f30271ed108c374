//! What the server says of itself: its tables, its types, what it can do.

use super::status::{only_reads, wrong};
use crate::catalog::{CATALOG, INFORMATION, PUBLIC};
use arrow_array::RecordBatch;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{Command, CommandGetTables, Nullable, Searchable, SqlInfo, XdbcDataType};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::{Arc, LazyLock};
use tonic::Status;

/// Bytes of a pattern that names are looked for with.
const MAX_PATTERN: usize = 1000;
/// Facts that are asked for at once.
const MAX_FACTS: usize = 1000;

/// The answer to what is asked of the server itself, but of its tables.
pub(super) fn known(command: Command) -> Result<RecordBatch, Status> {
    match command {
        Command::CommandGetCatalogs(query) => {
            let mut all = query.into_builder();
            all.append(CATALOG);
            all.build().map_err(Status::from)
        }
        Command::CommandGetDbSchemas(query) => {
            pattern(query.db_schema_filter_pattern.as_ref())?;
            let mut all = query.into_builder();
            all.append(CATALOG, PUBLIC);
            all.append(CATALOG, INFORMATION);
            all.build().map_err(Status::from)
        }
        Command::CommandGetTableTypes(query) => {
            let mut all = query.into_builder();
            all.append("BASE TABLE");
            all.append("VIEW");
            all.build().map_err(Status::from)
        }
        Command::CommandGetSqlInfo(query) => {
            if query.info.len() > MAX_FACTS {
                return Err(wrong(format!("at most {MAX_FACTS} facts are told at once")));
            }
            query.into_builder(SERVER.as_ref().ok_or_else(nothing)?).build().map_err(Status::from)
        }
        Command::CommandGetXdbcTypeInfo(query) => {
            query.into_builder(TYPES.as_ref().ok_or_else(nothing)?).build().map_err(Status::from)
        }
        // There are no keys.
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(primary_keys())),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(foreign_keys())),
        Command::CommandStatementUpdate(_)
        | Command::CommandPreparedStatementUpdate(_)
        | Command::CommandStatementIngest(_) => Err(only_reads()),
        Command::CommandStatementSubstraitPlan(_) => {
            Err(Status::unimplemented("questions are asked in SQL, not as plans"))
        }
        other => {
            let name: String = other.type_url().chars().take(100).collect();
            Err(Status::unimplemented(format!("`{name}` is nothing that can be asked")))
        }
    }
}

/// The tables that are wanted, out of these.
pub(super) fn tables(
    query: CommandGetTables,
    all: &[(&str, &str, SchemaRef)],
) -> Result<RecordBatch, Status> {
    pattern(query.db_schema_filter_pattern.as_ref())?;
    pattern(query.table_name_filter_pattern.as_ref())?;
    if query.table_types.len() > MAX_FACTS {
        return Err(wrong("there are two types of tables: BASE TABLE and VIEW"));
    }
    let mut builder = query.into_builder();
    for (name, kind, columns) in all {
        builder.append(CATALOG, PUBLIC, *name, *kind, columns).map_err(Status::from)?;
    }
    builder.build().map_err(Status::from)
}

fn pattern(given: Option<&String>) -> Result<(), Status> {
    match given {
        Some(pattern) if pattern.len() > MAX_PATTERN => {
            Err(wrong(format!("a pattern is at most {MAX_PATTERN} bytes")))
        }
        _ => Ok(()),
    }
}

fn nothing() -> Status {
    Status::internal("the server knows nothing of itself")
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("key_name", true),
    ]))
}

fn foreign_keys() -> SchemaRef {
    let of = |side: &str| {
        let name = |part: &str| format!("{side}_{part}");
        [
            text(&name("catalog_name"), true),
            text(&name("db_schema_name"), true),
            text(&name("table_name"), false),
            text(&name("column_name"), false),
        ]
    };
    let mut fields: Vec<_> = of("pk").into_iter().chain(of("fk")).collect();
    fields.extend([
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]);
    Arc::new(Schema::new(fields))
}

/// Nothing only if two facts had one name; a test sees that they do not.
static SERVER: LazyLock<Option<SqlInfoData>> = LazyLock::new(|| {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Bartizan");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.5");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    // No transactions.
    info.append(SqlInfo::FlightSqlServerTransaction, 0);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.build().ok()
});

static TYPES: LazyLock<Option<XdbcTypeInfoData>> = LazyLock::new(|| {
    let types = [
        ("text", XdbcDataType::XdbcVarchar, Some("'"), true),
        ("bigint", XdbcDataType::XdbcBigint, None, false),
        ("integer", XdbcDataType::XdbcInteger, None, false),
        ("smallint", XdbcDataType::XdbcSmallint, None, false),
        ("double", XdbcDataType::XdbcDouble, None, false),
        ("boolean", XdbcDataType::XdbcBit, None, false),
        ("timestamp", XdbcDataType::XdbcTimestamp, Some("'"), false),
        ("date", XdbcDataType::XdbcDate, Some("'"), false),
        ("bytes", XdbcDataType::XdbcVarbinary, Some("'"), false),
    ];
    let mut info = XdbcTypeInfoDataBuilder::new();
    for (name, kind, quote, case_sensitive) in types {
        info.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: kind,
            sql_data_type: kind,
            literal_prefix: quote.map(str::to_owned),
            literal_suffix: quote.map(str::to_owned),
            nullable: Nullable::NullabilityNullable,
            case_sensitive,
            searchable: Searchable::Full,
            ..XdbcTypeInfo::default()
        });
    }
    info.build().ok()
});

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::sql::{CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetXdbcTypeInfo};

    #[test]
    fn there_is_something_to_say() {
        let rows = |command| known(command).unwrap().num_rows();
        assert_eq!(rows(Command::CommandGetSqlInfo(CommandGetSqlInfo::default())), 12);
        assert_eq!(rows(Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo::default())), 9);
        assert_eq!(rows(Command::CommandGetPrimaryKeys(CommandGetPrimaryKeys::default())), 0);
        let many = CommandGetSqlInfo { info: vec![0; MAX_FACTS + 1] };
        assert!(known(Command::CommandGetSqlInfo(many)).is_err());
        let long = Some("%a".repeat(MAX_PATTERN));
        let query = CommandGetTables { table_name_filter_pattern: long, ..CommandGetTables::default() };
        assert!(tables(query, &[]).is_err());
    }
}
