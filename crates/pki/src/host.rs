use crate::{PkiError, x509};
use bartizan_model::HostId;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

/// Whether a text can be a host's name. Names are labels; two hosts never have the same at one time.
///
/// # Errors
/// If it is empty, longer than 64 or has a character that would need quotes in a filter.
pub fn check_name(name: &str) -> Result<(), PkiError> {
    let ok = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if ok {
        Ok(())
    } else {
        Err(PkiError::Name(name.chars().take(80).flat_map(char::escape_debug).collect()))
    }
}

/// A host's key, made on the host. It never leaves it.
pub struct HostKey(KeyPair);

impl HostKey {
    /// A new key, ECDSA P-256.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate() -> Result<Self, PkiError> {
        new_key("a host's key").map(Self)
    }

    /// The key that [`HostKey::reveal_pem`] wrote.
    ///
    /// # Errors
    /// If it is not one.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        KeyPair::from_pem(pem)
            .map(Self)
            .map_err(|e| PkiError::Unreadable { what: "the host's key", why: e.to_string() })
    }

    /// The key as PEM (PKCS#8). It is the host's one secret.
    #[must_use]
    pub fn reveal_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// Whose key it is.
    #[must_use]
    pub fn id(&self) -> HostId {
        x509::host_id_of_spki(&self.0.subject_public_key_info())
    }

    /// A request (PKCS#10, DER) to sign this key.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn request(&self) -> Result<Vec<u8>, PkiError> {
        let make = |source| PkiError::Make { what: "a certificate request", source };
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serialize_request(&self.0).map(|r| r.der().to_vec()).map_err(make)
    }
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostKey({})", self.id())
    }
}

pub(crate) fn new_key(what: &'static str) -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|source| PkiError::Make { what, source })
}
