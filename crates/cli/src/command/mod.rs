//! What the commands do.

mod ask;
mod enrich;
mod export;
mod hist;
mod imports;
mod lake;
mod local;
mod parse;
mod prefix;
mod rules;
mod senders;
mod show;
mod tail;

pub(crate) use ask::{hosts, losses, rows, search, token};
pub(crate) use enrich::enrich;
pub(crate) use export::export;
pub(crate) use hist::hist;
pub(crate) use imports::imports;
pub(crate) use lake::lake;
pub(crate) use local::{completion, filter, man, server, version};
pub(crate) use parse::parse;
pub(crate) use prefix::prefix;
pub(crate) use rules::rules;
pub(crate) use senders::{senders, unparsed};
pub(crate) use show::show;
pub(crate) use tail::tail;
