//! The filter language from outside: what is documented, what goes wrong, and what holds for anything.

mod check;
mod corpus;
mod errors;
mod examples;
mod matcher;
mod random;
mod roundtrip;
