//! The filter language from outside: what is documented, what goes wrong, and what holds for anything.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod cases;
mod check;
mod corpus;
mod document;
mod errors;
mod examples;
mod matcher;
mod random;
mod roundtrip;
mod table;
