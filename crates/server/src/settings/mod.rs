//! Settings in two stages: what was written in `server.toml`, and what was meant by it.

mod checked;
mod connections;
mod error;
mod names;
mod outside;
mod query;
mod rows;
mod written;

pub use checked::Settings;
pub use connections::Connections;
pub use error::SettingsError;
pub use outside::Enrich;
pub use rows::{Commit, Compacting, Spool};
pub use written::Written;
