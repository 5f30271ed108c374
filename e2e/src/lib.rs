//! End to end: the real binaries on real packets in network namespaces.
//!
//! The library holds what tests, demo and benches share: hosts ([`netns`]) and packets ([`traffic`]).

pub mod netns;
pub mod traffic;
