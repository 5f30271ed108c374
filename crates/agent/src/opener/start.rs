//! Starting the worker: this program again, in a process without rights.

use super::channel::Channel;
use crate::sandbox::{self, Gaps};
use crate::user::User;
use anyhow::Context as _;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};

/// What concerns the main process only.
const NOT_FOR_WORKERS: &[&str] =
    &["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "BARTIZAN_JOIN_TOKEN"];

/// A worker that was started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    /// What could not be taken from it.
    pub(crate) gaps: Gaps,
    keeper: JoinHandle<io::Result<ExitStatus>>,
}

impl Started {
    /// Waits for its end.
    pub(crate) fn wait(self) -> anyhow::Result<ExitStatus> {
        let ended =
            self.keeper.join().map_err(|_| anyhow::anyhow!("the worker's keeper ended with a panic"))?;
        ended.context("cannot wait for the worker")
    }
}

/// Starts this program again with `arguments`; `requests` becomes its standard input.
///
/// The thread that does so gives everything away first, and then lives until the worker ends: the worker is to
/// die with its parent, which is that thread.
pub(crate) fn start(
    arguments: Vec<OsString>,
    requests: Channel,
    user: Option<User>,
) -> anyhow::Result<Started> {
    let (tell, told) = sync_channel(1);
    let keep = move || {
        let gaps = sandbox::drop_all_but_changing_user();
        let mut command = Command::new("/proc/self/exe");
        command.arg0("bartizan-agent").args(arguments).stdin(Stdio::from(requests.into_fd()));
        for name in NOT_FOR_WORKERS {
            command.env_remove(name);
        }
        if let Some(User { uid, gid }) = user {
            command.uid(uid).gid(gid);
        }
        let spawned = command.spawn();
        drop(command);
        sandbox::drop_the_rest();
        match spawned {
            Ok(mut child) => {
                drop(tell.send(Ok((child.id(), gaps))));
                child.wait()
            }
            Err(error) => {
                drop(tell.send(Err(io::Error::from(error.kind()))));
                Err(error)
            }
        }
    };
    let keeper = thread::Builder::new().name("keeper".into()).spawn(keep).context("cannot start a thread")?;
    let (pid, gaps) =
        told.recv().context("the worker's keeper is gone")?.context("cannot start the worker")?;
    Ok(Started { pid, gaps, keeper })
}
