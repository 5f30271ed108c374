//! The front port: the HTTP API and enrolment on one TLS listener, HTTP/1.1 and HTTP/2.
//!
//! Work before authentication is bounded: so many handshakes at once, ten seconds for each, so many
//! connections, headers and bodies limited by hyper and the API.

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections at once; more wait in the kernel's backlog.
const CONNECTIONS: usize = 4096;
/// Handshakes at once: they cost CPU before anyone is known.
const HANDSHAKES: usize = 32;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long open requests may go on after a stop was asked for.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// Serve `router` on `listener` until `stop` becomes true.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // out of file descriptors, mostly: existing connections end, then it works again
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = stop.wait_for(|s| *s) => return,
        };
        let (acceptor, handshakes, router, stop) =
            (acceptor.clone(), Arc::clone(&handshakes), router.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection(stream, &acceptor, &handshakes, router, stop).await {
                tracing::debug!(error, "a connection ended");
            }
        });
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    handshakes: &Semaphore,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let tls = {
        let _place = handshakes.acquire().await.map_err(|e| e.to_string())?;
        tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream))
            .await
            .map_err(|_| "handshake took too long".to_owned())?
            .map_err(|e| e.to_string())?
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(20));
    let serving = builder.serve_connection(TokioIo::new(tls), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => result.map_err(|e| e.to_string()),
        _ = stop.wait_for(|s| *s) => {
            serving.as_mut().graceful_shutdown();
            // tails never end by themselves
            drop(tokio::time::timeout(DRAIN_TIME, serving).await);
            Ok(())
        }
    }
}
