//! Every operation: where it is, what it is called, what it needs, what it takes, and what it gives.

mod fleet;
mod people;
mod questions;
mod server;
mod store;

pub(crate) use people::{people, provider, sign_in, signed_in};
pub(crate) use questions::questions;
pub(crate) use store::deliveries;

use crate::operations::{Operation, Operations};

/// Everything else that is asked for in a few words.
pub(crate) fn others() -> Operations {
    fleet::fleet().and(server::server()).and(store::store())
}

/// Every operation, for the document.
pub(crate) fn operations() -> Vec<Operation> {
    [questions(), others(), signed_in(), people(), sign_in(), provider(), deliveries(), server::open()]
        .into_iter()
        .flat_map(|operations| operations.described)
        .collect()
}
