//! Countries, autonomous systems and sets, kept up to date while the server runs.

use bartizan_enrich::{Enrichment, Settings};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often files are looked at; one counts when it was the same twice.
const EVERY: Duration = Duration::from_secs(2);

/// Services of this machine, which filters may name.
const SERVICES: &str = "/etc/services";
/// A file of services that is longer is none; bytes.
const SERVICES_LIMIT: u64 = 1 << 20;

/// Reads everything for the first time. A file that cannot be used is said, and keeps nobody from starting: it is
/// better to have events without countries than none.
pub(crate) async fn start(settings: Settings) -> anyhow::Result<Arc<Enrichment>> {
    let read = move || Enrichment::new(with_services(settings), bartizan_clock::now());
    Ok(Arc::new(tokio::task::spawn_blocking(read).await?))
}

/// With the services of this machine, if it has a list of them; the usual ones are known without.
fn with_services(settings: Settings) -> Settings {
    let mut text = String::new();
    let read = File::open(SERVICES).and_then(|file| file.take(SERVICES_LIMIT).read_to_string(&mut text));
    match read {
        Ok(_) => Settings { names: settings.names.with_services(&text), ..settings },
        Err(_) => settings,
    }
}

/// Lets new settings count.
pub(crate) async fn configure(enrichment: &Arc<Enrichment>, settings: Settings) -> anyhow::Result<()> {
    let enrichment = Arc::clone(enrichment);
    let read = move || enrichment.configure(with_services(settings), bartizan_clock::now());
    Ok(tokio::task::spawn_blocking(read).await?)
}

/// Looks for changed files until `stop`.
pub(crate) async fn keep(enrichment: Arc<Enrichment>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let enrichment = Arc::clone(&enrichment);
        let look = tokio::task::spawn_blocking(move || enrichment.look(bartizan_clock::now()));
        if let Err(error) = look.await {
            tracing::error!(%error, "cannot look for changed databases and sets");
        }
    }
}
