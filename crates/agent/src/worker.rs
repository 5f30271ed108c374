//! The worker: everything that reads what strangers wrote, in a process that may do next to nothing.

use crate::board::Board;
use crate::configuration::PREFIX;
use crate::opener::{Link, Opener};
use crate::run::{Control, run_with};
use crate::sandbox::{self, Files};
use crate::settings::{Settings, Written};
use anyhow::Context as _;
use bartizan_config::{Setting, load_open, open_place};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::fs::File;
use std::io::Seek as _;
use std::path::Path;
use std::sync::Arc;

/// Runs as the worker of the opener at the other end of standard input.
///
/// # Errors
/// Without an opener, and as the agent's work does.
pub fn work(overrides: Vec<Setting>) -> anyhow::Result<()> {
    let Prepared { opener, link, settings, board, _lock } = prepare(&overrides)?;
    let opener = Arc::new(opener);
    let reader = Arc::clone(&opener);
    let read = Box::new(move || read_settings(&reader, &overrides));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let control = Control { link: Arc::new(link), board, read_settings: read };
    runtime.block_on(run_with(settings, opener, control))
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
    let settings = read_settings(&opener, overrides)?;
    let uid = rustix::process::getuid();
    let local_log = settings.local_log.path.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let own = [settings.dir.clone()].into_iter().chain(local_log).collect();
    let files = Files { own, read: sandbox::common_reads(!uid.is_root()) };
    let (landlock, gaps) = sandbox::shut_worker_in(&files);
    for gap in &gaps.0 {
        tracing::warn!(gap, "not shut in as well as it could be; `bartizan-agent doctor` tells more");
    }
    tracing::info!(uid = uid.as_raw(), landlock, "shut in");
    let board = Board::default();
    board.shut_in(uid.as_raw(), landlock, gaps.0);
    Ok(Prepared { opener, link, settings, board, _lock: lock })
}

/// The configuration as it is written now; the files come from the opener, which may read them.
fn read_settings(opener: &Opener, overrides: &[Setting]) -> anyhow::Result<Settings> {
    let files = opener.configuration().context("cannot read the configuration")?;
    let copies = || -> std::io::Result<Vec<(String, File)>> {
        let copy = |(name, file): &(String, File)| {
            // copies share their position
            let mut file = file.try_clone()?;
            file.rewind()?;
            Ok((name.clone(), file))
        };
        files.iter().map(copy).collect()
    };
    let written: Written = load_open(copies()?, PREFIX, overrides)?;
    Ok(Settings::new(written).map_err(|error| {
        let place = open_place(copies().unwrap_or_default(), PREFIX, overrides, error.key());
        error.at(place)
    })?)
}
