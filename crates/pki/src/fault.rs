use crate::OtherFleet;
use rustls::{AlertDescription, CertificateError, Error};

/// A failed handshake, by what a person has to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The server is of another fleet: enrol with its token, or correct the address.
    #[error(transparent)]
    OtherFleet(#[from] OtherFleet),
    /// The server's certificate is over, or this machine's clock is ahead.
    #[error("the server's certificate has expired, or this machine's clock is ahead")]
    ServerExpired,
    /// The server's certificate is not good yet: this machine's clock is behind.
    #[error("the server's certificate is not valid yet: this machine's clock is behind")]
    ClockBehind,
    /// The server has a good certificate, but for other names.
    #[error("the server's certificate is not for this name; add the name to the server's `names`")]
    WrongName,
    /// The server did not take this host's certificate because it is over.
    #[error("the server says that this host's certificate has expired: enrol again, or set the clock")]
    OwnExpired,
    /// The server did not take this host's certificate: it is of another fleet or missing.
    #[error("the server does not accept this host's certificate: it is of another fleet; enrol again")]
    OwnRefused,
    /// The other side does not speak this TLS, or not TLS at all.
    #[error("no common TLS: {0}")]
    Protocol(String),
}

impl TlsFault {
    /// What an error of the TLS library means, as seen by a client.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<OtherFleet>() {
                    Some(fault) => Self::OtherFleet(fault.clone()),
                    None => Self::Protocol(error.to_string()),
                }
            }
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Self::ServerExpired,
            Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => Self::ClockBehind,
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName,
            Error::AlertReceived(AlertDescription::CertificateExpired) => Self::OwnExpired,
            Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied,
            ) => Self::OwnRefused,
            error => Self::Protocol(error.to_string()),
        }
    }

    /// Whether trying again later without a person can help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::ServerExpired | Self::ClockBehind | Self::Protocol(_))
    }
}
