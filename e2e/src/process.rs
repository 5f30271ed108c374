//! The real binaries as handles: start, stop, kill, ask.
//!
//! - [`Server`] and [`Agent`] live in folders that outlast them, so that a killed one can be started again on
//!   what it left. Ports are chosen by the kernel at the first start and kept after it.
//! - Whoever drops a handle kills the program; the kernel does so when the whole test dies (`--pdeathsig`).
//! - Logs are files; the end of them is printed when the handle is dropped in a panic.
//! - Nothing of the environment reaches the programs but `PATH` and what concerns backtraces and logs.

use crate::netns::NetNs;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of a log that are shown when something failed.
const LOG_TAIL: usize = 60;

/// Tries `done` every few milliseconds until it gives something.
///
/// # Errors
/// At the deadline, with `what` was waited for; earlier with the error of `done`.
pub fn wait_until<T>(
    what: &str,
    patience: Duration,
    mut done: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(value) = done()? {
            return Ok(value);
        }
        ensure!(start.elapsed() < patience, "waited {:.0?} in vain for {what}", start.elapsed());
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// The folder of the binaries: `target/release`.
///
/// # Errors
/// When they are not built.
pub fn binaries() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("where is this program")?;
    // Tests are one folder further down.
    let found = exe.ancestors().skip(1).take(3).find(|dir| dir.join("bartizan").is_file());
    let dir =
        found.with_context(|| format!("no `bartizan` beside {}; run `make build` first", exe.display()))?;
    ensure!(dir.join("bartizan-agent").is_file(), "no `bartizan-agent` in {}", dir.display());
    Ok(dir.to_owned())
}

/// A program, with a clean environment, that dies with this one.
///
/// # Errors
/// When the binaries are not built.
pub fn program(netns: Option<&NetNs>, binary: &str) -> Result<Command> {
    let path = binaries()?.join(binary);
    let mut command = match netns {
        Some(netns) => netns.command("setpriv"),
        None => Command::new("setpriv"),
    };
    command.args(["--pdeathsig", "KILL", "--"]).arg(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"BARTIZAN_"))
    {
        if name != "BARTIZAN_LOG" {
            command.env_remove(name);
        }
    }
    // Ctrl-C is for the one who holds the handle; it stops its programs in order.
    command.process_group(0);
    Ok(command)
}

/// A running program with its log.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program whose output is added to a log file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share the log")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// The same, with a file of its own for what it prints; the log has the rest.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn apart(mut command: Command, out: &Path, log: &Path) -> Result<Self> {
        let file = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("open {}", path.display()))
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(file(out)?)
            .stderr(file(log)?)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look after a program")
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("kill a program")?;
        self.child.wait().context("wait for a killed program").map(drop)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop, or says that it failed.
    pub fn stop(mut self) -> Result<()> {
        signal(self.id(), "TERM")?;
        let status = wait_until("a program to stop", PATIENCE, || self.ended())?;
        ensure!(status.success(), "stopped with {status}:\n{}", self.log_tail());
        Ok(())
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended_before = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended_before {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- {}\n{}\n---", self.log.display(), self.log_tail());
        }
    }
}

/// A process and its children, whichever of its threads made them.
#[must_use]
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    all
}

/// Sends a signal: `TERM`, `STOP`, `CONT`.
///
/// # Errors
/// When there is no such process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    ensure!(status.context("run kill")?.success(), "cannot send {name} to {pid}");
    Ok(())
}

/// Lets this process have so many open files: some tests are ten thousand senders.
///
/// # Errors
/// When it may not have them.
pub fn allow_files(count: u32) -> Result<()> {
    let id = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={count}:")]).status();
    ensure!(
        status.context("run prlimit")?.success(),
        "this needs {count} open files: `ulimit -Hn` says how many there may be"
    );
    Ok(())
}

/// `bartizan server` on a folder.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    settings: String,
    listen: [SocketAddr; 2],
    netns: Option<Arc<NetNs>>,
    level: Option<String>,
    running: Option<Running>,
}

