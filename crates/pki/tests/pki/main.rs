//! Real handshakes over a socket pair, and keys on a real disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod files;
mod handshake;
mod issue;

use bartizan_model::Micros;

/// The tests' clock: real, because the TLS library checks certificates against it.
#[expect(clippy::disallowed_methods)]
fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}
