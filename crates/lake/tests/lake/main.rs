//! The lake from outside: exactly once through crashes, full disks, second writers and strange times.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod clocks;
mod compact;
mod crash;
mod files;
mod follow;
mod full_disk;
mod model;
mod readers;
mod s3;
mod support;
mod writers;
