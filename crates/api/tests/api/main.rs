//! Every operation, asked as a stranger and as somebody, over real tables.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod agree;
mod asking;
mod firewall;
mod imports;
mod lake;
mod openapi;
mod people;
mod queries;
mod rulesets;
mod sessions;
mod sql;
mod support;
mod tail;
