//! End to end: the real binaries on real packets in network namespaces.
//!
//! The library holds what tests, demo and benches share: hosts ([`netns`]), packets ([`traffic`]), a way between
//! namespaces ([`relay`]), the programs ([`process`]), others in Python ([`python`]), a fleet with rules ([`fleet`]) and what goes on in it
//! ([`life`]), and the demo made of all that ([`demo`]).

pub mod database;
pub mod demo;
pub mod fleet;
pub mod life;
pub mod netns;
pub mod process;
pub mod python;
pub mod relay;
pub mod traffic;
