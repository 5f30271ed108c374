//! One binary, a module for each theme.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod account;
mod attribution;
#[path = "../../../../fuzz/src/ruleset.rs"]
mod checks;
mod corpus;
mod events;
mod nft;
