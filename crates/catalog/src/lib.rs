//! Hosts and their configuration, join tokens, imports, senders without an agent, holds, erasures, views, people with
//! their tokens and sessions, and the audit log, in SQLite.
//!
//! Invariants:
//! - A host is its key ([`HostId`]); names are labels, but rows carry them, so at one time a name belongs to
//!   one host that is let in. Shutting a host out, as revoked or as retired, frees its name; one that waits for
//!   approval has none yet.
//! - A token is kept as the hash of its secret. [`Catalog::redeem`] takes one use of it in one statement, so
//!   that two hosts never share the last one.
//! - Sessions, access tokens and invitations are kept as hashes of their secrets, too: who reads the catalog cannot sign
//!   in with what it holds. (A second factor he could: its secret has to be known.)
//! - An entry of the audit log is never changed, and its hash is over it and over all before it.
//! - A version of a configuration is never changed or deleted; the newest of a target counts.
//! - A host that is shut out stays in the list: its rows stay in the lake.
//! - What a call has changed is on disk when it returns (WAL, `synchronous = FULL`).
//!
//! On failure: every call is one transaction, which either happened or did not. A newer catalog than this
//! program knows is refused, never changed.
//!
//! What it does not do: it reads no clock and knows no certificate but its serial number and end.

mod access;
mod audit;
mod configurations;
mod error;
mod hosts;
mod imports;
mod keeping;
mod saved;
mod schema;
mod senders;
mod sessions;
mod standing;
mod tokens;
mod users;

pub use access::AccessToken;
pub use audit::{AuditEntry, AuditPage, NewAudit};
pub use configurations::{Configuration, NewConfiguration};
pub use error::CatalogError;
pub use hosts::{Certificate, Enrolment, Host};
pub use imports::{Check, Import};
pub use keeping::{Erasure, Hold};
pub use saved::View;
pub use senders::Sender;
pub use sessions::Session;
pub use standing::Shut;
pub use tokens::{Redeemed, Token};
pub use users::{Provided, User};

use bartizan_model::HostId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

/// The catalog. Clones share its few connections.
#[derive(Clone, Debug)]
pub struct Catalog {
    pool: SqlitePool,
}

impl Catalog {
    /// Opens the catalog in this file; makes or updates it where needed.
    ///
    /// # Errors
    /// If it cannot be opened, is damaged, or is of a newer program.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let fail = |source| CatalogError::Open { path: path.to_owned(), source };
        // For its owner only; what SQLite lays beside it takes over the mode.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| fail(sqlx::Error::Io(e)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // The server may write nowhere but in its directory.
            .pragma("temp_store", "MEMORY")
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(fail)?;
        schema::migrate(&pool).await.map_err(|e| e.in_file(path))?;
        Ok(Self { pool })
    }

    /// Writes all to the file and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn id_of(text: &str) -> Result<HostId, CatalogError> {
    text.parse().map_err(|_| CatalogError::Damaged(format!("`{text}` is no host id")))
}
