//! Questions over hot batches and lake. With `sql`, which plans, the crates with DataFusion.
//!
//! An [`Engine`] asks a [`Source`] for one [`View`] per question and answers from that alone, so that every
//! row is seen exactly once while others move rows from memory to files.
//!
//! Invariants:
//! - **Same answer as the live matcher.** A filter is lowered to expressions with two values, true and not
//!   true; a differential test holds the plan against `bartizan_filter::Matcher`.
//! - **Filters are expressions, never text.** No SQL is parsed here: what SQL asks comes as a plan ([`Engine::planned`]).
//! - **Bounded.** All questions share one memory pool and one spill budget; what does not fit is refused
//!   with [`ErrorKind::TooLarge`], never by the kernel.
//! - **Cancelled by dropping.** A [`RowStream`] that is dropped ends the tasks behind it; so does [`Inquiry::cancel`].
//!
//! - **In sight.** Whatever is asked, only rows in the scope of who asks count, and only columns that he may see
//!   ([`Sight`]).
//! - **Few at a time.** A few questions work at once, on threads of their own that stand back behind those that
//!   take rows in; askers take turns ([`asked_by`]).
//!
//! On failure: a question that is wrong fails before anything is read. A file that is missing or damaged is left
//! out and named, and never shortens an answer silently: a stream gives all rows that there are, then
//! [`QueryError::LeftOut`], then ends. Any other failure ends a stream where it is.
//!
//! It does not write, does not know the clock, and does not decide who may see what: it holds to it.

mod background;
mod bounds;
mod engine;
mod error;
mod export;
mod files;
mod id;
mod lower;
mod ordered;
mod pieces;
mod position;
mod question;
pub mod render;
mod rollup;
mod scan;
mod sight;
mod slices;
mod source;
mod stream;
mod table;
mod tables;
mod udf;

pub use background::Background;
pub use engine::{
    Arrival, ArrivalError, Compare, Count, Engine, Facet, Facets, Histogram, Limits, MAX_COMPARED,
    MAX_FACETS, MAX_GROUPS, Moment, Order, Planned, Search, Sources, Spread,
};
pub use error::{ErrorKind, QueryError};
pub use export::{Encoder, ExportError, FileFormat};
pub use files::{Damage, LeftOut};
pub use id::{ID, RowId, RowIdError};
pub use position::{Position, PositionError};
pub use question::{Cost, Inquiry, asked_by, asked_for};
pub use rollup::{Bucket, Counted};
pub use sight::{Scoped, Sight};
pub use source::{Counts, DataFile, History, Part, Rolled, Source, View, Window};
pub use stream::{RowStream, Stats};
