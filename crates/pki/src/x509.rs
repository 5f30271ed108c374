//! What is read out of certificates and requests. Total functions on hostile bytes.

use crate::PkiError;
use bartizan_model::{HostId, Micros};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertInfo {
    /// The hash of its public key.
    pub host: HostId,
    /// The label in its subject (common name); empty if there is none.
    pub name: String,
    /// Serial number, hex.
    pub serial: String,
    /// Good from.
    pub not_before: Micros,
    /// Good until.
    pub not_after: Micros,
}

/// What a certificate (DER) says, unverified.
///
/// # Errors
/// If it is not a certificate.
pub fn cert_info(der: &[u8]) -> Result<CertInfo, PkiError> {
    let (_, cert) = X509Certificate::from_der(der)
        .map_err(|e| PkiError::Unreadable { what: "certificate", why: e.to_string() })?;
    let name = cert.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok()).unwrap_or_default();
    let validity = cert.validity();
    Ok(CertInfo {
        host: host_id_of_spki(cert.public_key().raw),
        name: name.to_owned(),
        serial: data_encoding::HEXLOWER.encode(cert.raw_serial()),
        not_before: Micros::from_parts(validity.not_before.timestamp(), 0),
        not_after: Micros::from_parts(validity.not_after.timestamp(), 0),
    })
}

/// Whether a certificate (DER) names itself as its issuer, as an authority's own does.
pub(crate) fn is_self_issued(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, cert)| cert.subject().as_raw() == cert.issuer().as_raw())
}

/// The name of whom a certificate (DER) is for, whoever signed it: its first DNS name, or its common name.
///
/// # Errors
/// If it is not a certificate, or has no name that can be one of a host.
pub fn peer_name(der: &[u8]) -> Result<String, PkiError> {
    let unreadable = |why: String| PkiError::Unreadable { what: "certificate", why };
    let (_, cert) = X509Certificate::from_der(der).map_err(|e| unreadable(e.to_string()))?;
    let names = cert.subject_alternative_name().ok().flatten().map(|e| &e.value.general_names);
    let dns = names.into_iter().flatten().find_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let common = || cert.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    let name = dns.or_else(common).unwrap_or_default();
    if name.is_empty() || name.len() > 255 || name.contains(char::is_control) {
        return Err(unreadable("it has no name".into()));
    }
    Ok(name.to_owned())
}

/// The identity of a certificate (DER): the first 16 bytes of the SHA-256 of its public key.
///
/// # Errors
/// If it is not a certificate.
pub fn host_id_of_cert(der: &[u8]) -> Result<HostId, PkiError> {
    cert_info(der).map(|info| info.host)
}

pub(crate) fn host_id_of_spki(spki: &[u8]) -> HostId {
    let digest: [u8; 32] = Sha256::digest(spki).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    HostId::from_bytes(id)
}

/// The public key (SubjectPublicKeyInfo, DER) of a request whose signature proves that the sender holds
/// the private key. Nothing else of the request is looked at.
pub(crate) fn key_of_request(der: &[u8]) -> Result<Vec<u8>, PkiError> {
    if der.len() > 4096 {
        return Err(PkiError::Request("longer than 4 KiB"));
    }
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|_| PkiError::Request("not a PKCS#10 request"))?;
    if !rest.is_empty() {
        return Err(PkiError::Request("something after its end"));
    }
    let key = &request.certification_request_info.subject_pki;
    // An uncompressed P-256 point or an Ed25519 key; nothing else has these lengths and algorithms.
    let raw = key.subject_public_key.data.as_ref();
    let algorithm = key.algorithm.algorithm.to_id_string();
    let curve = key.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|o| o.to_id_string());
    match (algorithm.as_str(), curve.as_deref(), raw.len()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7"), 65) | ("1.3.101.112", None, 32) => {}
        _ => return Err(PkiError::Request("only ECDSA P-256 and Ed25519 keys are signed")),
    }
    request.verify_signature().map_err(|_| PkiError::Request("its signature is not by its key"))?;
    Ok(key.raw.to_vec())
}
