//! Requests to the outside: the one client with which the server asks somebody whose address a person wrote.
//!
//! Whoever may write an address, or answer for a name, could make the server ask what only the server reaches: itself, the
//! network that it stands in, the cloud's own service of credentials. So:
//!
//! - **Every address of a name is checked**, and one that is not of the public internet ([`address`]) refuses the
//!   request, unless the configuration allows it (`[outgoing] allow`). One that is public beside one that is not is
//!   what an attacker's name looks like; all of them have to be right.
//! - **It connects to what it checked.** A name is resolved once; nobody resolves it again in between.
//! - **TLS always**, with the authorities of the system and perhaps one's own; the certificate is for the name as
//!   written. There is no plain HTTP.
//! - **No redirect is followed**: where to go is what was configured, and nothing that an answer says.
//! - **Bounded**: bytes of the head and of the body, and a time for all of it together. One request is one
//!   connection.
//! - No proxy, no cookie, nothing of the environment but where authorities are (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
//! - **Errors name host and port**, and neither query nor header nor body, where secrets are.
//!
//! What it does not do: retry, keep connections, read the clock, or know what it is used for.

mod address;
mod ask;
mod client;
mod error;
mod settings;
mod url;

pub use ask::{Answer, Ask};
pub use client::Outgoing;
pub use error::OutgoingError;
pub use settings::{OutgoingSettings, OutgoingSettingsError, WrittenOutgoing};
pub use url::{Url, UrlError};
