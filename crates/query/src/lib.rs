//! Questions over hot batches and lake. The one crate with DataFusion.
//!
//! An [`Engine`] asks a [`Source`] for one [`View`] per question and answers from that alone, so that every
//! row is seen exactly once while others move rows from memory to files.
//!
//! Invariants:
//! - **Same answer as the live matcher.** A filter is lowered to expressions with two values, true and not
//!   true; a differential test holds the plan against `bartizan_filter::Matcher`.
//! - **Filters are expressions, never text.** No SQL is parsed here; the parser is not even compiled in.
//! - **Bounded.** All questions share one memory pool and one spill budget; what does not fit is refused
//!   with [`ErrorKind::TooLarge`], never by the kernel.
//! - **Cancelled by dropping.** A [`RowStream`] that is dropped ends the tasks behind it.
//!
//! On failure: a question that is wrong fails before anything is read; a file that cannot be read fails the
//! question (a stream gives the rows before it, then the error, then ends) and never shortens an answer
//! silently.
//!
//! It does not write, does not know the clock, and does not decide who may ask what.

mod engine;
mod error;
mod export;
mod id;
mod lower;
mod ordered;
pub mod render;
mod slices;
mod source;
mod stream;
mod table;
mod tables;
mod udf;

pub use engine::{Count, Engine, Limits, MAX_GROUPS, Order, Search};
pub use error::{ErrorKind, QueryError};
pub use export::{Encoder, ExportError, FileFormat};
pub use id::{ID, RowId, RowIdError};
pub use source::{DataFile, Source, View, Window};
pub use stream::{RowStream, Stats};
