//! What an agent may be told about its work, by its host and by its server: types, defaults and ranges.
//!
//! Both sides use them: the server when somebody writes a configuration, the agent when it takes one.
//!
//! Invariants:
//! - Nothing here names a path, a program, an address to connect to, an identity or a right. A key that would is the
//!   host's own ([`HOSTS_OWN`]), and no part of [`Central`].
//! - [`read`] is total: any texts are a configuration, or the place and the reason why not. Texts have a bound.
//! - A range is of one key. So parts that are good, each alone, are good when they are laid over one another, in
//!   whatever order, and an agent that refused none of them refuses no mixture.
//!
//! What it does not do: read files, or know where a text comes from.

mod central;
mod error;
mod namespaces;
mod sections;

pub use central::{Central, HOSTS_OWN, PARTS, TEXT_LIMIT, check, read};
pub use error::{CentralError, SettingsError};
pub use namespaces::{NetnsChoice, NetnsWritten};
pub use sections::{Caps, Capture, Conntrack, Counters, Flows, in_range, is_network};
