use crate::{Catalog, CatalogError, error::doing, id_of};
use bartizan_model::{HostId, Micros};
use sqlx::{Row, sqlite::SqliteRow};

/// A host that was enrolled once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its key.
    pub id: HostId,
    /// Its label.
    pub name: String,
    /// When it was enrolled first.
    pub first_seen: Micros,
    /// Its newest certificate.
    pub certificate: Certificate,
    /// Version of its agent, when it enrolled or renewed last.
    pub agent_version: String,
    /// When it was shut out, if it was.
    pub revoked_at: Option<Micros>,
    /// When it was heard of last.
    pub last_contact: Option<Micros>,
}

/// What the catalog knows of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Serial number, hex.
    pub serial: String,
    /// Good until.
    pub not_after: Micros,
}

/// A host that enrols.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Its key.
    pub id: HostId,
    /// The name that it is to have.
    pub name: String,
    /// The certificate that it gets.
    pub certificate: Certificate,
    /// Version of its agent.
    pub agent_version: String,
    /// Whether a host that has the name is revoked for it.
    pub replace: bool,
}

impl Catalog {
    /// Notes a new host, or a known one (by key) with a new name and certificate; revoked ones are let in
    /// again, for they had a token.
    ///
    /// # Errors
    /// [`CatalogError::NameTaken`] if another host that is not revoked has the name.
    pub async fn enrol(&self, host: &Enrolment, now: Micros) -> Result<(), CatalogError> {
        let fail = doing("enrol a host");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let id = host.id.to_string();
        let holder = sqlx::query(
            "SELECT id FROM hosts WHERE name = ? COLLATE NOCASE AND revoked_at IS NULL AND id <> ?",
        )
        .bind(&host.name)
        .bind(&id)
        .fetch_optional(&mut *tx)
        .await
        .map_err(&fail)?;
        if let Some(row) = holder {
            let holder = id_of(row.try_get(0).map_err(&fail)?)?;
            if !host.replace {
                return Err(CatalogError::NameTaken { name: host.name.clone(), host: holder });
            }
            sqlx::query("UPDATE hosts SET revoked_at = ? WHERE id = ?")
                .bind(now.0)
                .bind(holder.to_string())
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
        }
        sqlx::query(
            "INSERT INTO hosts (id, name, first_seen, serial, not_after, agent_version)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, serial = excluded.serial,
                 not_after = excluded.not_after, agent_version = excluded.agent_version, revoked_at = NULL",
        )
        .bind(&id)
        .bind(&host.name)
        .bind(now.0)
        .bind(&host.certificate.serial)
        .bind(host.certificate.not_after.0)
        .bind(&host.agent_version)
        .execute(&mut *tx)
        .await
        .map_err(&fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Notes the new certificate of a host.
    ///
    /// # Errors
    /// [`CatalogError::NoHost`] if it is unknown or revoked.
    pub async fn renewed(&self, id: HostId, certificate: &Certificate) -> Result<(), CatalogError> {
        let done =
            sqlx::query("UPDATE hosts SET serial = ?, not_after = ? WHERE id = ? AND revoked_at IS NULL")
                .bind(&certificate.serial)
                .bind(certificate.not_after.0)
                .bind(id.to_string())
                .execute(&self.pool)
                .await
                .map_err(doing("note a certificate"))?;
        if done.rows_affected() == 0 { Err(CatalogError::NoHost(id.to_string())) } else { Ok(()) }
    }

    /// Every host, revoked ones too, by name.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn hosts(&self) -> Result<Vec<Host>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM hosts ORDER BY name COLLATE NOCASE, first_seen, id")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("list the hosts"))?;
        rows.iter().map(host_of).collect()
    }

    /// The host of a key.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn host(&self, id: HostId) -> Result<Option<Host>, CatalogError> {
        let row = sqlx::query("SELECT * FROM hosts WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("look up a host"))?;
        row.as_ref().map(host_of).transpose()
    }

    /// The host that has this name and is not revoked.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn host_by_name(&self, name: &str) -> Result<Option<Host>, CatalogError> {
        let row = sqlx::query("SELECT * FROM hosts WHERE name = ? COLLATE NOCASE AND revoked_at IS NULL")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("look up a host"))?;
        row.as_ref().map(host_of).transpose()
    }

    /// Notes that these hosts were heard of; never moves a contact back.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn touch(&self, hosts: &[(HostId, Micros)]) -> Result<(), CatalogError> {
        let fail = doing("note contacts");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        for (id, at) in hosts {
            sqlx::query("UPDATE hosts SET last_contact = max(coalesce(last_contact, ?1), ?1) WHERE id = ?2")
                .bind(at.0)
                .bind(id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Shuts a host out from now on; one that is out already stays as it is.
    ///
    /// # Errors
    /// [`CatalogError::NoHost`] if it is unknown.
    pub async fn revoke(&self, id: HostId, now: Micros) -> Result<(), CatalogError> {
        let done = sqlx::query("UPDATE hosts SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?")
            .bind(now.0)
            .bind(id.to_string())
            .execute(&self.pool)
            .await
            .map_err(doing("revoke a host"))?;
        if done.rows_affected() == 0 { Err(CatalogError::NoHost(id.to_string())) } else { Ok(()) }
    }
}

fn host_of(row: &SqliteRow) -> Result<Host, CatalogError> {
    let read = || {
        Ok((
            row.try_get::<&str, _>("id")?,
            row.try_get("name")?,
            row.try_get("first_seen")?,
            row.try_get("serial")?,
            row.try_get("not_after")?,
            row.try_get("agent_version")?,
            row.try_get::<Option<i64>, _>("revoked_at")?,
            row.try_get::<Option<i64>, _>("last_contact")?,
        ))
    };
    let (id, name, first_seen, serial, not_after, agent_version, revoked_at, last_contact) =
        read().map_err(doing("read a host"))?;
    Ok(Host {
        id: id_of(id)?,
        name,
        first_seen: Micros(first_seen),
        certificate: Certificate { serial, not_after: Micros(not_after) },
        agent_version,
        revoked_at: revoked_at.map(Micros),
        last_contact: last_contact.map(Micros),
    })
}
