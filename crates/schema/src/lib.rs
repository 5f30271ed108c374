//! The shape of the tables, and the field registry.
//!
//! Two lists are the only place where a column or a filter field is named:
//! - [`EVENTS`], [`LOSSES`], [`FLOWS`], [`COUNTERS`], [`RULESETS`], [`LINES`]: the columns of the tables, in the order of the files, each with its type,
//!   who fills it and what it means. Arrow and Delta schemas are made from them.
//! - [`FIELDS`]: the fields of the filter language, each with its type and the columns it covers.
//!
//! Invariants:
//! - Integers are signed, because Delta Lake has no unsigned types; each is wide enough for its values.
//! - Addresses are 16 bytes, IPv4 as `::ffff:a.b.c.d`; see `bartizan_model::addr_from_ip`.
//! - Columns are only ever added, at the end and nullable: old files stay readable.

mod column;
mod counters;
mod events;
mod fields;
mod flows;
mod lines;
mod losses;
mod relation;
mod rollups;
mod rulesets;

pub use column::{
    Column, ColumnKind, Origin, collected_schema, is_content, table_columns, table_schema, wire_schema,
};
pub use counters::COUNTERS;
pub use events::EVENTS;
pub use fields::{FIELDS, Field, FieldKind, field, measures};
pub use flows::FLOWS;
pub use lines::LINES;
pub use losses::LOSSES;
pub use relation::Relation;
pub use rollups::Rollup;
pub use rulesets::RULESETS;
