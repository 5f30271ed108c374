use crate::column::{Column, schema_of};
use crate::{Rollup, table_columns, table_schema};
use arrow_schema::SchemaRef;
use bartizan_model::Kind;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A table of the lake: rows of one kind as they came, or counts that are derived from events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// What senders delivered.
    Rows(Kind),
    /// What is derived.
    Rollup(Rollup),
}

impl Relation {
    /// The table's name, which is also that of its folder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rows(kind) => kind.as_str(),
            Self::Rollup(rollup) => rollup.as_str(),
        }
    }

    /// Its columns, in the order of its files.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Rows(kind) => table_columns(kind),
            Self::Rollup(rollup) => rollup.columns(),
        }
    }

    /// Its Arrow schema in memory and in queries.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        static ROLLUPS: LazyLock<[SchemaRef; Rollup::ALL.len()]> =
            LazyLock::new(|| Rollup::ALL.map(|rollup| schema_of(rollup.columns())));
        match self {
            Self::Rows(kind) => table_schema(kind),
            Self::Rollup(rollup) => Arc::clone(&ROLLUPS[rollup.index()]),
        }
    }
}

impl From<Kind> for Relation {
    fn from(kind: Kind) -> Self {
        Self::Rows(kind)
    }
}

impl From<Rollup> for Relation {
    fn from(rollup: Rollup) -> Self {
        Self::Rollup(rollup)
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
