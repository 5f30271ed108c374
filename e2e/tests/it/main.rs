//! The end-to-end tests: one binary, a module for each theme.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod demo;
mod netfilter;
