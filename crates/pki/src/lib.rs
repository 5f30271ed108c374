//! Certificates, join tokens and TLS settings.
