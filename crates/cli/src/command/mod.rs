//! What the commands do.

mod ask;
mod contexts;
mod doctor;
mod enrich;
mod export;
mod hist;
mod imports;
mod lake;
mod local;
mod parse;
mod prefix;
mod rules;
mod saved;
mod senders;
mod show;
mod sql;
mod tail;
mod top;

pub(crate) use ask::{each_row, hosts, losses, rows, search, token};
pub(crate) use contexts::{context, login};
pub(crate) use doctor::doctor;
pub(crate) use enrich::enrich;
pub(crate) use export::export;
pub(crate) use hist::hist;
pub(crate) use imports::imports;
pub(crate) use lake::lake;
pub(crate) use local::{completion, filter, man, server, version};
pub(crate) use parse::parse;
pub(crate) use prefix::prefix;
pub(crate) use rules::rules;
pub(crate) use saved::{groups, queries, views};
pub(crate) use senders::{senders, unparsed};
pub(crate) use show::show;
pub(crate) use sql::sql;
pub(crate) use tail::{ended, tail};
pub(crate) use top::top;
