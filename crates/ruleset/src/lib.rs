//! What is known of a ruleset: which rules log, which of them logged a packet and what became of it, and whether
//! what they counted has arrived.
//!
//! Pure: bytes, readings and times come in as arguments.
//! - [`Ruleset`]: what the listing tools print -> rules with their text, their log statements and the name of
//!   it all, its generation.
//! - [`attribute`]: a batch of events and the ruleset that was active -> the rule and the action of each event.
//! - [`log_rules`]: one rule as nf_tables dumps it -> the [`LogRule`]s in it.
//! - [`Sequence`]: the numbers of a group's packets -> how many are missing between them.
//! - [`Account`]: what the rules of a group counted against what was recorded -> how many packets were counted
//!   and never delivered.
//!
//! Invariants:
//! - No input panics or allocates more than in proportion to its size.
//! - No loss is invented: where a ruleset was changed in a way that leaves a doubt, the doubt is resolved in
//!   favour of "nothing was lost", and the account is exact again from the next quiet moment on.
//! - No rule is guessed: an event has one exactly when no other log statement of the ruleset can have made it.

mod account;
mod attribute;
mod attribution;
mod classes;
mod generation;
mod iptables;
mod listing;
mod model;
mod nft;
mod packet;
mod rule;
mod ruleset;
mod sequence;
mod symbols;
mod walk;

pub use account::{Account, Balance, Incarnation};
pub use attribute::attribute;
pub use attribution::Attribution;
pub use listing::{Form, Listing};
pub use rule::{Counter, Family, LogRule, log_rules};
pub use ruleset::{Log, Rule, Ruleset};
pub use sequence::Sequence;
