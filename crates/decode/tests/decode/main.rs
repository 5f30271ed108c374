//! Tests of the decoders against other readers of the same bytes, and on captures and fuzz inputs.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod build;
#[path = "../../../../fuzz/src/decode.rs"]
mod checks;
mod columns;
mod corpus;
mod flows;
mod oracle;
mod pcap;
mod text;
