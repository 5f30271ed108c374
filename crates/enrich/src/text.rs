//! Lists of ranges as text: iptoasn's TSV, the CSV of DB-IP, IPinfo and others, with or without a line of names.
//!
//! A line is a range and what is said of it, separated by tabs or commas; a field may stand in quotes. The range is two
//! addresses, two numbers (IPv4 up to 2^32 - 1, above it all 128 bits), or a network.
//!
//! Which column is which is read from the first line:
//! - if it has names, from them: `start_ip`, `end_ip`, `network`, `country_code`, `country`, `asn`,
//!   `autonomous_system_number`, `as_name` and the like; others are passed over;
//! - otherwise from the first thing behind the range: where it is a number there follow country and name, or only the
//!   name (`range asn [country name]`, `range asn name`); where it is a country, its name (`range country [name]`).
//!
//! Lines that are empty or begin with `#` are passed over. A few lines that are no ranges are counted and passed over;
//! more than one in twenty, and the file is something else.

use crate::record::asn;
use crate::{Country, EnrichError, MAX_RANGES, Record, Span};
use bartizan_filter::AddrRange;
use bartizan_model::addr_from_v4;
use std::borrow::Cow;
use std::collections::HashMap;

/// Fields of a line that are looked at.
const MAX_FIELDS: usize = 32;
/// Characters of the name of an autonomous system that are kept.
const MAX_NAME: usize = 80;

/// What a text says.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) spans: Vec<Span>,
    /// Names of autonomous systems.
    pub(crate) names: HashMap<u32, Box<str>>,
    /// Lines that are no ranges.
    pub(crate) skipped: usize,
}

/// Reads a whole text.
pub(crate) fn read(text: &[u8]) -> Result<Listed, EnrichError> {
    let mut listed = Listed::default();
    let mut layout: Option<Layout> = None;
    let mut first_wrong: Option<(usize, String)> = None;
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start_matches('\u{feff}').trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let layout = match &layout {
            Some(layout) => layout,
            None => {
                let (found, names) = Layout::of(line);
                let found = layout.insert(found);
                if names {
                    continue;
                }
                found
            }
        };
        match layout.read(line) {
            Some((span, name)) => {
                if listed.spans.len() >= MAX_RANGES {
                    return Err(EnrichError::TooMany);
                }
                if let (Some(asn), Some(name)) = (span.record.asn, name) {
                    listed.names.entry(asn).or_insert_with(|| shortened(&name));
                }
                listed.spans.push(span);
            }
            None => {
                listed.skipped += 1;
                first_wrong.get_or_insert_with(|| (at + 1, line.chars().take(60).collect()));
            }
        }
    }
    match first_wrong {
        Some((line, text)) if listed.skipped.saturating_mul(20) > listed.spans.len() => {
            Err(EnrichError::NoRange { line, text })
        }
        _ => Ok(listed),
    }
}

/// At most so many characters of a name.
pub(crate) fn shortened(name: &str) -> Box<str> {
    name.chars().take(MAX_NAME).collect::<String>().into_boxed_str()
}

/// What each column is.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    separator: char,
    columns: Vec<What>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    First,
    Last,
    Network,
    Country,
    /// A country's code or its name: only a code counts, and only where no other column has one.
    MaybeCountry,
    Asn,
    Name,
    Other,
}

impl Layout {
    /// The layout that the first line shows, and whether it is a line of names.
    fn of(line: &str) -> (Self, bool) {
        let separator = if line.contains('\t') { '\t' } else { ',' };
        let fields = fields(line, separator);
        let named: Vec<What> = fields.iter().map(|name| What::named(name)).collect();
        let has = |what| named.contains(&what);
        if has(What::Network) || (has(What::First) && has(What::Last)) {
            return (Self { separator, columns: named }, true);
        }
        let network = fields.first().is_some_and(|f| f.contains('/'));
        let mut columns = if network { vec![What::Network] } else { vec![What::First, What::Last] };
        let rest = fields.get(columns.len()..).unwrap_or_default();
        let number = rest.first().is_some_and(|field| asn(field).is_some());
        columns.extend_from_slice(match (number, rest.len()) {
            (true, 0..=2) => &[What::Asn, What::Name],
            (true, _) => &[What::Asn, What::Country, What::Name],
            (false, _) => &[What::Country],
        });
        (Self { separator, columns }, false)
    }

