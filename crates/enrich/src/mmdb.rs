//! MaxMind's file format, in the layouts of those who publish in it.
//!
//! | whose | country | autonomous system |
//! |---|---|---|
//! | MaxMind, DB-IP | `country.iso_code`, else `registered_country.iso_code` | `autonomous_system_number`, `autonomous_system_organization` |
//! | IPinfo | `country_code`, else `country` | `asn` (`AS64500`), `as_name` |
//!
//! A record that many networks share is read once.

use crate::record::asn;
use crate::text::shortened;
use crate::{Country, EnrichError, MAX_RANGES, Record, Span};
use bartizan_model::addr_from_ip;
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;

/// What stands before the description of such a file, in its last 128 KiB.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";
const MARK_WITHIN: usize = 128 << 10;

/// What a file says.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) spans: Vec<Span>,
    /// Names of autonomous systems.
    pub(crate) names: HashMap<u32, Box<str>>,
    /// What it calls itself: `GeoLite2-Country`.
    pub(crate) kind: String,
    /// When it was made, in seconds since 1970.
    pub(crate) built: u64,
}

/// Whether bytes are in this format.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    let tail = bytes.get(bytes.len().saturating_sub(MARK_WITHIN)..).unwrap_or_default();
    tail.windows(MARK.len()).any(|window| window == MARK)
}

/// Reads a whole file.
pub(crate) fn read(bytes: &[u8]) -> Result<Published, EnrichError> {
    let reader = Reader::from_source(bytes)?;
    let metadata = reader.metadata();
    let mut published = Published {
        spans: Vec::new(),
        names: HashMap::new(),
        kind: metadata.database_type.clone(),
        built: metadata.build_epoch,
    };
    let mut known: HashMap<usize, Record> = HashMap::new();
    for found in reader.networks(WithinOptions::default())? {
        let found = found?;
        let Some(offset) = found.offset() else { continue };
        let record = match known.get(&offset) {
            Some(record) => *record,
            None => {
                let entry: Entry = found.decode()?.unwrap_or_default();
                let record = entry.record();
                if let (Some(asn), Some(name)) = (record.asn, entry.name()) {
                    published.names.entry(asn).or_insert_with(|| shortened(name));
                }
                known.insert(offset, record);
                record
            }
        };
        if record.is_empty() {
            continue;
        }
        if published.spans.len() >= MAX_RANGES {
            return Err(EnrichError::TooMany);
        }
        let network = found.network()?;
        let ends = [network.network(), network.broadcast()].map(|ip| u128::from_be_bytes(addr_from_ip(ip)));
        published.spans.push(Span { first: ends[0], last: ends[1], record });
    }
    Ok(published)
}

/// What is looked at in a record, of all layouts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    country: Option<Place>,
    registered_country: Option<Place>,
    country_code: Option<Word>,
    autonomous_system_number: Option<Word>,
    autonomous_system_organization: Option<Word>,
    asn: Option<Word>,
    as_name: Option<Word>,
}

/// A country: its code, or a map with it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Place {
    Code(String),
    Map { iso_code: Option<String> },
    Other(IgnoredAny),
}

/// A text or a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(u64),
    Other(IgnoredAny),
}

impl Entry {
    fn record(&self) -> Record {
        let place = |place: &Option<Place>| match place {
            Some(Place::Code(code) | Place::Map { iso_code: Some(code) }) => Country::parse(code),
            _ => None,
        };
        let code = self.country_code.as_ref().and_then(Word::text).and_then(Country::parse);
        let number = |word: &Option<Word>| match word {
            Some(Word::Number(number)) => u32::try_from(*number).ok(),
            Some(Word::Text(text)) => asn(text),
            _ => None,
        };
        Record {
            country: code.or_else(|| place(&self.country)).or_else(|| place(&self.registered_country)),
            asn: number(&self.autonomous_system_number)
                .or_else(|| number(&self.asn))
                .filter(|number| *number != 0),
        }
    }

    fn name(&self) -> Option<&str> {
        let name = self.autonomous_system_organization.as_ref().or(self.as_name.as_ref())?;
        name.text().filter(|name| !name.is_empty())
    }
}

impl Word {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ranges;
    use crate::testing::{Data, mmdb};

    fn said(bytes: &[u8], addr: &str) -> String {
        assert!(is_one(bytes));
        let published = read(bytes).unwrap();
        let names = published.names;
        let record = Ranges::new(published.spans).unwrap().of(addr_from_ip(addr.parse().unwrap()));
        let country = record.country.map_or("-".to_owned(), |c| c.to_string());
        let name = record.asn.and_then(|asn| names.get(&asn)).map_or("-", |n| n);
        format!("{country} {} {name}", record.asn.unwrap_or(0))
    }

    fn text(text: &str) -> Data {
        Data::Text(text.into())
    }

    #[test]
    fn every_layout_is_read() {
        let geo = |code: &str| {
            let country = Data::Map(vec![("geoname_id", Data::Number(7)), ("iso_code", text(code))]);
            Data::Map(vec![("country", country)])
        };
        let registered = Data::Map(vec![("registered_country", Data::Map(vec![("iso_code", text("FR"))]))]);
        let maxmind = mmdb(
            "GeoLite2-Country",
            6,
            &[("192.0.2.0/24", geo("NL")), ("198.51.100.0/25", registered), ("2001:db8::/32", geo("DE"))],
        );
        assert_eq!(said(&maxmind, "192.0.2.77"), "NL 0 -");
        assert_eq!(said(&maxmind, "198.51.100.127"), "FR 0 -");
        assert_eq!(said(&maxmind, "198.51.100.128"), "- 0 -");
        assert_eq!(said(&maxmind, "2001:db8:5::1"), "DE 0 -");
        assert_eq!(said(&maxmind, "::c000:201"), "- 0 -", "IPv4 in the tree of IPv6 is IPv4 only");
        let published = read(&maxmind).unwrap();
        assert_eq!((published.kind.as_str(), published.built), ("GeoLite2-Country", 1_764_000_000));

        let asn = Data::Map(vec![
            ("autonomous_system_number", Data::Number(64500)),
            ("autonomous_system_organization", text("Example")),
        ]);
        let four = mmdb("DBIP-ASN-Lite", 4, &[("192.0.2.0/24", asn)]);
        assert_eq!(said(&four, "192.0.2.1"), "- 64500 Example");

        let lite = Data::Map(vec![
            ("asn", text("AS64501")),
            ("as_name", text("Second")),
            ("country", text("Germany")),
            ("country_code", text("DE")),
        ]);
        let older = Data::Map(vec![("asn", text("")), ("country", text("NL")), ("country_name", text("x"))]);
        let ipinfo = mmdb("ipinfo lite", 6, &[("2001:db8::/33", lite), ("192.0.2.0/24", older)]);
        assert_eq!(said(&ipinfo, "2001:db8::1"), "DE 64501 Second");
        assert_eq!(said(&ipinfo, "192.0.2.1"), "NL 0 -");
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let entry = Data::Map(vec![("country_code", text("NL"))]);
        let whole = mmdb("x", 6, &[("192.0.2.0/24", entry)]);
        for cut in 0..whole.len() {
            // the mark is near the end: most that is cut has none
            let part = whole.get(cut..).unwrap_or_default();
            let _ = read(part);
            let part = whole.get(..cut).unwrap_or_default();
            assert!(!is_one(part) || read(part).is_err() || cut > whole.len() / 2);
        }
        let mut mended = 0;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x10;
            }
            mended += usize::from(read(&bytes).is_ok());
        }
        assert!(mended < whole.len());
    }
}
