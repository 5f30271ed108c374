//! Records of any sender, whatever its format, to rows of the tables.
//!
//! [`Rows`] takes events, flows, counters and lines, each with whose it is, and gives batches of
//! `bartizan_schema::collected_schema`.

mod rows;
mod whose;

pub use rows::{Counter, Other, Rows};
pub use whose::Whose;
