//! What each fuzz target checks, as plain functions, so that an ordinary test of the crate concerned replays the
//! corpus through the same code: `corpus/<target>/*` belongs to the function of that name.

pub mod copy;
pub mod decode;
pub mod enrich;
pub mod history;
pub mod intake;
pub mod oidc;
pub mod records;
pub mod ruleset;
pub mod sql;
pub mod text;

#[path = "../../crates/sql/src/dialect.rs"]
mod dialect;
#[path = "../../crates/sql/src/flight/handle.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod handle;
#[path = "../../crates/sql/src/flight/parameters.rs"]
mod parameters;
#[path = "../../crates/sql/src/statement.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod statement;
#[path = "../../crates/sql/src/value.rs"]
mod value;
#[path = "../../crates/oidc/src/claims.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod claims;
#[path = "../../crates/oidc/src/fault.rs"]
mod fault;
#[path = "../../crates/oidc/src/jwt.rs"]
mod jwt;
#[path = "../../crates/oidc/src/keys.rs"]
mod keys;

use fault::{TokenFault, told};
