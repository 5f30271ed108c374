//! What each fuzz target checks, as plain functions, so that an ordinary test of the crate concerned replays the
//! corpus through the same code: `corpus/<target>/*` belongs to the function of that name.

pub mod copy;
pub mod decode;
pub mod enrich;
pub mod history;
pub mod intake;
pub mod records;
pub mod ruleset;
pub mod text;
