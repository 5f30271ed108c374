//! What a log prefix says: who wrote it, what became of the packet, which zones, chain and rule it names.
//!
//! A log rule does not know the verdict; whoever wrote it says so in the prefix. [`Dialects`] is a table of the
//! forms in which firewall managers do that (`dialects.toml`), before it the patterns of the user, and behind it the
//! words that people use by convention ([`Words`](words)).
//!
//! - A prefix is read by the first entry whose pattern matches; none of them looks at more than the prefix.
//! - Patterns are matched in time linear in the prefix's length. Callers read each distinct prefix once.
//! - Nothing is guessed: a prefix in which no entry and no word is found gives [`Action::Log`] and nothing else.

mod dialect;
mod file;
mod words;

pub use dialect::{Dialects, Entry, Meaning};
pub use file::FileError;
