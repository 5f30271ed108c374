//! The spool against an ideal model, a file system that fails, damaged files, full disks and kill -9.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod basics;
mod damage;
mod failpoints;
mod frozen;
mod full_disk;
mod kill;
mod machine;
mod model_fs;
mod world;

/// More of the same when `BARTIZAN_SOAK` is set.
fn soak(quick: u32, long: u32) -> u32 {
    if std::env::var_os("BARTIZAN_SOAK").is_some() { long } else { quick }
}
