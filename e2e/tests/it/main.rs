//! The end-to-end tests: one binary, a module for each theme.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attribution;
mod browser;
mod caps;
mod clone;
mod collected;
mod columns;
mod commands;
mod compact;
mod counters;
mod crash;
mod damage;
mod databases;
mod demo;
mod disk;
mod enrich;
mod every;
mod exact;
mod flows;
mod frame;
mod generations;
mod identity;
mod import;
mod joined;
mod kernel_counters;
mod kernel_flows;
mod kernel_log;
mod lake;
mod local_log;
mod namespaces;
mod netfilter;
mod open;
mod operations;
mod outage;
mod page;
mod prometheus;
mod runaway;
mod s3;
mod scene;
mod sinks;
mod sql;
mod ulogd;
mod upkeep;
mod watch;
mod wrong;
