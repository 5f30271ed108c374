//! End to end: the real binaries on real packets in network namespaces.
//!
//! The library holds what tests, demo and benches share: hosts ([`netns`]), packets ([`traffic`]), a way between
//! namespaces ([`relay`]), the programs ([`process`], [`rsyslog`]), others in Python ([`python`]), a fleet with rules ([`fleet`]) and what goes on in it
//! ([`life`]), and what is made of all that: the demo ([`demo`]) and the soak ([`mod@soak`]).

pub mod database;
pub mod demo;
pub mod firewall;
pub mod fleet;
pub mod life;
pub mod netns;
pub mod process;
pub mod python;
pub mod relay;
pub mod rsyslog;
pub mod signals;
pub mod soak;
pub mod traffic;
