//! Imports of SQLite files, and the fuzz corpus of the reader of rows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(unreachable_pub, reason = "public for the fuzz targets")]
#[path = "../../../../fuzz/src/copy.rs"]
mod copy;
mod corpus;
mod sqlite;
