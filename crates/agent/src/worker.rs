//! The worker: everything that reads what strangers wrote, in a process that may do next to nothing.

use crate::board::Board;
use crate::central::Central;
use crate::configuration::{Loaded, PREFIX, layered, settings_of};
use crate::opener::{Link, Opener};
use crate::run::{Control, run_with};
use crate::sandbox;
use crate::settings::Settings;
use anyhow::Context as _;
use bartizan_config::{Setting, Source, open_sources};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Runs as the worker of the opener at the other end of standard input.
///
/// # Errors
/// Without an opener, and as the agent's work does.
pub fn work(overrides: Vec<Setting>) -> anyhow::Result<()> {
    let Prepared { opener, link, settings, board, _lock } = prepare(&overrides)?;
    let opener = Arc::new(opener);
    // Only now, shut in, is looked at what the server said.
    let central = Central::open(&settings.dir, settings.central);
    let (reader, said) = (Arc::clone(&opener), central.clone());
    let read = Box::new(move || -> anyhow::Result<Loaded> {
        let (own, over) = own_words(&reader, &overrides)?;
        layered(said.sources(), &own, &over)
    });
    let loaded = match read() {
        Ok(loaded) => loaded,
        Err(error) if central.give_up(&format!("{error:#}")) => read()?,
        Err(error) => return Err(error),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let control = Control { link: Arc::new(link), board, read_settings: read, central: central.clone() };
    runtime.block_on(run_with(loaded, opener, control)).inspect_err(|error| {
        central.failed(&format!("the agent ended: {error:#}"));
    })
}

/// A worker that is shut in.
pub(crate) struct Prepared {
    pub(crate) opener: Opener,
    pub(crate) link: Link,
    pub(crate) settings: Settings,
    pub(crate) board: Board,
    /// Of the directory, until the process ends.
    pub(crate) _lock: std::os::fd::OwnedFd,
}

/// Ties this process to its opener, reads the configuration, and gives everything away.
pub(crate) fn prepare(overrides: &[Setting]) -> anyhow::Result<Prepared> {
    // it is started by a link of /proc, whose name tells nobody anything
    let _ = rustix::thread::set_name(c"bartizan-agent");
    // an opener that is gone already shows when it is greeted
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot be tied to the opener")?;
    let (opener, link, lock) = Opener::greet()?;
    let null = File::open("/dev/null").context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let (own, over) = own_words(&opener, overrides)?;
    let settings = settings_of(&own, &over)?;
    let uid = rustix::process::getuid();
    let local_log = settings.local_log.path.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let own = [settings.dir.clone()].into_iter().chain(local_log).collect();
    let files =
        bartizan_sandbox::Needs { own, read: sandbox::common_reads(!uid.is_root()), listen: Vec::new() };
    let (landlock, gaps) = sandbox::shut_worker_in(&files);
    for gap in &gaps.0 {
        tracing::warn!(gap, "not shut in as well as it could be; `bartizan-agent doctor` tells more");
    }
    tracing::info!(uid = uid.as_raw(), landlock, "shut in");
    let board = Board::default();
    board.shut_in(uid.as_raw(), landlock, gaps.0);
    Ok(Prepared { opener, link, settings, board, _lock: lock })
}

/// The configuration of the host itself as it is written now; the files come from the opener, which may read them.
fn own_words(opener: &Opener, overrides: &[Setting]) -> anyhow::Result<(Vec<Source>, Vec<Setting>)> {
    let files = opener.configuration().context("cannot read the configuration")?;
    Ok((open_sources(files)?, bartizan_config::settings(PREFIX, overrides)))
}