impl Server {
    /// A server that keeps everything in `dir`; not started yet. `settings` is more TOML for its file.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(dir: &Path, settings: &str) -> Result<Self> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::listening(dir, settings, [any, any])
    }

    /// As [`Server::new`], on these addresses: of people, of agents.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn listening(dir: &Path, settings: &str, listen: [SocketAddr; 2]) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            settings: settings.to_owned(),
            listen,
            netns: None,
            level: None,
            running: None,
        })
    }

    /// The same in a namespace, and whoever asks it too.
    #[must_use]
    pub fn inside(mut self, netns: &Arc<NetNs>) -> Self {
        self.netns = Some(Arc::clone(netns));
        self
    }

    /// Replaces its settings; they count from the next start on.
    pub fn configure(&mut self, settings: &str) {
        settings.clone_into(&mut self.settings);
    }

    /// How much its log tells from the next start on: `trace`.
    pub fn tell(&mut self, level: &str) {
        self.level = Some(level.to_owned());
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends before that, with its log.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "the server runs already");
        let config = self.dir.join("server.toml");
        let [front, agents] = self.listen;
        let text = format!(
            "dir = {:?}\nlisten = \"{front}\"\nagents_listen = \"{agents}\"\nsandbox.write = [{:?}]\n{}\n",
            self.dir.display().to_string(),
            // Where tests let it write backups.
            self.dir.parent().unwrap_or(&self.dir).display().to_string(),
            self.settings
        );
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        for name in ["address", "agents_address"] {
            let _ = fs::remove_file(self.dir.join(name));
        }
        let mut command = program(self.netns.as_deref(), "bartizan")?;
        command.args(["server", "--config"]).arg(&config);
        command.envs(self.level.iter().map(|level| ("BARTIZAN_LOG", level)));
        let running = self.running.insert(Running::start(command, &self.dir.join("server.log"))?);
        let dir = &self.dir;
        let listen = wait_until("the server to listen", PATIENCE, || {
            if let Some(status) = running.ended()? {
                bail!("the server ended at once ({status}):\n{}", running.log_tail());
            }
            // Written in this order.
            Ok(address(&dir.join("agents_address"))
                .and_then(|agents| Some([address(&dir.join("address"))?, agents])))
        })?;
        self.listen = listen;
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the server does not run")?.kill()
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// When it does not run, does not stop or fails.
    pub fn stop(&mut self) -> Result<()> {
        self.running.take().context("the server does not run")?.stop()
    }

    /// The running program.
    #[must_use]
    pub fn running(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    /// A handle with which others ask it meanwhile; it can neither start nor stop what this one runs.
    #[must_use]
    pub fn asker(&self) -> Self {
        let (dir, settings, netns) = (self.dir.clone(), self.settings.clone(), self.netns.clone());
        Self { dir, settings, listen: self.listen, netns, level: None, running: None }
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The address of people and enrolment, once it has been started.
    #[must_use]
    pub fn front(&self) -> SocketAddr {
        self.listen[0]
    }

    /// The address of agents, once it has been started.
    #[must_use]
    pub fn agents(&self) -> SocketAddr {
        self.listen[1]
    }

    /// The command line, pointed at this server.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn cli(&self) -> Result<Command> {
        let mut command = program(self.netns.as_deref(), "bartizan")?;
        command.arg("--dir").arg(&self.dir).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the command line to its end and returns what it printed.
    ///
    /// # Errors
    /// When it does not end with 0, with what it said.
    pub fn ask(&self, args: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.cli()?.args(args).output().context("run bartizan")?;
        ensure!(
            status.success(),
            "bartizan {args:?} ({status}): {}",
            String::from_utf8_lossy(&stderr).trim()
        );
        String::from_utf8(stdout).context("the output of bartizan")
    }

    /// How many packets the events of a filter stand for: what rules count. Equal ones may be one row.
    ///
    /// # Errors
    /// When the command fails.
    pub fn search_count(&self, filter: &str) -> Result<u64> {
        let count: Value = serde_json::from_str(&self.ask(&["search", filter, "--count", "-o", "json"])?)?;
        count["packets"].as_u64().context("the number of packets")
    }

    /// Every row that passes a filter.
    ///
    /// # Errors
    /// When the command fails.
    pub fn rows(&self, filter: &str) -> Result<Vec<Value>> {
        json_lines(&self.ask(&["search", filter, "-n", "0", "-o", "ndjson"])?)
    }

    /// The same with few columns, for many rows.
    ///
    /// # Errors
    /// When the command fails.
    pub fn rows_of(&self, filter: &str, columns: &str) -> Result<Vec<Value>> {
        json_lines(&self.ask(&["search", filter, "-n", "0", "-o", "ndjson", "--columns", columns])?)
    }

    /// Every row of `flows` or `counters` that passes a filter.
    ///
    /// # Errors
    /// When the command fails.
    pub fn table(&self, table: &str, filter: &str) -> Result<Vec<Value>> {
        json_lines(&self.ask(&[table, filter, "-n", "0", "-o", "ndjson"])?)
    }

    /// How many rows are there more than once, by what names an event: stream, number of its batch, row in it.
    ///
    /// # Errors
    /// When the command fails.
    pub fn duplicates(&self, filter: &str) -> Result<u64> {
        let mut names: Vec<String> =
            self.rows_of(filter, "stream,seq,row")?.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        Ok(names.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64)
    }

    /// Every entry of the ledger.
    ///
    /// # Errors
    /// When the command fails.
    pub fn losses(&self) -> Result<Vec<Value>> {
        json_lines(&self.ask(&["losses", "-o", "ndjson"])?)
    }

    /// All losses together.
    ///
    /// # Errors
    /// When the command fails, or an entry has no count.
    pub fn losses_sum(&self) -> Result<u64> {
        self.losses()?.iter().map(|entry| entry["count"].as_u64().context("an entry without count")).sum()
    }

    /// The hosts as the API lists them.
    ///
    /// # Errors
    /// When the command fails.
    pub fn hosts(&self) -> Result<Vec<Value>> {
        serde_json::from_str(&self.ask(&["hosts", "-o", "json"])?).context("the list of hosts")
    }

    /// A join token for `uses` hosts.
    ///
    /// # Errors
    /// When the command fails.
    pub fn token(&self, uses: u32) -> Result<String> {
        Ok(self.ask(&["token", "create", "--uses", &uses.to_string()])?.trim().to_owned())
    }
}

fn address(path: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.strip_suffix('\n')?;
    text.strip_prefix("https://").unwrap_or(text).parse().ok()
}

fn json_lines(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
}

/// `bartizan-agent` on a folder, perhaps in a namespace.
#[derive(Debug)]
pub struct Agent {
    dir: PathBuf,
    settings: String,
    level: Option<String>,
    running: Option<Running>,
}

impl Agent {
    /// An agent that keeps everything in `dir`; not enrolled, not started. `settings` is TOML for its file
    /// besides `dir`: `groups = [5]`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(dir: &Path, settings: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let agent = Self { dir: dir.to_owned(), settings: settings.to_owned(), level: None, running: None };
        agent.configure(settings)?;
        Ok(agent)
    }

    /// Replaces its settings; they count from the next start on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, settings: &str) -> Result<()> {
        let path = self.config();
        let text = format!("dir = {:?}\n{settings}\n", self.dir.display().to_string());
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// How much its log tells from the next start on: `trace`.
    pub fn tell(&mut self, level: &str) {
        self.level = Some(level.to_owned());
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("agent.toml")
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings that it was made with.
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Enrols it at the front port of a server.
    ///
    /// # Errors
    /// When it is refused, with what it said.
    pub fn enrol(&self, netns: Option<&NetNs>, server: SocketAddr, token: &str, name: &str) -> Result<()> {
        let mut command = program(netns, "bartizan-agent")?;
        command.args(["enrol", "--server", &server.to_string(), "--token", token, "--name", name, "--dir"]);
        let output = command.arg(&self.dir).stdin(Stdio::null()).output().context("run bartizan-agent")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "enrolment of {name} ({}): {}", output.status, said.trim());
        Ok(())
    }

    /// Starts it. It is capturing some moments later: see [`Agent::wait_for_capture`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, netns: Option<&NetNs>) -> Result<()> {
        ensure!(self.running.is_none(), "the agent runs already");
        let mut command = program(netns, "bartizan-agent")?;
        command.args(["run", "--config"]).arg(self.config());
        command.envs(self.level.iter().map(|level| ("BARTIZAN_LOG", level)));
        self.running = Some(Running::start(command, &self.dir.join("agent.log"))?);
        Ok(())
    }

    /// Waits until the kernel of the namespace knows a reader of the group.
    ///
    /// # Errors
    /// When the agent ends or nothing happens for long, with its log.
    pub fn wait_for_capture(&mut self, netns: &NetNs, group: u16) -> Result<()> {
        let running = self.running.as_mut().context("the agent does not run")?;
        let bound = wait_until("the agent to capture", PATIENCE, || {
            if let Some(status) = running.ended()? {
                bail!("the agent ended at once ({status})");
            }
            // One line for each group that is bound; the first number is the group.
            let table = netns.run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log"))?;
            let table = table.context("read /proc/net/netfilter/nfnetlink_log")?;
            let first = |line: &str| line.split_whitespace().next().and_then(|n| n.parse::<u16>().ok());
            Ok(table.lines().any(|line| first(line) == Some(group)).then_some(()))
        });
        bound.with_context(|| format!("its log:\n{}", running.log_tail()))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the agent does not run")?.kill()
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// When it does not run, does not stop or fails.
    pub fn stop(&mut self) -> Result<()> {
        self.running.take().context("the agent does not run")?.stop()
    }

    /// The running program.
    #[must_use]
    pub fn running(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_value_the_error_or_the_deadline() {
        let mut tries = 0;
        let third = wait_until("it", PATIENCE, || {
            tries += 1;
            Ok((tries == 3).then_some(tries))
        });
        assert_eq!(third.unwrap(), 3);
        assert!(
            wait_until::<()>("it", PATIENCE, || bail!("broken")).unwrap_err().to_string().contains("broken")
        );
        let late = wait_until::<()>("a train", Duration::ZERO, || Ok(None)).unwrap_err();
        assert!(late.to_string().contains("a train"), "{late}");
    }

    #[test]
    fn a_program_is_logged_stopped_and_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let polite = Running::start(
            shell("trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.01; done"),
            &log,
        );
        let polite = polite.unwrap();
        wait_until("hello", PATIENCE, || Ok(polite.log_tail().contains("hello").then_some(()))).unwrap();
        polite.stop().unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "hello\nbye\n");

        let stubborn = Running::start(shell("trap '' TERM; exec sleep 100"), &log).unwrap();
        let id = stubborn.id();
        stubborn.kill().unwrap();
        assert!(!Path::new("/proc").join(id.to_string()).exists());

        let failing =
            Running::start(shell("trap 'exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done"), &log)
                .unwrap();
        wait_until("ready", PATIENCE, || Ok(failing.log_tail().contains("ready").then_some(()))).unwrap();
        assert!(failing.stop().unwrap_err().to_string().contains("ready"), "the log is in the error");
    }
}
