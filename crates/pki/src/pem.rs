use crate::PkiError;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// The certificates of a PEM text, at least one.
pub(crate) fn certs(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let certs: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| PkiError::Unreadable { what, why: e.to_string() })?;
    if certs.is_empty() {
        return Err(PkiError::Unreadable { what, why: "there is no certificate in it".into() });
    }
    Ok(certs)
}

/// The first certificate of a PEM text.
pub(crate) fn cert(pem: &str, what: &'static str) -> Result<CertificateDer<'static>, PkiError> {
    Ok(certs(pem, what)?.swap_remove(0))
}

/// The private key of a PEM text.
pub(crate) fn key(pem: &str, what: &'static str) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| PkiError::Unreadable { what, why: e.to_string() })
}

/// A certificate as PEM.
pub(crate) fn encode_cert(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 64);
    out.push_str("-----BEGIN CERTIFICATE-----\n");
    for (i, c) in body.chars().enumerate() {
        if i > 0 && i % 64 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}
