//! Tests of the decoders against other readers of the same bytes, and on captures and fuzz inputs.

mod build;
#[path = "../../../../fuzz/src/decode.rs"]
mod checks;
mod columns;
mod corpus;
mod oracle;
mod pcap;
