//! TLS of a listener: which certificate the server shows, and whose it asks for.

use crate::settings::{Certificates, Listener};
use anyhow::Context as _;
use bartizan_pki::{HostTrust, SenderClients, SenderTrust, ServerCertificate, sender_server};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What accepts a listener's TLS connections. `own` is shown, and `fleet` has signed its clients, where the listener
/// does not say otherwise.
pub(crate) fn acceptor(
    listener: &Listener,
    own: &Arc<ServerCertificate>,
    fleet: &Arc<HostTrust>,
) -> anyhow::Result<TlsAcceptor> {
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let own = match &listener.own {
        Some(files) => ServerCertificate::new(&read(&files.chain)?, &read(&files.key)?)?,
        None => Arc::clone(own),
    };
    let required = listener.certificate == Certificates::Required;
    let ca = listener.ca.as_deref().map(read).transpose()?;
    let clients = match (listener.certificate, &ca) {
        (Certificates::None, _) => SenderClients::Any,
        (_, Some(ca)) => SenderClients::Signed(ca, required),
        (_, None) => SenderClients::Fleet(SenderTrust::new(Arc::clone(fleet), required)),
    };
    Ok(TlsAcceptor::from(Arc::new(sender_server(own, clients)?)))
}
