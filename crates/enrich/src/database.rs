//! One file as a table in memory.

use crate::{EnrichError, MAX_BYTES, Ranges, Record, mmdb, text};
use bartizan_model::Micros;
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;

/// What a file says, whatever its form.
#[derive(Debug)]
pub struct Database {
    ranges: Ranges,
    names: HashMap<u32, Box<str>>,
    kind: String,
    date: Micros,
    skipped: usize,
    says: Says,
}

/// Of what it says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Says {
    countries: bool,
    systems: bool,
}

impl Database {
    /// Reads the content of a file that was last written at some time.
    ///
    /// The data are of the date that the file itself says, or else of that time.
    ///
    /// # Errors
    /// If it is in no form that is known, or damaged, or too large.
    pub fn read(content: &[u8], written: Micros) -> Result<Self, EnrichError> {
        let packed = content.starts_with(&[0x1f, 0x8b]);
        let bytes = if packed { Cow::Owned(unpack(content)?) } else { Cow::Borrowed(content) };
        let (spans, names, kind, date, skipped) = if mmdb::is_one(&bytes) {
            let published = mmdb::read(&bytes)?;
            let date = i64::try_from(published.built).unwrap_or(i64::MAX).saturating_mul(1_000_000);
            (published.spans, published.names, published.kind, Micros(date), 0)
        } else {
            let listed = text::read(&bytes)?;
            let date = if packed { packed_at(content).unwrap_or(written) } else { written };
            (listed.spans, listed.names, "ranges".to_owned(), date, listed.skipped)
        };
        let ranges = Ranges::new(spans)?;
        let says = Says {
            countries: ranges.records().any(|record| record.country.is_some()),
            systems: ranges.records().any(|record| record.asn.is_some()),
        };
        Ok(Self { ranges, names, kind, date, skipped, says })
    }

    /// What it says of an address.
    #[must_use]
    pub fn of(&self, addr: [u8; 16]) -> Record {
        self.ranges.of(addr)
    }

    /// The name of an autonomous system.
    #[must_use]
    pub fn name(&self, asn: u32) -> Option<&str> {
        self.names.get(&asn).map(|name| &**name)
    }

    /// What it calls itself: `GeoLite2-Country`; `ranges` where it is a text.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// When its data were put together.
    #[must_use]
    pub const fn date(&self) -> Micros {
        self.date
    }

    /// Stretches of addresses of which it says something.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Lines that were passed over.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether it says countries.
    #[must_use]
    pub const fn countries(&self) -> bool {
        self.says.countries
    }

    /// Whether it says autonomous systems.
    #[must_use]
    pub const fn systems(&self) -> bool {
        self.says.systems
    }
}

fn unpack(content: &[u8]) -> Result<Vec<u8>, EnrichError> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(content).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(EnrichError::Packed)?;
    if bytes.len() as u64 > MAX_BYTES { Err(EnrichError::TooLarge) } else { Ok(bytes) }
}

/// The time in the head of a packed file: that of the file before it was packed, where it is said (RFC 1952).
fn packed_at(content: &[u8]) -> Option<Micros> {
    let seconds = u32::from_le_bytes(content.get(4..8)?.try_into().ok()?);
    (seconds != 0).then(|| Micros(i64::from(seconds) * 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Data, mmdb};
    use bartizan_model::addr_from_ip;
    use flate2::{Compression, GzBuilder};
    use std::io::Write as _;

    fn packed(bytes: &[u8], seconds: u32) -> Vec<u8> {
        let mut gz = GzBuilder::new().mtime(seconds).write(Vec::new(), Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    #[test]
    fn the_form_is_known_by_the_content_packed_or_not() {
        let addr = addr_from_ip("192.0.2.1".parse().unwrap());
        let list = b"192.0.2.0\t192.0.2.255\t64500\tNL\tExample\n";
        let country = Data::Map(vec![("country_code", Data::Text("NL".into()))]);
        let published = mmdb("made up", 6, &[("192.0.2.0/24", country)]);
        let (early, late, built) = (Micros(7_000_000), Micros(9_000_000), Micros(1_764_000_000_000_000));
        for (content, date, systems) in [
            (list.to_vec(), late, true),
            (packed(list, 7), early, true),
            (packed(list, 0), late, true),
            (published.clone(), built, false),
            (packed(&published, 7), built, false),
        ] {
            let database = Database::read(&content, late).unwrap();
            assert_eq!(database.of(addr).country.unwrap().as_str(), "NL");
            assert_eq!((database.date(), database.systems(), database.countries()), (date, systems, true));
            assert_eq!(database.name(64500), systems.then_some("Example"));
        }
        let torn = packed(list, 7);
        let torn = torn.get(..torn.len() - 9).unwrap_or_default();
        assert!(matches!(Database::read(torn, late), Err(EnrichError::Packed(_))));
        assert!(matches!(Database::read(b"", late), Err(EnrichError::Empty)));
    }
}
