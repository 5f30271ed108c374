//! What is refused of a host, by kind, so that it can be counted and shown.

/// Why something that came with a host's certificate was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// The host is not let in: unknown, revoked, waiting for approval, its certificate over.
    Standing,
    /// Another process with the same key has the word.
    Claim,
    /// It says whose it is, or asks for another's certificate: who somebody is, is never its own to say.
    Identity,
    /// It cannot be understood, or is of another version.
    Protocol,
    /// A number or an epoch that cannot come now.
    Order,
    /// No batch, not of the wire schema, or above a limit.
    Malformed,
    /// Rows that the table does not take.
    Rows,
}

impl Offence {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Standing,
        Self::Claim,
        Self::Identity,
        Self::Protocol,
        Self::Order,
        Self::Malformed,
        Self::Rows,
    ];

    /// Its name, for numbers and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Claim => "claim",
            Self::Identity => "identity",
            Self::Protocol => "protocol",
            Self::Order => "order",
            Self::Malformed => "malformed",
            Self::Rows => "rows",
        }
    }
}
