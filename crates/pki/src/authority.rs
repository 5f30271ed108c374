use crate::{CaPin, PkiError, host, pem, x509};
use bartizan_model::{HostId, Micros};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateDer;
use std::time::Duration;

const CA_DAYS: u32 = 20 * 365;
/// Certificates are good from an hour ago, for clocks that are behind; short ones from a tenth of their life ago.
const BACKDATE: i64 = 3_600_000_000;
/// 9999-12-31, the last day of an X.509 time.
const LAST_SECOND: i64 = 253_402_300_799;

/// The fleet's authority: its certificate and its key.
pub struct Authority {
    cert: CertificateDer<'static>,
    key: KeyPair,
}

/// A certificate for a key made here: the server's.
pub struct Issued {
    /// The certificate and the authority's, PEM. Agents that hold only a pin need the second.
    pub chain_pem: String,
    /// Its key, PEM. Secret.
    pub key_pem: String,
    /// Good until.
    pub not_after: Micros,
}

/// A host's certificate.
#[derive(Clone, Debug)]
pub struct HostCertificate {
    /// Whose.
    pub host: HostId,
    /// The certificate, PEM.
    pub pem: String,
    /// Serial number, hex.
    pub serial: String,
    /// Good until.
    pub not_after: Micros,
}

impl Authority {
    /// A new authority. The fleet's id in its name keeps two authorities apart.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn create(now: Micros) -> Result<Self, PkiError> {
        let key = host::new_key("the authority's key")?;
        let cert = ca_params(&key.subject_public_key_info(), BasicConstraints::Constrained(0), now)?
            .self_signed(&key)
            .map_err(|source| PkiError::Make { what: "the authority's certificate", source })?;
        Ok(Self { cert: cert.der().clone(), key })
    }

    /// The authority of a PEM text with its certificate and its key.
    ///
    /// # Errors
    /// If either is missing, damaged, or they do not belong together.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        const WHAT: &str = "the authority's certificate";
        let cert = pem::cert(text, WHAT)?;
        let key = pem::key(text, "the authority's key")?;
        let key = KeyPair::try_from(&key)
            .map_err(|e| PkiError::Unreadable { what: "the authority's key", why: e.to_string() })?;
        if x509::host_id_of_cert(&cert)? != x509::host_id_of_spki(&key.subject_public_key_info()) {
            return Err(PkiError::KeyMismatch(WHAT));
        }
        Ok(Self { cert, key })
    }

    /// Certificate and key as PEM. It is the fleet's one secret.
    #[must_use]
    pub fn reveal_pem(&self) -> String {
        format!("{}{}", self.cert_pem(), self.key.serialize_pem())
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn cert_pem(&self) -> String {
        pem::encode_cert(&self.cert)
    }

    /// The certificate.
    #[must_use]
    pub fn cert_der(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// A certificate for the key of a successor: by it, who trusts this authority trusts that one.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn vouch_for(&self, next: &Self, now: Micros) -> Result<CertificateDer<'static>, PkiError> {
        // The successor may have one of its own.
        let spki = next.key.subject_public_key_info();
        let params = ca_params(&spki, BasicConstraints::Unconstrained, now)?;
        self.sign(&params, &next.key, "the successor's certificate")
    }

    /// What a join token carries of it.
    #[must_use]
    pub fn pin(&self) -> CaPin {
        CaPin::of_cert(&self.cert)
    }

    /// A certificate for the server under these DNS names and addresses.
    ///
    /// # Errors
    /// If a name is neither, or nothing could be signed.
    pub fn issue_server(&self, names: &[String], now: Micros, days: u32) -> Result<Issued, PkiError> {
        const WHAT: &str = "the server's certificate";
        let key = host::new_key("the server's key")?;
        let mut params = params(now, of_days(days), "Bartizan server")?;
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(
                    name.as_str().try_into().map_err(|source| PkiError::Make { what: WHAT, source })?,
                ),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = self.sign(&params, &key, WHAT)?;
        let not_after = x509::cert_info(&cert)?.not_after;
        let chain_pem = format!("{}{}", pem::encode_cert(&cert), self.cert_pem());
        Ok(Issued { chain_pem, key_pem: key.serialize_pem(), not_after })
    }

    /// A certificate for the key of a request (PKCS#10, DER). The name is the label that the caller has
    /// decided on; what the request says of itself is not looked at.
    ///
    /// # Errors
    /// If the request is not one, is not signed by its key, or the name cannot be one.
    pub fn issue_host(
        &self,
        request: &[u8],
        name: &str,
        now: Micros,
        days: u32,
    ) -> Result<HostCertificate, PkiError> {
        self.issue_host_for(request, name, now, Duration::from_secs(u64::from(days) * 86_400))
    }

    /// The same for any time.
    ///
    /// # Errors
    /// As [`Authority::issue_host`].
    pub fn issue_host_for(
        &self,
        request: &[u8],
        name: &str,
        now: Micros,
        life: Duration,
    ) -> Result<HostCertificate, PkiError> {
        const WHAT: &str = "a host's certificate";
        let make = |source| PkiError::Make { what: WHAT, source };
        host::check_name(name)?;
        let spki = x509::key_of_request(request)?;
        let host = x509::host_id_of_spki(&spki);
        let key = SubjectPublicKeyInfo::from_der(&spki).map_err(make)?;
        let life = i64::try_from(life.as_micros()).unwrap_or(i64::MAX);
        let mut params = params(now, life, name)?;
        let uri = format!("bartizan:host:{host}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().map_err(make)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let cert = self.sign(&params, &key, WHAT)?;
        let info = x509::cert_info(&cert)?;
        Ok(HostCertificate {
            host,
            pem: pem::encode_cert(&cert),
            serial: info.serial,
            not_after: info.not_after,
        })
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        what: &'static str,
    ) -> Result<CertificateDer<'static>, PkiError> {
        let make = |source| PkiError::Make { what, source };
        let issuer = Issuer::from_ca_cert_der(&self.cert, &self.key).map_err(make)?;
        Ok(params.clone().signed_by(key, &issuer).map_err(make)?.der().clone())
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.pin())
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn ca_params(spki: &[u8], below: BasicConstraints, now: Micros) -> Result<CertificateParams, PkiError> {
    let id = x509::host_id_of_spki(spki).to_string();
    let mut params = params(now, of_days(CA_DAYS), &format!("Bartizan fleet {}", &id[..8]))?;
    params.is_ca = IsCa::Ca(below);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn of_days(days: u32) -> i64 {
    i64::from(days).saturating_mul(Micros::DAY)
}

fn params(now: Micros, life: i64, name: &str) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // The type of these fields is of a crate that is not a dependency of ours: it is built by addition.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + seconds(now.0.saturating_sub(BACKDATE.min(life / 10)));
    params.not_after = epoch + seconds(now.0.saturating_add(life));
    params.use_authority_key_identifier_extension = true;
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(PkiError::Random)?;
    serial[0] = (serial[0] & 0x7f) | 0x40; // positive, and never a leading zero
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&serial));
    Ok(params)
}

fn seconds(micros: i64) -> Duration {
    Duration::from_secs(micros.div_euclid(1_000_000).clamp(0, LAST_SECOND).unsigned_abs())
}
