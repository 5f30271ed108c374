//! Questions about how many, answered from counts instead of rows.
//!
//! A data file of events either has its rollups or is read as rows; so is every row that is not yet in a file, and
//! what the edges of the window cut out of a bucket. The parts are summed up together, so that the answer is that of
//! the rows ([`choose`] says when a rollup can give it).
//!
//! Of rows that retention took away only counts are left. They are part of every answer that rollups can give. Where
//! the window cuts a bucket of theirs, it counts if its first moment is inside, and the answer says that it is not
//! exact ([`Counted::exact`]).

mod bucket;
mod choose;
mod counted;
mod cut;
mod frames;
mod sources;

pub use bucket::Bucket;
pub use counted::Counted;

pub(crate) use choose::{Choice, Want, choose};
pub(crate) use cut::Pieces;
pub(crate) use frames::{frame, frame_of};
