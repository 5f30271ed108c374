//! The engine against the live matcher, against a plain model, and against rows that move while it reads.

mod common;
mod differential;
mod questions;
mod snapshot;
mod tables;
