//! Whether a host may send, what it is called, and what group it is in: what people change of a host that is known.
//!
//! A host is let in, waits for somebody to approve of it, or is shut out. Whoever is not let in has no name that another
//! could want. What was a host's name before stays known, because rows of that time carry it.

use crate::hosts::host_of;
use crate::{Catalog, CatalogError, Host, error::doing, id_of};
use bartizan_model::{HostId, Micros};
use sqlx::{Row, Sqlite, SqliteConnection, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Names that are remembered of a host.
const FORMER: usize = 16;

/// As what a host was shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It is not trusted any more.
    Revoked,
    /// It is no more; nobody needs to wonder that it says nothing.
    Retired,
}

impl Shut {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Retired => "retired",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        if name == Self::Retired.name() { Self::Retired } else { Self::Revoked }
    }
}

impl Host {
    /// Its former names when it is called `name` from now on.
    pub(crate) fn former_with(&self, name: &str) -> Vec<String> {
        let mut former: Vec<String> = self.former.iter().filter(|old| *old != name).cloned().collect();
        if self.name != name && !former.contains(&self.name) {
            former.push(self.name.clone());
        }
        let over = former.len().saturating_sub(FORMER);
        former.split_off(over)
    }
}

impl Catalog {
    /// Shuts a host out from now on; one that is out already keeps the moment. A host that waits does so no more.
    ///
    /// # Errors
    /// [`CatalogError::NoHost`] if it is unknown.
    pub async fn shut_out(&self, id: HostId, how: Shut, now: Micros) -> Result<(), CatalogError> {
        let done = sqlx::query(
            "UPDATE hosts SET revoked_at = coalesce(revoked_at, ?), shut_out = ?, waiting = NULL, waiting_for = ''
             WHERE id = ?",
        )
        .bind(now.0)
        .bind(how.name())
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(doing("shut a host out"))?;
        if done.rows_affected() == 0 { Err(CatalogError::NoHost(id.to_string())) } else { Ok(()) }
    }

    /// Lets a host wait until somebody approves of it; one that waits already keeps the moment.
    ///
    /// # Errors
    /// [`CatalogError::NoHost`] if it is unknown or shut out.
    pub async fn let_wait(&self, id: HostId, why: &str, now: Micros) -> Result<(), CatalogError> {
        let done = sqlx::query(
            "UPDATE hosts SET waiting = coalesce(waiting, ?), waiting_for = ? WHERE id = ? AND revoked_at IS NULL",
        )
        .bind(now.0)
        .bind(why)
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(doing("let a host wait"))?;
        if done.rows_affected() == 0 { Err(CatalogError::NoHost(id.to_string())) } else { Ok(()) }
    }

    /// Lets a host in that waits. With `replace` a host that has its name is revoked for it.
    ///
    /// # Errors
    /// [`CatalogError::NameTaken`]; [`CatalogError::NoHost`] if it is unknown or shut out.
    pub async fn approve(&self, id: HostId, replace: bool, now: Micros) -> Result<(), CatalogError> {
        let fail = doing("approve of a host");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let host = known(&mut tx, id).await?;
        if let Some(holder) = holder(&mut tx, &host.name, id).await? {
            if !replace {
                return Err(CatalogError::NameTaken { name: host.name, host: holder });
            }
            displace(&mut tx, holder, now).await?;
        }
        // A certificate that ended long ago may be renewed from now on for as long as one that has just ended.
        sqlx::query(
            "UPDATE hosts SET waiting = NULL, waiting_for = '', not_after = max(not_after, ?) WHERE id = ?",
        )
        .bind(now.0)
        .bind(id.to_string())
        .execute(&mut *tx)
        .await
        .map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Gives a host another name. Rows that are there keep the old one.
    ///
    /// # Errors
    /// [`CatalogError::NameTaken`]; [`CatalogError::NoHost`] if it is unknown or shut out.
    pub async fn rename(&self, id: HostId, name: &str) -> Result<(), CatalogError> {
        let fail = doing("rename a host");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let host = known(&mut tx, id).await?;
        if let Some(holder) = holder(&mut tx, name, id).await? {
            return Err(CatalogError::NameTaken { name: name.to_owned(), host: holder });
        }
        sqlx::query("UPDATE hosts SET name = ?, former = ? WHERE id = ?")
            .bind(name)
            .bind(host.former_with(name).join(" "))
            .bind(id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// The groups that tokens put hosts into, with the names that their rows carry. A name that somebody has now is
    /// that host's alone, and one that hosts of different groups had is nobody's: who may see a group sees no more by
    /// a name that was given away.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn members(&self) -> Result<BTreeMap<String, Vec<String>>, CatalogError> {
        let hosts = self.hosts().await?;
        // Of each name: who has it now, and the groups of those who had it.
        let mut names: BTreeMap<String, (Option<&Host>, BTreeSet<Option<&str>>)> = BTreeMap::new();
        for host in hosts.iter().filter(|host| host.is_in() || host.last_contact.is_some()) {
            for name in host.former.iter().chain([&host.name]) {
                let (holder, groups) = names.entry(name.to_lowercase()).or_default();
                groups.insert(host.group.as_deref());
                if host.is_in() && *name == host.name {
                    *holder = Some(host);
                }
            }
        }
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, (holder, groups)) in names {
            let group = match holder {
                Some(host) => host.group.as_deref(),
                None if groups.len() == 1 => groups.first().copied().flatten(),
                None => None,
            };
            if let Some(group) = group {
                members.entry(group.to_owned()).or_default().push(name);
            }
        }
        Ok(members)
    }
}

async fn known(tx: &mut Transaction<'_, Sqlite>, id: HostId) -> Result<Host, CatalogError> {
    let row = sqlx::query("SELECT * FROM hosts WHERE id = ? AND revoked_at IS NULL")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(doing("look up a host"))?;
    row.as_ref().map(host_of).transpose()?.ok_or_else(|| CatalogError::NoHost(id.to_string()))
}

/// Who else has a name and is let in.
pub(crate) async fn holder(
    tx: &mut SqliteConnection,
    name: &str,
    but: HostId,
) -> Result<Option<HostId>, CatalogError> {
    let fail = doing("look up a name");
    let row = sqlx::query(
        "SELECT id FROM hosts WHERE name = ? COLLATE NOCASE AND revoked_at IS NULL AND waiting IS NULL AND id <> ?",
    )
    .bind(name)
    .bind(but.to_string())
    .fetch_optional(tx)
    .await
    .map_err(&fail)?;
    row.map(|row| id_of(row.try_get(0).map_err(&fail)?)).transpose()
}

/// Revokes a host whose name another gets.
pub(crate) async fn displace(
    tx: &mut SqliteConnection,
    holder: HostId,
    now: Micros,
) -> Result<(), CatalogError> {
    sqlx::query("UPDATE hosts SET revoked_at = ?, shut_out = 'revoked' WHERE id = ?")
        .bind(now.0)
        .bind(holder.to_string())
        .execute(tx)
        .await
        .map_err(doing("revoke a host"))
        .map(drop)
}
