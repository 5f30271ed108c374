//! Which form of a file a reader likes best, by `Accept-Encoding` (RFC 9110, 12.5.3).

/// How the bytes of an answer are packed. The smallest is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

impl Encoding {
    /// Its name in headers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// Its name at the end of a file's name, and what is before that.
    pub(crate) fn of(name: &str) -> (&str, Self) {
        match name.rsplit_once('.') {
            Some((plain, "br")) => (plain, Self::Brotli),
            Some((plain, "gz")) => (plain, Self::Gzip),
            _ => (name, Self::Identity),
        }
    }
}

/// The best of what there is for a reader that accepts this; the smallest of several that are liked as much. What is
/// plain is always among them, and is what a reader gets who likes nothing.
pub(crate) fn best(accept: &str, there: impl Iterator<Item = Encoding>) -> Encoding {
    let liked = |encoding: Encoding| (quality(accept, encoding), encoding);
    let best = there.map(liked).filter(|(quality, _)| *quality > 0).max();
    best.map_or(Encoding::Identity, |(_, encoding)| encoding)
}

/// How much an encoding is liked, in thousandths.
fn quality(accept: &str, encoding: Encoding) -> u16 {
    let (mut named, mut any) = (None, None);
    for item in accept.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(weight).unwrap_or(1000);
        if name.eq_ignore_ascii_case(encoding.name())
            || (encoding == Encoding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
        {
            named = Some(quality);
        } else if name == "*" {
            any = Some(quality);
        }
    }
    // What is plain may be given where nobody says no, but only in want of something better.
    let unsaid = u16::from(encoding == Encoding::Identity);
    named.or(any).unwrap_or(unsaid)
}

/// `q=0.5` as 500; what is no number between 0 and 1 is 0.
fn weight(part: &str) -> Option<u16> {
    let (name, value) = part.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let fits = value.len() <= 5 && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f32 = if fits { value.parse().unwrap_or(0.0) } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let thousandths = if number <= 1.0 { (number * 1000.0).round() as u16 } else { 0 };
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Encoding; 3] = [Encoding::Identity, Encoding::Gzip, Encoding::Brotli];

    fn of_all(accept: &str) -> &'static str {
        best(accept, ALL.into_iter()).name()
    }

    #[test]
    fn the_reader_chooses_and_of_equals_the_smallest_is_taken() {
        for (accept, wanted) in [
            ("", "identity"),
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, deflate", "gzip"),
            ("X-GZIP", "gzip"),
            ("br;q=0.5, gzip;q=0.8", "gzip"),
            ("br;q=0.5, gzip;q=0.8, identity", "identity"),
            ("BR ; Q=1.0 ,gzip;q=1", "br"),
            ("*", "br"),
            ("*, br;q=0", "gzip"),
            ("*;q=0.1, gzip;q=0.2", "gzip"),
            ("br;q=0, gzip;q=0.000", "identity"),
            ("identity;q=0", "identity"),
            ("*;q=0", "identity"),
            ("br;q=2, gzip;q=-1, identity;q=x", "identity"),
            ("brotli, gz", "identity"),
            ("br;level=9;q=0.3, gzip;q=0.2", "br"),
        ] {
            assert_eq!(of_all(accept), wanted, "{accept}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_chosen() {
        assert_eq!(best("br, gzip;q=0.1", [Encoding::Identity, Encoding::Gzip].into_iter()), Encoding::Gzip);
        assert_eq!(best("br", [Encoding::Identity].into_iter()), Encoding::Identity);
    }

    proptest! {
        #[test]
        fn anything_gives_one_of_them(accept in "[a-z*;=,.q0-9 -]{0,60}|\\PC{0,40}") {
            let chosen = best(&accept, ALL.into_iter());
            if chosen != Encoding::Identity {
                prop_assert!(accept.contains('*') || accept.to_lowercase().contains(chosen.name()));
            }
        }
    }
}
