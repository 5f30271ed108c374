//! SQL that only reads, over the tables of the lake.
//!
//! [`ask`] and [`describe`] take a [`Question`]: its text, and what its parameters stand for; who asks, and
//! what he sees, is said around it ([`bartizan_query::asked_by`]).
//! [`Flight`] answers them to programs that speak Flight SQL.
//!
//! Invariants:
//! - **Nothing but questions.** Selects, and what there is to know of tables. No file, setting or variable has a name
//!   here, and no function is callable that is not on a list ([`functions`]).
//! - **No form of a question escapes the scope.** It is part of the plan of each table, before the text is planned;
//!   there is no table without it. Of a table that lacks a field of the scope, nothing is seen.
//! - **One moment.** All uses of a table in one question see the same rows, each once.
//! - **Bounded** as every other question: turns, time, memory, bytes read; and what planning itself may cost
//!   ([`statement`]).
//!
//! On failure: what is wrong with a text is `QueryError::Sql`, in words for who wrote it; the rest is as for other
//! questions. Names of files are in no answer.

mod address;
mod answer;
mod catalog;
mod dialect;
mod flight;
mod functions;
mod growth;
mod question;
mod statement;
mod ulog;
mod value;

pub use catalog::type_name;
pub use flight::{Asker, Askers, Begun, Denied, Flight};
pub use question::{Described, Question, ask, describe};
pub use statement::MAX_TEXT;
pub use value::Value;
