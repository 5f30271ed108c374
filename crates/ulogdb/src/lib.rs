//! Databases in the schemas of ulogd 1 and 2: read for an import, and written by the SQL sink.
//!
//! What is there is found by looking at the tables and their columns, never assumed: the columns of ulogd 1 are
//! optional, and ulogd 2 fills tables that users made, whose columns are its keys with `_` for `.`. A column that
//! names no key is kept under its name.
//!
//! Invariants
//! - A row is read once: in the order of its key (or of its time where there is no key), from a position to a
//!   position, up to a last one that is fixed at the start and surely complete. What is written meanwhile is for the
//!   next import.
//! - Rows become events, flows and counters by `bartizan_intake::ulogd`, as the same records do as JSON.
//! - Memory holds a few chunks of some megabytes, however large the table.
//! - Nothing is written to a database that is read; what a sink writes, it writes with its position.
//! - No password is in a message, a name or a log.

mod database;
mod error;
mod fetch;
mod form;
mod place;
mod plan;
mod shape;
mod sink;
mod source;

pub use database::{Database, Glance, Told};
pub use error::UlogdbError;
pub use form::{Form, Found};
pub use place::{Engine, Place};
pub use sink::{Position, SinkTable};
pub use source::TableSource;
