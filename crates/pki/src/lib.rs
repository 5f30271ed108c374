//! Certificates, join tokens and TLS settings.
//!
//! A fleet has one authority, an ECDSA P-256 key in the server's directory. It signs two things: the
//! server's own certificate, and for each host a certificate of days for the key that the host made itself.
//! Everything here is a function of bytes and times; only [`files`] touches a disk, and [`Authorities`] through it.
//!
//! Invariants:
//! - A host is its key: [`host_id_of_cert`] hashes the public key, and a name or id written by the host
//!   into its request is never looked at. Only the public key is taken from a request.
//! - A host's certificate is good for client authentication only, the server's for server authentication
//!   only, so that no host can pose as the server.
//! - There is no "trust first": a join token carries the hash of the authority's certificate, and a server
//!   that cannot show that certificate is refused before the token's secret is sent.
//! - The agents' port speaks TLS 1.3 with client certificates only. One TLS provider: ring.
//! - No key and no secret of a token is printed: their `Debug` elides them.
//!
//! On failure: every error names what was wrong with what; [`TlsFault`] turns a failed handshake into
//! what a person has to do (another fleet, expired, clock wrong). Nothing here retries.
//!
//! What it does not do: it does not know who is revoked (the catalog does), and it never reads a clock.

mod authorities;
mod authority;
mod error;
mod fault;
pub mod files;
mod host;
mod pem;
mod tls;
mod token;
mod verify;
mod x509;

pub use authorities::{AUTHORITY_FILES, Authorities};
pub use authority::{Authority, HostCertificate, Issued};
pub use error::{PkiError, TokenError};
pub use fault::TlsFault;
pub use host::{HostKey, check_name};
pub use tls::{
    SenderClients, ServerCertificate, agent_client, agent_server, enrol_client, front_server, pinned_client,
    sender_server,
};
pub use token::{CaPin, JoinToken, Secret, SecretHash};
pub use verify::{HostTrust, OtherFleet, SenderTrust};
pub use x509::{CertInfo, cert_info, host_id_of_cert, peer_name};
