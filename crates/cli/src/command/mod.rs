//! What the commands do.

mod ask;
mod local;
mod tail;

pub(crate) use ask::{hosts, losses, search, token};
pub(crate) use local::{completion, filter, man, server, version};
pub(crate) use tail::tail;
