//! Connections of programs on this machine, by a Unix socket.

use super::talk::{Line, converse};
use super::{Place, stopped};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};

/// The owner's and the group's: whoever may write here may say what the host's firewall logged.
const MODE: u32 = 0o660;

/// A listener's socket.
pub(crate) struct Local {
    pub(crate) socket: UnixListener,
    pub(crate) path: PathBuf,
    pub(crate) place: Arc<Place>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Local {
    /// A socket at a path, in place of one that an earlier life left there; of anything else it is not.
    pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
        if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let socket = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        Ok(socket)
    }

    /// Until `stop`; then until every connection has said what it had sent.
    pub(crate) async fn run(mut self) {
        let places = Arc::new(Semaphore::new(self.place.settings.connections));
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            // a place first: when there is none, more connections wait in the kernel
            let accepted = tokio::select! {
                permit = Arc::clone(&places).acquire_owned() => match permit {
                    Ok(permit) => tokio::select! {
                        accepted = self.socket.accept() => accepted.map(|(stream, _)| (stream, permit)),
                        () = stopped(&mut self.stop) => break,
                    },
                    Err(_) => break,
                },
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                () = stopped(&mut self.stop) => break,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let (place, stop) = (Arc::clone(&self.place), self.stop.clone());
                    tasks.spawn(async move {
                        let _held = permit;
                        let sender = place.sender(IpAddr::V4(Ipv4Addr::LOCALHOST), None);
                        converse(Line { io: stream, sender, place: &place, stop }).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.socket);
        drop(fs::remove_file(&self.path));
        while tasks.join_next().await.is_some() {}
    }
}
