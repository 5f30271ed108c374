//! Real database servers, each on a folder of its own, listening in a namespace.

use crate::netns::NetNs;
use crate::process::{Running, signal, wait_until};
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// The password of its user `ulogd`.
pub const PASSWORD: &str = "s3cret";

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    Mariadb,
}

/// A database server.
#[derive(Debug)]
pub struct Database {
    engine: Engine,
    netns: Arc<NetNs>,
    dir: PathBuf,
    running: Option<Running>,
}

impl Database {
    /// Makes a server in a new folder below `dir`, which its user must be able to enter, and starts it. It has a
    /// user `ulogd` who may do everything.
    ///
    /// # Errors
    /// When it is not installed or does not start, with what it said.
    pub fn start(engine: Engine, netns: &Arc<NetNs>, dir: &Path) -> Result<Self> {
        let (name, user) = match engine {
            Engine::Postgres => ("postgres", "postgres"),
            Engine::Mariadb => ("mariadb", "mysql"),
        };
        let dir = dir.join(name);
        fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
        let (uid, gid) = (id(user, "-u")?, id(user, "-g")?);
        chown(&dir, Some(uid), Some(gid)).context("give the folder away")?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).context("open the folder")?;
        let mut database = Self { engine, netns: Arc::clone(netns), dir, running: None };
        let data = database.data();
        let mut make = match engine {
            Engine::Postgres => {
                let mut make = as_user("postgres", postgres("initdb")?);
                make.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
                    .arg(&data);
                make
            }
            Engine::Mariadb => {
                let mut make = Command::new("mariadb-install-db");
                make.args([
                    "--no-defaults",
                    "--user=mysql",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ]);
                make.arg(format!("--datadir={}", data.display()));
                make
            }
        };
        said(make.current_dir(&database.dir))?;
        database.up()?;
        match engine {
            Engine::Postgres => {
                database.admin(&format!("CREATE ROLE ulogd SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))?
            }
            Engine::Mariadb => database.admin(&format!(
                "CREATE USER ulogd@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO ulogd@'%';"
            ))?,
        };
        Ok(database)
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn up(&mut self) -> Result<()> {
        let mut command = self.netns.command("setpriv");
        let data = self.data();
        match self.engine {
            Engine::Postgres => {
                command
                    .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
                    .arg(postgres("postgres")?);
                command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c"]);
                command.arg(format!("unix_socket_directories={}", self.dir.display())).arg("-D").arg(&data);
            }
            Engine::Mariadb => {
                command.args([
                    "--reuid=mysql",
                    "--regid=mysql",
                    "--init-groups",
                    "mariadbd",
                    "--no-defaults",
                ]);
                command.args([
                    "--bind-address=127.0.0.1",
                    "--port=3306",
                    "--innodb-flush-log-at-trx-commit=2",
                    // ulogd2's schema has no room for the EtherType of IPv6: a strict server takes no such row
                    "--sql-mode=NO_ENGINE_SUBSTITUTION",
                ]);
                command.arg(format!("--datadir={}", data.display()));
                command.arg(format!("--socket={}", self.dir.join("socket").display()));
                command.arg(format!("--pid-file={}", self.dir.join("pid").display()));
            }
        }
        command.current_dir(&self.dir);
        self.running = Some(Running::start(command, &self.dir.join("server.log"))?);
        wait_until("the database to listen", PATIENCE, || {
            if let Some(running) = &mut self.running
                && let Some(status) = running.ended()?
            {
                bail!("the database ended at once ({status}):\n{}", running.log_tail());
            }
            Ok(self.admin("SELECT 1").ok())
        })?;
        Ok(())
    }

    /// Stops it, whoever is connected.
    ///
    /// # Errors
    /// When it does not run or does not stop.
    pub fn stop(&mut self) -> Result<()> {
        let running = self.running.take().context("the database does not run")?;
        if self.engine == Engine::Postgres {
            signal(running.id(), "INT")?;
        }
        running.stop()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let running = self.running.take().context("the database does not run")?;
        running.kill()?;
        // its children notice that by themselves, and hold the folder until then
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    }

    /// The URL of a database on it, with a password in it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let scheme = if self.engine == Engine::Postgres { "postgres" } else { "mysql" };
        format!("{scheme}://ulogd:{PASSWORD}@127.0.0.1/{database}")
    }

    /// Makes a database, and runs what a file of SQL says in it, by the server's own client.
    ///
    /// # Errors
    /// With what it said.
    pub fn create(&self, database: &str, sql: &str) -> Result<()> {
        self.admin(&format!("CREATE DATABASE {database}"))?;
        self.client(database, sql).map(drop)
    }

    /// The answer to a question: a line for each row, columns with tabs between them.
    ///
    /// # Errors
    /// With what the server said.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String> {
        self.client(database, sql)
    }

    /// The one number that is the answer to a question.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, database: &str, sql: &str) -> Result<u64> {
        let answer = self.ask(database, sql)?;
        answer.trim().parse().with_context(|| format!("{sql}: {answer}"))
    }

    fn admin(&self, sql: &str) -> Result<String> {
        self.client(if self.engine == Engine::Postgres { "postgres" } else { "mysql" }, sql)
    }

    fn client(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = Command::new("psql");
                command.args([
                    "-X",
                    "-q",
                    "-A",
                    "-t",
                    "-F",
                    "\t",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-U",
                    "postgres",
                    "-h",
                ]);
                command.arg(&self.dir).args(["-d", database]);
                command
            }
            Engine::Mariadb => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-N", "-B", "-u", "root"]);
                command.arg(format!("--socket={}", self.dir.join("socket").display())).arg(database);
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let mut stdin = child.stdin.take().context("its input")?;
        let text = sql.to_owned();
        // Its answer may fill the pipe before it has read all.
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().context("wait for it")?;
        drop(writer.join());
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            if self.engine == Engine::Postgres {
                drop(signal(running.id(), "INT"));
            }
            drop(running.stop());
        }
    }
}

fn id(user: &str, which: &str) -> Result<u32> {
    let output = Command::new("id").args([which, user]).output().context("run id")?;
    String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| format!("there is no user {user}"))
}

/// A program of the newest PostgreSQL.
fn postgres(program: &str) -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("postgresql is not installed")?;
    let found =
        versions.flatten().map(|version| version.path().join("bin").join(program)).filter(|p| p.exists());
    found.max().with_context(|| format!("{program} is not installed"))
}

fn as_user(user: &str, program: PathBuf) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--"]).arg(program);
    command
}

fn said(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
