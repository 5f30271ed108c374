//! Sign-in by an OpenID provider (OpenID Connect Core 1.0): the authorization code flow with PKCE, and what the
//! provider signs of whoever comes back.
//!
//! ```text
//! page     begin  -> where to go, and a secret for the browser's cookie
//! browser            -> the provider, where he says who he is -> back to the page, with `code` and `state`
//! page     finish -> code for ID token (token endpoint) -> signature, claims -> Identity
//! ```
//!
//! Invariants:
//! - **The provider is the configured one**: its discovery document names exactly the configured issuer, its ID tokens
//!   do, and so does what comes back to the page, where the provider says that it does (RFC 9207).
//! - **A sign-in is finished once, by the browser that began it, within ten minutes** ([`pending`]). So much is
//!   remembered of those who are not known yet, and no more.
//! - **An ID token counts only if** one of three algorithms signed it, none of which needs a secret that a client
//!   knows, with a key that the provider publishes for that; and it is for this client, of now, and for this sign-in
//!   (`nonce`).
//! - **Whoever is meant is (issuer, subject)**; names and addresses of mail are labels.
//! - **What a group gives is written in the configuration**, in order; the first that somebody is in counts.
//! - The provider is asked a few times an hour for its document and keys, and once or twice for each sign-in that
//!   was begun here. It is not asked when the server starts.
//!
//! What it does not do: it knows no user and no session, and signs nobody out at the provider.

mod claims;
mod discovery;
mod error;
mod fault;
mod jwt;
mod keys;
mod pending;
mod provider;
mod settings;

pub use claims::Identity;
pub use error::{OidcError, OidcErrorKind};
pub use fault::TokenFault;
pub use provider::{Begun, Finished, Oidc, Returned};
pub use settings::{Grant, OidcSettings, OidcSettingsError, WrittenGrant, WrittenOidc};

use fault::told;
