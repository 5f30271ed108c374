//! The Parquet files of views: how they are read, what is kept of them in memory, and which are out of use.
//!
//! - Every byte of a file that any question reads comes through [`FileReader`]: it charges the question, and
//!   judges the file where it cannot be read.
//! - Files are immutable and no name is used twice, so that nothing kept here ever needs to be renewed.

mod footers;
mod quarantine;
mod reader;

pub(crate) use footers::{Blooms, Footer, Footers, Texts};
pub(crate) use quarantine::Quarantine;
pub use quarantine::{Damage, LeftOut};
pub(crate) use reader::{FileReader, Readers, examine};

use object_store::ObjectStore;
use std::sync::Arc;

/// What all questions share of the files.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) footers: Footers,
    pub(crate) blooms: Blooms,
    pub(crate) quarantine: Quarantine,
}
