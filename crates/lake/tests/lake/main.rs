//! The lake from outside: exactly once through crashes, full disks, second writers and strange times.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod backup;
mod clocks;
mod compact;
mod crash;
mod erase;
mod files;
mod follow;
mod full_disk;
mod model;
mod older;
mod readers;
mod retain;
mod rollup;
mod s3;
mod support;
mod vacuum;
mod verify;
mod writers;
