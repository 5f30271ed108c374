use crate::standing::{displace, holder};
use crate::{Catalog, CatalogError, Shut, error::doing, id_of};
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
    /// As what it was shut out, if it was.
    pub shut: Shut,
    /// Since when it waits for somebody to approve of it, and why it has to.
    pub waiting: Option<(Micros, String)>,
    /// The group that its token put it into.
    pub group: Option<String>,
    /// Names that it had before; rows of that time carry them.
    pub former: Vec<String>,
    /// When it was heard of last.
    pub last_contact: Option<Micros>,
}

impl Host {
    /// Whether it may send.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.revoked_at.is_none() && self.waiting.is_none()
    }
}

/// What the catalog knows of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Serial number, hex.
    pub serial: String,
    /// Good until.
    pub not_after: Micros,
    /// The authority that signed it, as its pin is printed; empty where nobody noted it.
    pub authority: String,
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
    /// The group that its token puts it into.
    pub group: Option<String>,
    /// Whether somebody has to approve of it first, unless it is let in already.
    pub approval: bool,
}

impl Catalog {
    /// Notes a new host, or a known one (by key) with a new name and certificate; revoked ones are let in
    /// again, for they had a token. True if it has to wait for approval; then it takes nobody's name or place yet.
    ///
    /// # Errors
    /// [`CatalogError::NameTaken`] if another host that is let in has the name.
    pub async fn enrol(&self, host: &Enrolment, now: Micros) -> Result<bool, CatalogError> {
        let fail = doing("enrol a host");
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(&fail)?;
        let id = host.id.to_string();
        let known = sqlx::query("SELECT * FROM hosts WHERE id = ?").bind(&id).fetch_optional(&mut *tx).await;
        let known = known.map_err(&fail)?.as_ref().map(host_of).transpose()?;
        let waits = host.approval && !known.as_ref().is_some_and(Host::is_in);
        if let Some(holder) = holder(&mut tx, &host.name, host.id).await? {
            if !host.replace {
                return Err(CatalogError::NameTaken { name: host.name.clone(), host: holder });
            }
            if !waits {
                displace(&mut tx, holder, now).await?;
            }
        }
        let former = known.map(|known| known.former_with(&host.name)).unwrap_or_default();
        sqlx::query(
            "INSERT INTO hosts (id, name, first_seen, serial, not_after, authority, agent_version, in_group,
                 waiting, waiting_for, former)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, serial = excluded.serial,
                 not_after = excluded.not_after, authority = excluded.authority,
                 agent_version = excluded.agent_version, revoked_at = NULL, former = excluded.former,
                 in_group = coalesce(excluded.in_group, in_group),
                 waiting = excluded.waiting, waiting_for = excluded.waiting_for",
        )
        .bind(&id)
        .bind(&host.name)
        .bind(now.0)
        .bind(&host.certificate.serial)
        .bind(host.certificate.not_after.0)
        .bind(&host.certificate.authority)
        .bind(&host.agent_version)
        .bind(&host.group)
        .bind(waits.then_some(now.0))
        .bind(if waits { "it is new" } else { "" })
        .bind(former.join(" "))
        .execute(&mut *tx)
        .await
        .map_err(&fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(waits)
    }

    /// Notes the new certificate of a host, and the version of its agent.
    ///
    /// # Errors
    /// [`CatalogError::NoHost`] if it is unknown or revoked.
    pub async fn renewed(
        &self,
        id: HostId,
        certificate: &Certificate,
        agent_version: &str,
    ) -> Result<(), CatalogError> {
        let done = sqlx::query(
            "UPDATE hosts SET serial = ?, not_after = ?, authority = ?, agent_version = ?
                 WHERE id = ? AND revoked_at IS NULL",
        )
        .bind(&certificate.serial)
        .bind(certificate.not_after.0)
        .bind(&certificate.authority)
        .bind(agent_version)
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

    /// How many hosts may send.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn hosts_in(&self) -> Result<usize, CatalogError> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM hosts WHERE revoked_at IS NULL AND waiting IS NULL")
                .fetch_one(&self.pool)
                .await
                .map_err(doing("count the hosts"))?;
        Ok(usize::try_from(count).unwrap_or(0))
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

    /// The host that has this name and is let in.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn host_by_name(&self, name: &str) -> Result<Option<Host>, CatalogError> {
        let row = sqlx::query(
            "SELECT * FROM hosts WHERE name = ? COLLATE NOCASE AND revoked_at IS NULL AND waiting IS NULL",
        )
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
}

pub(crate) fn host_of(row: &SqliteRow) -> Result<Host, CatalogError> {
    let fail = doing("read a host");
    let moment = |name: &str| Ok(row.try_get::<Option<i64>, _>(name).map_err(&fail)?.map(Micros));
    let text = |name: &str| row.try_get::<String, _>(name).map_err(&fail);
    let number = |name: &str| Ok(Micros(row.try_get(name).map_err(&fail)?));
    let waiting_for = text("waiting_for")?;
    Ok(Host {
        id: id_of(&text("id")?)?,
        name: text("name")?,
        first_seen: number("first_seen")?,
        certificate: Certificate {
            serial: text("serial")?,
            not_after: number("not_after")?,
            authority: text("authority")?,
        },
        agent_version: text("agent_version")?,
        revoked_at: moment("revoked_at")?,
        shut: Shut::from_name(&text("shut_out")?),
        waiting: moment("waiting")?.map(|since| (since, waiting_for)),
        group: row.try_get("in_group").map_err(&fail)?,
        former: text("former")?.split_whitespace().map(str::to_owned).collect(),
        last_contact: moment("last_contact")?,
    })
}
