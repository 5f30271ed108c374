//! `bartizan server` as a handle.

mod asking;

use super::{PATIENCE, Running, program, wait_until};
use crate::netns::NetNs;
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

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
}

fn address(path: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.strip_suffix('\n')?;
    text.strip_prefix("https://").unwrap_or(text).parse().ok()
}
