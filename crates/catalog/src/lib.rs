//! Hosts and join tokens in SQLite. The one crate with SQL.
