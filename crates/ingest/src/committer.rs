//! The committer of a table: writes hot rows when there are enough or they are old enough.

use bartizan_lake::Table;
use std::time::Duration;
use tokio::sync::watch;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(25);
/// The first and the longest pause after a commit that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Commits `table` by size and age until `stop` becomes true, then once more.
///
/// A commit that fails is tried again for as long as it takes: rows stay hot and readable meanwhile.
pub async fn commit_forever(table: Table, mut stop: watch::Receiver<bool>) {
    let table_name = table.relation();
    let mut pause = PAUSE.0;
    loop {
        let stopping = *stop.borrow_and_update();
        if stopping || table.is_due(bartizan_clock::now()) {
            match table.commit(bartizan_clock::now()).await {
                Ok(Some(done)) => {
                    tracing::debug!(table = %table_name, version = done.version, rows = done.rows, files = done.files, "committed");
                    pause = PAUSE.0;
                }
                Ok(None) => {}
                Err(error) => {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(table = %table_name, %error, cause, "commit failed; senders keep their rows");
                    if !stopping {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                }
            }
            if stopping {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            // an error means that the server is gone
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
