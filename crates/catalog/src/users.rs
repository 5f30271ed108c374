use crate::{Catalog, CatalogError, error::doing};
use bartizan_model::{Micros, Role};
use sqlx::{Row, sqlite::SqliteRow};

/// Whom an identity provider means by an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provided {
    /// Which provider.
    pub issuer: String,
    /// Whom: what he is called may change, and may become another's; this does not.
    pub subject: String,
    /// Until when what the provider said of him counts; `None`: it counts no more.
    pub until: Option<Micros>,
}

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// What he is called; compared without case.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// The filter of the rows that he may see; `None`: all.
    pub scope: Option<String>,
    /// Whether he may see what packets and lines say.
    pub payload: bool,
    /// The hash of his password, as a PHC string; `None`: he has none yet.
    pub password: Option<String>,
    /// The secret of his second factor.
    pub totp: Option<Vec<u8>>,
    /// The last step of it that was used: each counts once.
    pub totp_step: i64,
    /// SHA-256 of the code with which he chooses a password.
    pub invitation: Option<[u8; 32]>,
    /// Until when that is good.
    pub invited_until: Option<Micros>,
    /// When he was added.
    pub created: Micros,
    /// When he signed in last.
    pub last_sign_in: Option<Micros>,
    /// From which network.
    pub network: Option<String>,
    /// Whether he is shut out.
    pub disabled: bool,
    /// Who he is at an identity provider; then he has no password.
    pub provided: Option<Provided>,
}

/// Without what nobody is to read.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Catalog {
    /// Keeps a user, in the place of one of the same name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn put_user(&self, user: &User) -> Result<(), CatalogError> {
        // Not REPLACE, which would delete the tokens that refer to him.
        sqlx::query(
            "INSERT INTO users (name, role, scope, payload, password, totp, totp_step, invitation, invited_until,
                 created, last_sign_in, network, disabled, issuer, subject, vouched_until)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET role = excluded.role, scope = excluded.scope,
                 payload = excluded.payload, password = excluded.password, totp = excluded.totp,
                 totp_step = excluded.totp_step, invitation = excluded.invitation,
                 invited_until = excluded.invited_until, last_sign_in = excluded.last_sign_in,
                 network = excluded.network, disabled = excluded.disabled, issuer = excluded.issuer,
                 subject = excluded.subject, vouched_until = excluded.vouched_until",
        )
        .bind(&user.name)
        .bind(user.role.as_str())
        .bind(&user.scope)
        .bind(user.payload)
        .bind(&user.password)
        .bind(&user.totp)
        .bind(user.totp_step)
        .bind(user.invitation.as_ref().map(<[u8; 32]>::as_slice))
        .bind(user.invited_until.map(|until| until.0))
        .bind(user.created.0)
        .bind(user.last_sign_in.map(|at| at.0))
        .bind(&user.network)
        .bind(user.disabled)
        .bind(user.provided.as_ref().map(|provided| &provided.issuer))
        .bind(user.provided.as_ref().map(|provided| &provided.subject))
        .bind(user.provided.as_ref().and_then(|provided| provided.until).map(|until| until.0))
        .execute(&self.pool)
        .await
        .map_err(doing("keep a user"))?;
        Ok(())
    }

    /// Removes a user and his tokens; false if there is none of that name.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn delete_user(&self, name: &str) -> Result<bool, CatalogError> {
        let done = sqlx::query("DELETE FROM users WHERE name = ?").bind(name).execute(&self.pool).await;
        Ok(done.map_err(doing("remove a user"))?.rows_affected() == 1)
    }

    /// Every user, by name.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn users(&self) -> Result<Vec<User>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM users ORDER BY name").fetch_all(&self.pool).await;
        rows.map_err(doing("list the users"))?.iter().map(user_of).collect()
    }
}

fn user_of(row: &SqliteRow) -> Result<User, CatalogError> {
    let fail = doing("read a user");
    let damaged = |what: &str| CatalogError::Damaged(what.to_owned());
    let time = |column: &str| Ok(row.try_get::<Option<i64>, _>(column).map_err(&fail)?.map(Micros));
    let invitation: Option<&[u8]> = row.try_get("invitation").map_err(&fail)?;
    let provided = match (row.try_get("issuer").map_err(&fail)?, row.try_get("subject").map_err(&fail)?) {
        (Some(issuer), Some(subject)) => Some(Provided { issuer, subject, until: time("vouched_until")? }),
        _ => None,
    };
    Ok(User {
        name: row.try_get("name").map_err(&fail)?,
        role: role_of(row)?,
        scope: row.try_get("scope").map_err(&fail)?,
        payload: row.try_get("payload").map_err(&fail)?,
        password: row.try_get("password").map_err(&fail)?,
        totp: row.try_get("totp").map_err(&fail)?,
        totp_step: row.try_get("totp_step").map_err(&fail)?,
        invitation: invitation
            .map(|hash| hash.try_into().map_err(|_| damaged("an invitation's hash")))
            .transpose()?,
        invited_until: time("invited_until")?,
        created: Micros(row.try_get("created").map_err(&fail)?),
        last_sign_in: time("last_sign_in")?,
        network: row.try_get("network").map_err(&fail)?,
        disabled: row.try_get("disabled").map_err(&fail)?,
        provided,
    })
}

pub(crate) fn role_of(row: &SqliteRow) -> Result<Role, CatalogError> {
    let role: &str = row.try_get("role").map_err(doing("read a role"))?;
    role.parse().map_err(|_| CatalogError::Damaged(format!("`{role}` is no role")))
}
