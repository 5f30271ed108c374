use std::fmt;

/// A country's code (ISO 3166-1 alpha-2), in capitals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Two letters in any case; `ZZ` is nobody's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.trim().as_bytes().try_into().ok()?;
        let code = code.map(|letter| letter.to_ascii_uppercase());
        (code.iter().all(u8::is_ascii_uppercase) && code != *b"ZZ").then_some(Self(code))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a database says of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its country.
    pub country: Option<Country>,
    /// Its autonomous system; 0, which stands for none, is not one.
    pub asn: Option<u32>,
}

impl Record {
    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.country.is_none() && self.asn.is_none()
    }

    /// This, and where it knows nothing the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { country: self.country.or(other.country), asn: self.asn.or(other.asn) }
    }
}

/// The number of an autonomous system as it is written: `13335`, `AS13335`.
pub(crate) fn asn(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = match text.get(..2) {
        Some(sign) if sign.eq_ignore_ascii_case("as") => text.get(2..)?,
        _ => text,
    };
    // `parse` takes a sign as well
    (digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_read() {
        for (text, expected) in [
            ("de", Some("DE")),
            (" NL ", Some("NL")),
            ("None", None),
            ("-", None),
            ("ZZ", None),
            ("1A", None),
        ] {
            assert_eq!(Country::parse(text).as_ref().map(Country::as_str), expected, "{text}");
        }
        for (text, expected) in [
            ("13335", Some(13335)),
            ("AS13335", Some(13335)),
            ("as4294967295", Some(u32::MAX)),
            ("+1", None),
            ("AS", None),
            ("4294967296", None),
            ("é1", None),
        ] {
            assert_eq!(asn(text), expected, "{text}");
        }
    }
}
