//! Where a database is: a URL, and the password that is better not written in it.

use crate::error::UlogdbError;
use sqlx::ConnectOptions as _;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// Whose SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
    /// A SQLite file.
    Sqlite,
}

impl Engine {
    /// The name as it is in names of formats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }

    /// A name as an identifier.
    pub(crate) fn quoted(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            Self::Postgres | Self::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }
}

/// Where a database is, and how to get in. Shows no password, however it is printed.
#[derive(Clone)]
pub struct Place {
    pub(crate) way: Way,
    shown: String,
}

#[derive(Clone)]
pub(crate) enum Way {
    Postgres(Box<PgConnectOptions>),
    Mysql(Box<MySqlConnectOptions>),
    Sqlite(PathBuf),
}

const HELP: &str = "postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE or sqlite:FILE";

impl Place {
    /// Whether a text is the URL of a database, and not the name of a file.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        engine_of(text).is_some()
    }

    /// Where a URL points.
    ///
    /// A password is that of `password_file`, else of the URL, else of `PGPASSWORD`, `~/.pgpass` (PostgreSQL) or
    /// `MYSQL_PWD` (MySQL).
    ///
    /// # Errors
    /// If it is no URL of a database, or the file cannot be read.
    pub fn new(url: &str, password_file: Option<&Path>) -> Result<Self, UlogdbError> {
        let wrong = |what: &str| UlogdbError::Place(format!("{what}: write {HELP}"));
        let (engine, rest) = engine_of(url).ok_or_else(|| wrong("that is no URL of a database"))?;
        let password = password_file.map(read_password).transpose()?;
        match engine {
            Engine::Sqlite => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() {
                    return Err(wrong("the URL names no file"));
                }
                Ok(Self { way: Way::Sqlite(path.into()), shown: format!("sqlite:{path}") })
            }
            Engine::Postgres => {
                // The error would quote the URL.
                let options =
                    PgConnectOptions::from_str(url).map_err(|_| wrong("the URL is not understood"))?;
                let options = match &password {
                    Some(password) => options.password(password),
                    None => options,
                };
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => options.get_host().to_owned(),
                };
                let database = options.get_database().unwrap_or(options.get_username()).to_owned();
                let shown = shown("postgres", &host, options.get_port(), 5432, &database);
                let options = options.application_name("bartizan").disable_statement_logging();
                Ok(Self { way: Way::Postgres(Box::new(options)), shown })
            }
            Engine::Mysql => {
                let url = url.replacen("mariadb:", "mysql:", 1);
                let options =
                    MySqlConnectOptions::from_str(&url).map_err(|_| wrong("the URL is not understood"))?;
                let Some(database) = options.get_database().map(str::to_owned) else {
                    return Err(wrong("the URL names no database"));
                };
                let from_environment = || std::env::var("MYSQL_PWD").ok().filter(|_| !has_password(&url));
                let options = match password.or_else(from_environment) {
                    Some(password) => options.password(&password),
                    None => options,
                };
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => options.get_host().to_owned(),
                };
                let shown = shown("mysql", &host, options.get_port(), 3306, &database);
                Ok(Self { way: Way::Mysql(Box::new(options.disable_statement_logging())), shown })
            }
        }
    }

    /// Whose SQL it speaks.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        match self.way {
            Way::Postgres(_) => Engine::Postgres,
            Way::Mysql(_) => Engine::Mysql,
            Way::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Its URL without user and password.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.shown).finish()
    }
}

fn engine_of(url: &str) -> Option<(Engine, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let engine = match scheme {
        "postgres" | "postgresql" => Engine::Postgres,
        "mysql" | "mariadb" => Engine::Mysql,
        "sqlite" | "sqlite3" => return Some((Engine::Sqlite, rest)),
        _ => return None,
    };
    rest.starts_with("//").then_some((engine, rest))
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("//").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn shown(scheme: &str, host: &str, port: u16, usual: u16, database: &str) -> String {
    if host.starts_with('/') {
        format!("{scheme}:{host}/{database}")
    } else if port == usual {
        format!("{scheme}://{host}/{database}")
    } else {
        format!("{scheme}://{host}:{port}/{database}")
    }
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<String, UlogdbError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| UlogdbError::PasswordFile { path: path.to_owned(), source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_databases_are_told_from_files() {
        for url in ["postgres://h/d", "postgresql://u:p@h:1/d", "mysql://h/d", "mariadb://h/d", "sqlite:x.db"]
        {
            assert!(Place::is_url(url), "{url}");
        }
        for other in ["kern.log", "postgres:x", "/var/log/mysql://x", "http://x/y", "-", ""] {
            assert!(!Place::is_url(other), "{other}");
        }
    }

    #[test]
    fn no_password_is_ever_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pw");
        std::fs::write(&file, "s3cret-f\n").unwrap();
        let password_files = [None, Some(file.as_path())];
        let urls = [
            ("postgres://joe:s3cret@db.example.net/ulogd", "postgres://db.example.net/ulogd"),
            ("postgres:///ulogd?host=/run/pg&user=joe&password=s3cret", "postgres:/run/pg/ulogd"),
            ("mysql://joe:s3cret@127.0.0.1:3307/ulogd", "mysql://127.0.0.1:3307/ulogd"),
            ("mariadb://joe:s3cret@localhost/ulogd?socket=/run/m.sock", "mysql:/run/m.sock/ulogd"),
        ];
        for (url, expected) in urls {
            for password_file in password_files {
                let place = Place::new(url, password_file).unwrap();
                assert_eq!(place.shown(), expected);
                assert!(!format!("{place:?}").contains("s3cret"));
            }
        }
        for wrong in ["postgres://joe:s3cret@h:port/d", "mysql://joe:s3cret@h", "mysql://joe:s3cret@[h/d"] {
            let error = Place::new(wrong, None).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        let missing = Place::new("mysql://h/d", Some(Path::new("/nowhere/pw"))).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read the password file /nowhere/pw");
    }
}
