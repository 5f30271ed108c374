//! Ctrl-C, for programs that have to put away what they made.

use anyhow::{Context as _, Result};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::signal::unix::{SignalKind, signal};

/// Becomes true with the first Ctrl-C, SIGTERM or SIGHUP; a second one ends the program.
///
/// # Errors
/// When signals cannot be listened to.
pub fn asked_to_stop() -> Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot listen to signals")?;
    let entered = runtime.enter();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut int, mut term, mut hup] = kinds.map(signal);
    drop(entered);
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    thread::spawn(move || {
        runtime.block_on(async {
            let (Ok(int), Ok(term), Ok(hup)) = (&mut int, &mut term, &mut hup) else { return };
            loop {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
                if flag.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            }
        });
    });
    Ok(asked)
}
