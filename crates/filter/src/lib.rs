//! The filter language: `field:value` terms, space is AND, values as nft writes them.
//!
//! ```text
//! query   = [ or ]                              empty = everything
//! or      = and { "OR" and }                    keywords in any case
//! and     = unary { ["AND"] unary }
//! unary   = { "-" | "!" | "NOT" } ( "(" or ")" | term )
//! term    = field ":" value { "," value }       any of the list
//!         | address | CIDR | range              short for ip:…
//!         | word | '"' text '"'                 substring of prefix, rule or host
//!         | "*"                                 everything
//! value   = "*" | "@"set | address | CIDR | address"-"address | class
//!         | n | n"-"n | (">"|">="|"<"|"<=")n | service | protocol | flag
//!         | ["AS"]n | string | glob with * and ? | '"' text '"' | ~"regular expression" | group
//! ```
//!
//! Meaning:
//! - A term is true if any column it covers holds any listed value. A column that is null, or that a batch
//!   lacks, holds no value. Negation is plain NOT of that, so `-ip:X` says that neither side is X, and
//!   `-dport:22` is also true where there is no port. There is no third truth value.
//! - NOT binds before AND before OR.
//! - Text is compared whole and without case (each character by its Unicode lower case); in a bare word `*`
//!   and `?` are wildcards; quotes switch them off. A regular expression matches anywhere, without case unless it says `(?-i)`.
//! - IPv4-mapped IPv6 is IPv4. An IPv4 network never holds an IPv6 address, nor the reverse: `::/0` is
//!   every IPv6 address and no IPv4 address. Host bits of a CIDR are cleared.
//! - Types are checked before anything runs: what could never match is an error with its span and, where one
//!   can be guessed, a proposal; never an empty answer.
//! - `group` holds names of groups of hosts that the context knows; a group is a list of names of hosts, with
//!   wildcards. `group:*` is a host that is in any.
//! - Time is not in the language, so that a saved filter means the same everywhere.
//!
//! Invariants:
//! - Total: any text of up to [`MAX_LEN`] bytes gives a tree or an error, in a number of steps linear in its
//!   length; parentheses nest up to [`MAX_DEPTH`], lists hold up to [`MAX_LIST`] values, a filter up to
//!   [`MAX_REGEXES`] regular expressions of bounded size.
//! - [`Filter`]'s `Display` is canonical: `parse(print(x)) == x`, with the same [`Context`]. Lists are sorted
//!   and without duplicates, text is in lower case, services are numbers, protocols and flags are names,
//!   sets and classes keep their names, mixed AND and OR has parentheses.
//! - The tree is in normal form and holds no name that is not resolved: what lowers it needs no context.
//!
//! What it does not do: it reads no clock, no file and no network, resolves no host names, and knows nothing
//! of the engines that the tree is lowered to, except for its own [`Matcher`] on Arrow batches.

mod addr;
mod ast;
mod context;
mod error;
mod explain;
mod filter;
mod matcher;
mod names;
mod numbers;
mod parse;
mod print;
mod recognise;
mod slips;
mod suggest;
mod text;
mod values;

pub use addr::{AddrItem, AddrRange, Addrs, Class};
pub use ast::{Expr, Groups, NumRange, Term, Values, WORD};
pub use context::Context;
pub use error::FilterError;
pub use filter::{Filter, MAX_DEPTH, MAX_LEN, MAX_LIST, MAX_REGEXES};
pub use matcher::Matcher;
pub use recognise::recognise;
pub use text::{Pattern, TextPattern, fold};
