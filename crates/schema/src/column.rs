use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use bartizan_model::Kind;
use std::sync::{Arc, LazyLock};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Microseconds since 1970, UTC.
    Time,
    /// Text with few different values in one batch.
    Text,
    /// 16 bytes of address.
    Addr,
    /// Any bytes.
    Bytes,
    /// -32768 to 32767.
    I16,
    /// -2^31 to 2^31-1.
    I32,
    /// -2^63 to 2^63-1.
    I64,
}

impl ColumnKind {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 7] =
        [Self::Time, Self::Text, Self::Addr, Self::Bytes, Self::I16, Self::I32, Self::I64];

    /// The type in memory and in queries.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text => DataType::Utf8View,
            Self::Addr => DataType::FixedSizeBinary(16),
            Self::Bytes => DataType::Binary,
            Self::I16 => DataType::Int16,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
        }
    }

    /// The type in a batch on its way from agent to server: text is a dictionary, so that a value which
    /// repeats in thousands of rows is written once.
    #[must_use]
    pub fn wire(self) -> DataType {
        match self {
            Self::Text => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            other => other.arrow(),
        }
    }

    /// The primitive type name in a Delta table's schema.
    #[must_use]
    pub const fn delta(self) -> &'static str {
        match self {
            Self::Time => "timestamp",
            Self::Text => "string",
            Self::Addr | Self::Bytes => "binary",
            Self::I16 => "short",
            Self::I32 => "integer",
            Self::I64 => "long",
        }
    }
}

/// Who fills a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The sender; the column is part of a batch on the wire.
    Sender,
    /// The server on receipt, whatever the sender says: identity, times, derived values.
    Server,
    /// The sender where it knows better; the server fills the rows that have no value, or all of them.
    Either,
}

/// A column that every row has.
pub(crate) const fn must(name: &'static str, kind: ColumnKind, origin: Origin, doc: &'static str) -> Column {
    Column { name, kind, nullable: false, origin, doc }
}

/// A column that a row may lack.
pub(crate) const fn may(name: &'static str, kind: ColumnKind, origin: Origin, doc: &'static str) -> Column {
    Column { name, kind, nullable: true, origin, doc }
}

/// Whether a column holds what a packet or a line says, and not what is known of it: a permission of its own to see.
#[must_use]
pub const fn is_content(column: &str) -> bool {
    matches!(column.as_bytes(), b"payload" | b"raw" | b"text")
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name everywhere: files, SQL, JSON.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether a row may lack it.
    pub nullable: bool,
    /// Who fills it.
    pub origin: Origin,
    /// What it means, with its unit and source.
    pub doc: &'static str,
}

/// A table's columns, in the order of its files.
#[must_use]
pub const fn table_columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Events => crate::EVENTS,
        Kind::Losses => crate::LOSSES,
        Kind::Flows => crate::FLOWS,
        Kind::Counters => crate::COUNTERS,
        Kind::Rulesets => crate::RULESETS,
        Kind::Lines => crate::LINES,
    }
}

/// A table's Arrow schema in memory and in queries.
#[must_use]
pub fn table_schema(kind: Kind) -> SchemaRef {
    static ALL: LazyLock<[SchemaRef; Kind::ALL.len()]> =
        LazyLock::new(|| Kind::ALL.map(|kind| schema_of(table_columns(kind))));
    Arc::clone(&ALL[kind.index()])
}

/// The schema of the columns that a sender may fill. A batch on the wire holds any subset of them that
/// includes the ones that are not nullable; a column that it lacks is null in every row.
#[must_use]
pub fn wire_schema(kind: Kind) -> SchemaRef {
    static ALL: LazyLock<[SchemaRef; Kind::ALL.len()]> = LazyLock::new(|| {
        Kind::ALL.map(|kind| sent_schema(table_columns(kind), |c| c.origin != Origin::Server))
    });
    Arc::clone(&ALL[kind.index()])
}

/// The columns that name whose rows they are. An agent's come from its certificate; what the server collects from
/// senders that have none, and what is imported, has them in each row.
const WHOSE: [&str; 2] = ["host", "sender"];

/// The schema of batches that the server itself collects or that are imported: [`wire_schema`], and `host` and
/// `sender` where the table has them.
#[must_use]
pub fn collected_schema(kind: Kind) -> SchemaRef {
    static ALL: LazyLock<[SchemaRef; Kind::ALL.len()]> = LazyLock::new(|| {
        Kind::ALL.map(|kind| {
            let whose = |c: &Column| c.origin != Origin::Server || WHOSE.contains(&c.name);
            sent_schema(table_columns(kind), whose)
        })
    });
    Arc::clone(&ALL[kind.index()])
}

pub(crate) fn schema_of(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(|c| ArrowField::new(c.name, c.kind.arrow(), c.nullable)).collect::<Vec<_>>(),
    ))
}

fn sent_schema(columns: &[Column], sent: impl Fn(&Column) -> bool) -> SchemaRef {
    Arc::new(Schema::new(
        columns
            .iter()
            .filter(|c| sent(c))
            .map(|c| ArrowField::new(c.name, c.kind.wire(), c.nullable || c.origin == Origin::Either))
            .collect::<Vec<_>>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        for kind in Kind::ALL {
            let columns = table_columns(kind);
            let names: BTreeSet<_> = columns.iter().map(|c| c.name).collect();
            assert_eq!(names.len(), columns.len(), "{kind}");
        }
    }

    /// A field means the same everywhere: a column of its name has one type, whichever table it is in.
    #[test]
    fn every_filter_field_covers_columns_of_one_type_that_exist() {
        for field in crate::FIELDS {
            assert!(field.tables().next().is_some(), "{}", field.name);
            for name in field.columns {
                let kinds: Vec<_> = Kind::ALL
                    .into_iter()
                    .flat_map(table_columns)
                    .filter(|c| c.name == *name)
                    .map(|c| c.kind)
                    .collect();
                assert!(!kinds.is_empty(), "{} -> {name}", field.name);
                assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{} -> {name}", field.name);
            }
        }
    }

    #[test]
    fn what_is_summed_exists_and_is_a_number() {
        for kind in Kind::ALL {
            for name in crate::measures(kind) {
                let column = table_columns(kind).iter().find(|c| c.name == *name);
                assert_eq!(column.map(|c| c.kind), Some(ColumnKind::I64), "{kind} {name}");
            }
        }
    }
}
