//! Records of other programs, read where they lie: the corpus beside the project.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod corpus;
mod frames;
mod ipfix;
mod records;
mod row;
mod ulogd;