    fn read(&self, line: &str) -> Option<(Span, Option<String>)> {
        let fields = fields(line, self.separator);
        let (mut first, mut last, mut network) = (None, None, None);
        let (mut record, mut maybe, mut name) = (Record::default(), None, None);
        for (field, what) in fields.iter().zip(&self.columns) {
            match what {
                What::First => first = Some(address(field)?),
                What::Last => last = Some(address(field)?),
                What::Network => network = Some(AddrRange::parse(field.trim())?),
                What::Country => record.country = Country::parse(field),
                What::MaybeCountry => maybe = Country::parse(field),
                What::Asn => record.asn = asn(field).filter(|asn| *asn != 0),
                What::Name => name = Some(field.trim()).filter(|name| !name.is_empty()).map(str::to_owned),
                What::Other => {}
            }
        }
        record.country = record.country.or(maybe);
        let (first, last) = match network {
            Some(range) => (u128::from_be_bytes(range.first), u128::from_be_bytes(range.last)),
            None => (first?, last?),
        };
        (first <= last).then_some((Span { first, last, record }, name))
    }
}

impl What {
    /// What a column of a name is.
    fn named(name: &str) -> Self {
        match name.trim().to_ascii_lowercase().as_str() {
            "start_ip" | "ip_start" | "range_start" | "start" | "first" | "first_ip" | "ip_from" => {
                Self::First
            }
            "end_ip" | "ip_end" | "range_end" | "end" | "last" | "last_ip" | "ip_to" => Self::Last,
            "network" | "cidr" | "prefix" => Self::Network,
            "country_code" | "country_iso_code" | "cc" => Self::Country,
            "country" => Self::MaybeCountry,
            "asn" | "as_number" | "autonomous_system_number" => Self::Asn,
            "as_name" | "as_description" | "as_org" | "autonomous_system_organization" | "organization" => {
                Self::Name
            }
            _ => Self::Other,
        }
    }
}

/// An address, or its number.
fn address(field: &str) -> Option<u128> {
    let field = field.trim();
    if !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit()) {
        let number: u128 = field.parse().ok()?;
        return Some(match u32::try_from(number) {
            Ok(v4) => u128::from_be_bytes(addr_from_v4(v4.to_be_bytes())),
            Err(_) => number,
        });
    }
    let ip = field.parse().ok()?;
    Some(u128::from_be_bytes(bartizan_model::addr_from_ip(ip)))
}

