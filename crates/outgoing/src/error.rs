use http::StatusCode;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Why a request came to nothing. Names host and port, and no part of what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The name has no address.
    #[error("cannot find the address of {host}")]
    Resolve {
        /// Which.
        host: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An address is not one that requests go to.
    #[error("{host} is at {address}, which is {what}: if that is meant, name it in `outgoing.allow`")]
    Forbidden {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
        /// What that is.
        what: &'static str,
    },
    /// Nobody is there.
    #[error("cannot connect to {to}")]
    Connect {
        /// Host and port.
        to: String,
        /// Why not, of the last address.
        #[source]
        source: io::Error,
    },
    /// Whoever is there does not prove who he is.
    #[error("cannot trust {to}: an authority of your own is named by `outgoing.ca_file`")]
    Tls {
        /// Host and port.
        to: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It broke off, or was no HTTP.
    #[error("{to} does not answer as an HTTP server does")]
    Http {
        /// Host and port.
        to: String,
        /// What happened.
        #[source]
        source: hyper::Error,
    },
    /// The answer sends elsewhere.
    #[error("{to} sends elsewhere ({status}), where nobody follows: write the address where it really is")]
    Redirect {
        /// Host and port.
        to: String,
        /// In which way.
        status: StatusCode,
    },
    /// The answer is too long.
    #[error("{to} answers with more than {bytes} bytes")]
    TooLong {
        /// Host and port.
        to: String,
        /// What it may have.
        bytes: usize,
    },
    /// It took too long.
    #[error("{to} did not answer within {} seconds", time.as_secs())]
    Slow {
        /// Host and port.
        to: String,
        /// What there was of it.
        time: Duration,
    },
}
