//! What is known of a ruleset: which rules log, what their prefixes say, and whether what they counted has
//! arrived.
//!
//! Pure: bytes, readings and times come in as arguments.
//! - [`log_rules`]: one rule as nf_tables dumps it -> the [`LogRule`]s in it.
//! - [`action_of`]: a log prefix -> what became of the packet, as far as the prefix tells.
//! - [`Sequence`]: the numbers of a group's packets -> how many are missing between them.
//! - [`Account`]: what the rules of a group counted against what was recorded -> how many packets were counted
//!   and never delivered.
//!
//! Invariants:
//! - No input panics or allocates more than in proportion to its size.
//! - No loss is invented: where a ruleset was changed in a way that leaves a doubt, the doubt is resolved in
//!   favour of "nothing was lost", and the account is exact again from the next quiet moment on.

mod account;
mod action;
mod rule;
mod sequence;

pub use account::{Account, Balance, Incarnation};
pub use action::action_of;
pub use rule::{Counter, Family, LogRule, log_rules};
pub use sequence::Sequence;