/// The fields of a line; of a field in quotes what stands between them.
fn fields(line: &str, separator: char) -> Vec<Cow<'_, str>> {
    let mut out = Vec::new();
    let mut rest = line;
    while out.len() < MAX_FIELDS {
        let Some(quoted) = rest.strip_prefix('"') else {
            match rest.split_once(separator) {
                Some((field, after)) => {
                    out.push(Cow::Borrowed(field));
                    rest = after;
                    continue;
                }
                None => {
                    out.push(Cow::Borrowed(rest));
                    break;
                }
            }
        };
        let (field, after) = unquoted(quoted);
        out.push(field);
        match after.split_once(separator) {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    out
}

/// What stands before the closing quote, two quotes being one, and what comes after it.
fn unquoted(text: &str) -> (Cow<'_, str>, &str) {
    let mut from = 0;
    loop {
        let Some(at) = text.get(from..).and_then(|t| t.find('"')).map(|at| from + at) else {
            return (Cow::Borrowed(text), "");
        };
        let after = text.get(at + 1..).unwrap_or_default();
        if after.starts_with('"') {
            from = at + 2;
            continue;
        }
        let field = text.get(..at).unwrap_or_default();
        let field = if from == 0 { Cow::Borrowed(field) } else { Cow::Owned(field.replace("\"\"", "\"")) };
        return (field, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ranges;
    use bartizan_model::addr_from_ip;

    /// Country, system and name of an address, as a list says.
    fn said(text: &str, addr: &str) -> String {
        let listed = read(text.as_bytes()).unwrap();
        let names = listed.names;
        let record = Ranges::new(listed.spans).unwrap().of(addr_from_ip(addr.parse().unwrap()));
        let country = record.country.map_or("-".to_owned(), |c| c.to_string());
        let name = record.asn.and_then(|asn| names.get(&asn)).map_or("-", |n| n);
        format!("{country} {} {name}", record.asn.unwrap_or(0))
    }

    #[test]
    fn the_usual_lists_are_read() {
        let combined = "192.0.2.0\t192.0.2.255\t64500\tNL\tEXAMPLE-AS Example, \"Inc\"\n\
                        198.51.100.0\t198.51.100.255\t0\tNone\tNot routed\n\
                        2001:db8::\t2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\t64501\tDE\tSECOND\n";
        assert_eq!(said(combined, "192.0.2.9"), "NL 64500 EXAMPLE-AS Example, \"Inc\"");
        assert_eq!(said(combined, "198.51.100.9"), "- 0 -");
        assert_eq!(said(combined, "2001:db8::9"), "DE 64501 SECOND");
        let numbers = "3221225984\t3221226239\t64500\tNL\tEXAMPLE\n";
        assert_eq!(said(numbers, "192.0.2.255"), "NL 64500 EXAMPLE");
        assert_eq!(said(numbers, "192.0.3.0"), "- 0 -");
        assert_eq!(said("192.0.2.0\t192.0.2.255\tNL\n", "192.0.2.1"), "NL 0 -", "ip2country");
        assert_eq!(said("192.0.2.0,192.0.2.255,nl\r\n", "192.0.2.1"), "NL 0 -", "DB-IP country lite");
        let dbip =
            "192.0.2.0,192.0.2.255,64500,\"Example \"\"Net\"\", Inc.\"\n192.0.3.0,192.0.3.9,64501,HP\n";
        assert_eq!(said(dbip, "192.0.2.1"), "- 64500 Example \"Net\", Inc.");
        assert_eq!(said(dbip, "192.0.3.1"), "- 64501 HP", "a name of two letters is no country");
        let ipinfo = "network,country,country_code,continent,asn,as_name,as_domain\n\
                      192.0.2.0/24,Netherlands,NL,Europe,AS64500,Example,example.net\n\
                      2001:db8::/32,Germany,DE,Europe,,,\n";
        assert_eq!(said(ipinfo, "192.0.2.1"), "NL 64500 Example");
        assert_eq!(said(ipinfo, "2001:db8::1"), "DE 0 -");
        let older = "start_ip,end_ip,country,country_name,asn,as_name\n192.0.2.0,192.0.2.255,NL,Netherlands,AS64500,E\n";
        assert_eq!(said(older, "192.0.2.1"), "NL 64500 E");
        let maxmind = "network,autonomous_system_number,autonomous_system_organization\n192.0.2.0/24,64500,\"E, Inc\"\n";
        assert_eq!(said(maxmind, "192.0.2.1"), "- 64500 E, Inc");
        let ip2location =
            "\"0\",\"16777215\",\"-\",\"-\"\n\"3221225984\",\"3221226239\",\"NL\",\"Netherlands\"\n";
        assert_eq!(said(ip2location, "192.0.2.1"), "NL 0 -");
        assert_eq!(said("# made up\n\n192.0.2.0/24,AS64500\n", "192.0.2.1"), "- 64500 -");
    }

    #[test]
    fn a_text_that_is_no_list_is_refused_and_a_few_bad_lines_are_counted() {
        let error = read(b"hello\nworld\n").unwrap_err().to_string();
        assert_eq!(error, "line 1 is no range with a country or an autonomous system: `hello`");
        let mut text: String = (0..=255).map(|i| format!("10.0.{i}.0\t10.0.{i}.255\t1\tNL\tx\n")).collect();
        text.push_str("10.1.0.9\t10.1.0.0\t1\tNL\tx\n");
        let listed = read(text.as_bytes()).unwrap();
        assert_eq!((listed.spans.len(), listed.skipped), (256, 1));
        assert!(read(b"").unwrap().spans.is_empty());
        assert!(read(b"\"\",\"").is_err());
    }
}
