//! Real TLS over loopback, with a sink in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod abuse;
mod batches;
mod enrol;
mod faults;
mod identity;
mod streams;
mod support;
