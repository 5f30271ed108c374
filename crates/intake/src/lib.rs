//! Records of any sender, whatever its format, to rows of the tables.
//!
//! [`Rows`] takes events, flows, counters and lines, each with whose it is, and gives batches of
//! `bartizan_schema::collected_schema`. A [`Source`] is what an import reads: it adds its records to [`Rows`], counts
//! what became of each in a [`Tally`], and can go on from any of its positions. [`text`] reads lines, [`ulogd`] records
//! of ulogd, [`copy`] rows of databases; [`syslog_frames`] and [`relp`] tell the messages of a connection apart.

pub mod copy;
pub mod ecs;
pub mod ipfix;
pub mod json;
pub mod relp;
mod rows;
pub mod shape;
mod source;
pub mod syslog_frames;
mod tally;
pub mod text;
pub mod ulogd;
mod unread;
mod whose;

pub use rows::{Counter, Other, Rows};
pub use source::{HEAD, Identity, Progress, Read, Source, SourceError, Unit};
pub use tally::Tally;
pub use whose::Whose;
