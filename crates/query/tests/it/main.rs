//! The engine against the live matcher, against a plain model, and against rows that move while it reads.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;
mod damage;
mod differential;
mod limits;
mod pages;
mod questions;
mod rollups;
mod scan;
mod snapshot;
mod tables;
