//! One binary, a module for each theme.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod attribution;
mod events;
mod nft;
